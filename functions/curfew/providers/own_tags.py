"""Which tags Curfew may write onto an instance that exists: its own, and never the one that people protect with."""

from collections.abc import Iterable

from ..core.policy import ALWAYS_PROTECTED, folded

OURS = "curfew:"


def check(keys: Iterable[str]) -> None:
    """Raises ValueError for the key of a tag that is not Curfew's to write: whoever asks is wrong."""
    for key in keys:
        if not key.startswith(OURS) or folded(key) == ALWAYS_PROTECTED:
            raise ValueError(f"the tag {key!r} is not Curfew's own")
