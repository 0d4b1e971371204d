"""The same calls on worlds of the same seed: the same answers, the same faults, the same journal."""

from functools import partial
from typing import Any

import pytest

from curfew_simulator.cloud.population import populate
from curfew_simulator.cloud.transport import Cloud
from curfew_simulator.cloud.world import World
from tests.simulator.asking import ids, launch
from tests.simulator.conftest import Reach

KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


def story(reach: Reach) -> tuple[list[str], World]:
    """A long day in a world, and what came of each call."""
    world = reach.world
    populate(world.region(), 40)
    world.tables().make("t")
    ec2, db = reach.client("ec2"), reach.client("dynamodb")
    answers: list[str] = []

    def tell(call: Any) -> None:
        try:
            answer = call()
            answer.pop("ResponseMetadata", None)
            answers.append(repr(answer))
        except Exception as error:  # noqa: BLE001
            answers.append(repr(error).partition("endpoint")[0])

    for number in range(25):
        every = [m.id for m in world.region().alive()]
        tell(partial(ec2.describe_instances, MaxResults=10))
        tell(partial(ec2.terminate_instances, InstanceIds=every[number : number + 2] or ["i-1"]))
        tell(lambda: {"launched": launch(ec2, ClientToken=f"t{number % 7}")})  # noqa: B023
        tell(partial(db.put_item, TableName="t", Item={**KEY, "n": {"N": str(number)}}))
        tell(partial(db.get_item, TableName="t", Key=KEY))
        world.clock.sleep(17)
    return answers, world


@pytest.mark.parametrize("faults", ["calm", "rough", "harsh"])
def test_the_same_seed_gives_the_same_journal(at: Any, faults: str) -> None:
    first, one = story(at(World(seed=11, faults=faults)))
    second, two = story(at(World(seed=11, faults=faults)))
    assert first == second
    assert one.history == two.history
    assert one.faults.injected == two.faults.injected
    assert bool(one.faults.injected) is (faults != "calm")


def test_another_seed_is_another_world(at: Any) -> None:
    assert (
        story(at(World(seed=1, faults="rough")))[0] != story(at(World(seed=2, faults="rough")))[0]
    )


def test_the_transport_makes_no_difference(both: Reach, at: Any) -> None:
    answers, world = story(both)
    again, other = story(at(World(seed=1, pace=world.pace)))
    assert answers == again
    assert world.history.effects == other.history.effects


def test_clients_move_from_world_to_world() -> None:
    cloud = Cloud(World(seed=1))
    ec2 = cloud.client("ec2")
    first = cloud.world.region().add().id
    assert ids(ec2.describe_instances()) == [first]
    cloud.world = World(seed=2)
    assert ids(ec2.describe_instances()) == []
    assert len(cloud.world.history.calls) == 1


def test_a_client_is_in_one_cloud_at_a_time() -> None:
    one, other = Cloud(World()), Cloud(World())
    ec2 = one.client("ec2")
    other.adopt(ec2)
    other.adopt(ec2)
    ec2.describe_instances()
    assert (len(one.world.history.calls), len(other.world.history.calls)) == (0, 1)


def test_a_population_has_every_kind_that_has_to_be_kept() -> None:
    region = World(seed=5).region()
    populate(region, 400)
    machines = list(region.machines.values())
    assert len(machines) >= 400
    assert len({machine.zone for machine in machines}) == 3
    for kind in (
        lambda m: m.termination_protected,
        lambda m: m.stop_protected,
        lambda m: m.managed_by and m.hidden,
        lambda m: m.group,
        lambda m: m.spot_request and region.spot_requests[m.spot_request].persistent,
        lambda m: m.root_device == "instance-store",
        lambda m: m.state == "stopped",
        lambda m: not m.tags,
        lambda m: any(key.lower() == "curfew:keep" and key != "curfew:keep" for key in m.tags),
    ):
        assert any(map(kind, machines))
