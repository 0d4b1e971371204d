"""Some hundred worlds with fixed seeds, and that the worlds themselves are what they say."""

import re
from pathlib import Path

import pytest

from curfew_simulator.ablation.search import search
from curfew_simulator.cloud import world as cloud
from curfew_simulator.cloud.world import World
from curfew_simulator.simulation.runner import one, some

SEEDS = range(250)
CLOUD = Path(cloud.__file__).parent


@pytest.mark.parametrize("first", range(SEEDS.start, SEEDS.stop, 50))
def test_nothing_is_violated_in_fifty_worlds(first: int) -> None:
    found = some(range(first, first + 50))

    assert [(b.seed, *map(str, b.violations)) for b in found.broken] == []
    assert found.worlds == 50


def test_the_same_seed_is_the_same_world() -> None:
    first, second = (one(17)[0] for _ in "12")

    def seen(world: World) -> list[object]:
        return [(c.operation, c.at, c.code, c.faults) for c in world.history.calls]

    assert seen(first.world) == seen(second.world)


@pytest.mark.parametrize(
    "safeguard",
    ["re-check", "attributes", "audit-first", "zone-wise-batch", "verify", "stale-trigger"],
)
def test_a_disabled_safeguard_is_detected(safeguard: str) -> None:
    assert search(safeguard, most=40).seed is not None


def test_the_cloud_does_not_know_curfew() -> None:
    knows = re.compile(r"^\s*(from|import) curfew\b", re.MULTILINE)
    for path in CLOUD.rglob("*.py"):
        assert not knows.search(path.read_text("utf-8")), path
