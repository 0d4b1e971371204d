"""The ways of taking a belt out: what is set in the place of what."""

from collections.abc import Callable
from typing import Any

from curfew.core import protection

type Put = Callable[[Any, str, Any], object]
type Remove = Callable[[Put], object]


def returning(value: Any, *places: tuple[Any, str]) -> Remove:
    """Something that always says the same."""

    def remove(put: Put) -> None:
        for owner, name in places:
            put(owner, name, lambda *_given, **_named: value)

    return remove


def setting(owner: Any, name: str, value: Any) -> Remove:
    """Another value."""
    return lambda put: put(owner, name, value)


def rules(*names: str) -> Remove:
    """No such protections."""
    left = tuple(rule for rule in protection.RULES if rule.__name__ not in names)
    if len(left) != len(protection.RULES) - len(names):
        raise ValueError(f"there is no such rule: {names}")
    return setting(protection, "RULES", left)


def everything_at_once(*removes: Remove) -> Remove:
    """Several, where one alone would be held by another."""

    def remove(put: Put) -> None:
        for one in removes:
            one(put)

    return remove
