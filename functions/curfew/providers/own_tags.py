"""Which tags Curfew may write to an existing instance: its own, except the one that protects an instance."""

from collections.abc import Iterable

from ..core.policy import ALWAYS_PROTECTED, normalize_key

OURS = "curfew:"


def check(keys: Iterable[str]) -> None:
    """Raise ValueError for a tag that Curfew must not write, which is an error of the caller's code."""
    for key in keys:
        if not key.startswith(OURS) or normalize_key(key) == ALWAYS_PROTECTED:
            raise ValueError(f"the tag {key!r} is not Curfew's own")
