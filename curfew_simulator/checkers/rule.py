"""The form of an invariant: its letter, its name and its check."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..history.history import History


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation found by a check; ``instance`` ended or stopped and had to be kept."""

    detail: str
    instance: str = ""

    @classmethod
    def of(cls, found: "str | Finding") -> "Finding":
        """Return what a check has yielded as a Finding; most checks yield only its text."""
        return found if isinstance(found, Finding) else Finding(found)

    def __str__(self) -> str:
        return self.detail


type Check = Callable[[History], Iterator[str | Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An invariant: its letter, its name and its check, which yields what is wrong."""

    letter: str
    name: str
    check: Check


RULES: list[Rule] = []


def rule(letter: str) -> Callable[[Check], Check]:
    """Add a check to the rules."""

    def added(check: Check) -> Check:
        RULES.append(Rule(letter=letter, name=getattr(check, "__name__", ""), check=check))
        return check

    return added
