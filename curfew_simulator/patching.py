"""Replace attributes for a while: how a safeguard is disabled."""

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from curfew.core import protection

type Patch = Callable[[Any, str, Any], object]
type Disable = Callable[[Patch], object]
_INHERITED = object()


@contextmanager
def patching() -> Iterator[Patch]:
    """Give a function that sets attributes; at the end, restore what it has set.

    The function raises AttributeError for an attribute that does not exist. Without this, a removal would do nothing
    after a rename, and its safeguard would pass for one that no world needs.
    """
    before: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        builtin = isinstance(owner, ModuleType) and hasattr(builtins, name)
        if not hasattr(owner, name) and not builtin:
            raise AttributeError(f"{owner!r} has no attribute {name!r}: nothing would be replaced")
        before.append((owner, name, vars(owner).get(name, _INHERITED)))
        setattr(owner, name, value)

    try:
        yield put
    finally:
        for owner, name, value in reversed(before):
            if value is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


def returning(value: Any, *places: tuple[Any, str]) -> Disable:
    """Return a removal that makes functions return one value."""

    def disable(put: Patch) -> None:
        for owner, name in places:
            put(owner, name, lambda *_given, **_named: value)

    return disable


def setting(owner: Any, name: str, value: Any) -> Disable:
    """Return a removal that sets another value."""
    return lambda put: put(owner, name, value)


def rules(*names: str) -> Disable:
    """Return a removal of some protections. Raises ValueError for an unknown one."""
    left = tuple(rule for rule in protection.RULES if rule.__name__ not in names)
    if len(left) != len(protection.RULES) - len(names):
        raise ValueError(f"there is no such rule: {names}")
    return setting(protection, "RULES", left)


def everything_at_once(*disables: Disable) -> Disable:
    """Return several removals as one, where another safeguard would hold for one alone."""

    def disable(put: Patch) -> None:
        for one in disables:
            one(put)

    return disable
