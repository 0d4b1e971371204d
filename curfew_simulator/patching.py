"""Replace attributes for a while: how a safeguard is disabled."""

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from curfew.core import protection

type Put = Callable[[Any, str, Any], object]
type Remove = Callable[[Put], object]
_INHERITED = object()


@contextmanager
def patching() -> Iterator[Put]:
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


def returning(value: Any, *places: tuple[Any, str]) -> Remove:
    """Return a removal that makes functions return one value."""

    def remove(put: Put) -> None:
        for owner, name in places:
            put(owner, name, lambda *_given, **_named: value)

    return remove


def setting(owner: Any, name: str, value: Any) -> Remove:
    """Return a removal that sets another value."""
    return lambda put: put(owner, name, value)


def rules(*names: str) -> Remove:
    """Return a removal of some protections. Raises ValueError for an unknown one."""
    left = tuple(rule for rule in protection.RULES if rule.__name__ not in names)
    if len(left) != len(protection.RULES) - len(names):
        raise ValueError(f"there is no such rule: {names}")
    return setting(protection, "RULES", left)


def everything_at_once(*removes: Remove) -> Remove:
    """Return several removals as one, where another safeguard would hold for one alone."""

    def remove(put: Put) -> None:
        for one in removes:
            one(put)

    return remove
