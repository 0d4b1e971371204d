"""How an invariant is written down."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..simulation.history import Evidence

type Check = Callable[[Evidence], Iterator[str]]


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
        RULES.append(Rule(letter=letter, name=check.__name__, check=check))
        return check

    return added
