"""Complete schedules of the model of the ending, drawn at random and the same for the same seed."""

from random import Random

from .ending import DEAD, DONE, Ending, World
from .replay import Path

RATES = (
    0.01,
    0.03,
    0.1,
)  # of what happens beside the ordinary steps, which would else come too early to matter


def walk(model: Ending, seed: int) -> Path:
    """From the beginning until everybody is done."""
    random = Random(seed)  # noqa: S311  no secret
    rate = random.choice(RATES)
    world, path = model.start, Path()
    while any(run.at not in (DONE, DEAD) for run in world.runs[:-1]):
        options = list(model.steps(world))
        weights = [1 if _ordinary(model, step) else rate for step, _ in options]
        path.append(random.choices(options, weights)[0])
        world = path[-1][1]
    return path


def _ordinary(model: Ending, step: str) -> bool:
    name, _, did = step.partition(": ")
    return name in model.names and not did.startswith("crashes") and ";" not in did


def traced(came: dict[World, tuple[World, str] | None], state: World) -> Path:
    """The way that an exploration came, with the world after each step."""
    path = Path()
    while (before := came[state]) is not None:
        path.append((before[1], state))
        state = before[0]
    return path[::-1]
