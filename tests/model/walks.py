"""Complete schedules of a model, drawn at random from a seed; and the way that an exploration came."""

from collections.abc import Callable, Iterable, Mapping
from random import Random

from tests.model.ending import DEAD, DONE, Ending, World

RATES = (
    0.01,
    0.03,
    0.1,
)  # of what happens beside the ordinary steps, which would else come too early to matter


def walk(model: Ending, seed: int) -> list[tuple[str, World]]:
    """From the beginning until every sweep is done."""
    return drawn(
        model.start,
        model.steps,
        lambda world: all(run.at in (DONE, DEAD) for run in world.runs[:-1]),
        names=model.names,
        seed=seed,
    )


def drawn[S](
    start: S,
    steps: Callable[[S], Iterable[tuple[str, S]]],
    over: Callable[[S], bool],
    *,
    names: tuple[str, ...],
    seed: int,
) -> list[tuple[str, S]]:
    """Steps and what they lead to, until it is over."""
    random = Random(seed)  # noqa: S311  no secret
    rate = random.choice(RATES)
    state, path = start, list[tuple[str, S]]()
    while not over(state):
        options = list(steps(state))
        weights = [1 if _ordinary(step, names) else rate for step, _ in options]
        path += random.choices(options, weights)
        state = path[-1][1]
    return path


def traced[S](came: Mapping[S, tuple[S, str] | None], state: S) -> list[tuple[str, S]]:
    """The steps that an exploration came, and what each led to."""
    path = list[tuple[str, S]]()
    while (before := came[state]) is not None:
        path.append((before[1], state))
        state = before[0]
    return path[::-1]


def _ordinary(step: str, names: tuple[str, ...]) -> bool:
    name, _, did = step.partition(": ")
    return name in names and not did.startswith("crashes") and ";" not in did
