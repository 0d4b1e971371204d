"""Visits every state that a model can reach, breadth first, so that the first trace to a violation is a shortest."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

type Steps[S] = Callable[[S], Iterable[tuple[str, S]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong, and the shortest way to it, in words."""

    wrong: str
    trace: tuple[str, ...]

    def __str__(self) -> str:
        steps = "\n".join(f"{number:3}. {step}" for number, step in enumerate(self.trace, 1))
        return f"{self.wrong}\n{steps}"


@dataclass(slots=True, kw_only=True)
class Exploration[S: Hashable]:
    """What was visited: how much of it, where it ends, and the first violation, if there is one."""

    transitions: int = 0
    violation: Violation | None = None
    worst: S | None = None
    ends: set[Hashable] = field(default_factory=set)
    came: dict[S, tuple[S, str] | None] = field(default_factory=dict)

    @property
    def states(self) -> int:
        return len(self.came)

    def trace(self, state: S) -> tuple[str, ...]:
        """The way to a state that was visited."""
        steps: list[str] = []
        before = self.came[state]
        while before is not None:
            state, step = before
            steps.append(step)
            before = self.came[state]
        return tuple(reversed(steps))


def explore[S: Hashable](
    start: S,
    *,
    steps: Steps[S],
    wrong: Callable[[S], str],
    end: Callable[[S], Iterator[Hashable | str]],
) -> Exploration[S]:
    """Visit everything, or as much as it takes to find something wrong.

    ``wrong`` says what is wrong with a state, if anything; ``end`` gives what the world comes to if everybody stops
    here, as a string if that is wrong.
    """
    found = Exploration[S]()
    found.came[start] = None
    layer = deque([start])
    while layer:
        state = layer.popleft()
        for step, after in steps(state):
            found.transitions += 1
            if after in found.came:
                continue
            found.came[after] = (state, step)
            if problem := wrong(after):
                found.worst = after
                found.violation = Violation(wrong=problem, trace=found.trace(after))
                return found
            layer.append(after)
        for outcome in end(state):
            if isinstance(outcome, str):
                found.worst = state
                found.violation = Violation(wrong=outcome, trace=found.trace(state))
                return found
            found.ends.add(outcome)
    return found
