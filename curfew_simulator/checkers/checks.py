"""The invariants of every world, each as one small function with its letter in docs/safety.

They judge by what the cloud saw, by what callers were answered, and by what is in the ledger. The letters are those of
the project's list of invariants.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..history.history import History
from . import audit, launches, liveness, refusals, termination
from .rule import RULES, Finding

__all__ = [
    "RULES",
    "Violation",
    "audit",
    "judged",
    "launches",
    "liveness",
    "refusals",
    "termination",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One violation of an invariant."""

    letter: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.letter} {self.rule.replace('_', ' ')}: {self.detail}"


def judged(history: History) -> Iterator[Violation]:
    """Return every violation in a world that has ended."""
    for rule in RULES:
        for found in map(Finding.of, rule.check(history)):
            yield Violation(letter=rule.letter, rule=rule.name, detail=str(found))
