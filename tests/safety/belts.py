"""A belt, and how to take one out."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from curfew.core import plan
from curfew.sweep import planner

type Remove = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Belt:
    """A scenario that fails if the belt does not hold, and how to take the belt out."""

    name: str
    holds: Callable[[], None]
    remove: Remove


def missed(belt: Belt, patch: pytest.MonkeyPatch) -> None:
    """Take the belt out, and see that its scenario fails."""
    belt.remove(patch)
    with pytest.raises(AssertionError):
        belt.holds()


def setting(owner: object, name: str, value: object) -> Remove:
    return lambda patch: patch.setattr(owner, name, value)


def returning(owner: object, name: str, value: object) -> Remove:
    return lambda patch: patch.setattr(owner, name, lambda *_args, **_more: value)


def select_everything(patch: pytest.MonkeyPatch) -> None:
    for module in (plan, planner):
        patch.setattr(module, "mismatch", lambda _instance, _selector: None)
