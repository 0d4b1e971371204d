"""Curfew itself on the simulated cloud: its provider and its ledger keep their contracts there, and sweeps end well."""

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from curfew.clock import Clock
from curfew.core.audit import EntryKind, broken
from curfew.core.report import Report, Result, Status
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep.context import Sweep
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from curfew_simulator.cloud import autoscaling
from curfew_simulator.cloud.ec2.machine import Machine
from curfew_simulator.cloud.ec2.region import AT_ONCE, Region
from curfew_simulator.cloud.faults import Fault, FaultKind
from curfew_simulator.cloud.history import Change
from curfew_simulator.cloud.population import populate
from curfew_simulator.cloud.world import World
from tests.builders import HERE, a_policy
from tests.contract import test_fleets, test_ledgers, test_plans, test_providers
from tests.simulator.conftest import Reach

TABLE = "curfew-ledger"
ALLOWED = {
    ("ec2", "DescribeInstances"), ("ec2", "DescribeInstanceAttribute"), ("ec2", "TerminateInstances"),
    ("ec2", "DescribeSpotInstanceRequests"), ("ec2", "CancelSpotInstanceRequests"),
    ("dynamodb", "BatchGetItem"), ("dynamodb", "GetItem"), ("dynamodb", "PutItem"), ("dynamodb", "Query"),
    ("dynamodb", "TransactWriteItems"), ("dynamodb", "UpdateItem"),
}  # fmt: skip


def provider(reach: Reach, **more: Any) -> Ec2Provider:
    """The real provider in that world, with clients that try as often as those of ``bootstrap``."""
    read, act = reach.client("ec2", attempts=4), reach.client("ec2")
    return Ec2Provider(target=HERE, read=read, act=lambda: act, **more)


def expectations(module: ModuleType, of: str) -> list[Any]:
    """The tests of a contract that need nothing but the thing itself, bound to an instance of their class."""
    classes = [c() for name, c in vars(module).items() if name.startswith("Test")]
    found = [
        (f"{type(place).__name__}: {name}", test)
        for place in (module, *classes)
        for name, test in inspect.getmembers(place, callable)
        if name.startswith("test_") and list(inspect.signature(test).parameters) == [of]
    ]
    return [pytest.param(test, id=name) for name, test in found]


@pytest.mark.parametrize("expectation", expectations(test_providers, "case"))
def test_the_provider_keeps_its_contract(
    both: Reach, expectation: Callable[[test_providers.Case], None]
) -> None:
    region = both.world.region()
    region.page_size = 3

    def settle(_: object) -> None:
        both.world.clock.sleep(0)

    def put(tags: dict[str, str], zone: str) -> str:
        return region.add(tags=tags, zone=zone).id

    def protect(id_: str) -> None:
        region.change(id_, termination_protected=True)

    def limit(type_: str, subnet: str, count: int) -> None:
        region.limits.capacity[type_, region.subnets[subnet]] = count

    both.world.every_call(settle)
    subnets = tuple(region.subnets)
    real = provider(both, ssm=lambda: both.client("ssm"))
    name = both.world.parameters().__setitem__
    expectation(test_providers.Case(real, put, protect, subnets, limit, name))


@pytest.mark.parametrize(
    "expectation",
    [
        expectation
        for module in (test_ledgers, test_fleets, test_plans)
        for expectation in expectations(module, "ledger")
    ],
)
def test_the_ledger_keeps_its_contract(
    both: Reach, expectation: Callable[[DynamoLedger], None]
) -> None:
    both.world.tables().make(TABLE)
    expectation(DynamoLedger(both.client("dynamodb"), TABLE, sleep=both.world.clock.sleep))


class House:
    """The real use case, provider and ledger in a world."""

    def __init__(self, reach: Reach) -> None:
        self.world = reach.world
        self.region = reach.world.region()
        self.world.tables().make(TABLE)
        self.provider = provider(reach)
        client = reach.client("dynamodb", attempts=4)
        self.ledger = DynamoLedger(client, TABLE, sleep=self.world.clock.sleep)
        self.sweeps = 0

    def sweep(self) -> Report:
        """One nightly sweep, in act mode."""
        self.sweeps += 1
        sweep = Sweep(
            id=f"sweep-{self.sweeps}",
            policy=a_policy(),
            provider=self.provider,
            ledger=self.ledger,
            clock=Clock(now=self.world.clock.now, sleep=self.world.clock.sleep),
            timezone=ZoneInfo("Europe/Zurich"),
        )
        return act(sweep, plan(sweep))


@pytest.fixture(params=["at once", "in its time"])
def house(request: pytest.FixtureRequest, both: Reach) -> House:
    if request.param == "in its time":
        both.world.pace = type(AT_ONCE)()
    return House(both)


def test_a_sweep_ends_what_is_due_and_keeps_what_is_protected(house: House) -> None:
    region = house.region
    doomed = {region.add(tags={"env": "dev"}, zone=zone).id for zone in region.zones for _ in "12"}
    shields: list[dict[str, Any]] = [
        {"termination_protected": True},
        {"stop_protected": True},
        {"managed_by": "eks.amazonaws.com"},
        {"managed_by": "eks.amazonaws.com", "hidden": True},
        {"lifecycle": "capacity-block"},
        {"age": timedelta(minutes=1)},
        {"tags": {"env": "dev", "Curfew:Keep": ""}},
        {"tags": {"env": "dev", "aws:cloudformation:stack-id": "x"}},
        {"tags": {"env": "prod"}},
    ]
    spared = {region.add(**{"tags": {"env": "dev"}, **shield}).id for shield in shields}
    autoscaling.create_group(region, "web", 2, env="dev")
    members = {m.id for m in region.alive() if m.group}

    report = house.sweep()

    assert report.status is Status.COMPLETED
    assert {o.action.instance.id for o in report.outcomes} == doomed
    assert {o.result for o in report.outcomes} == {Result.VERIFIED}
    assert set(house.world.history.of(Change.TERMINATED)) == doomed
    assert {m.id for m in region.alive()} == spared | members
    assert broken(list(house.ledger.entries(HERE))) is None


def test_a_persistent_spot_instance_stays_gone(house: House) -> None:
    client: Any = house.provider._act
    spot = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    client.run_instances(
        ImageId="ami-08111162", InstanceType="t2.micro", MinCount=1, MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot", "SpotOptions": spot},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "env", "Value": "dev"}]}],
    )  # fmt: skip
    house.world.clock.advance(timedelta(hours=1))
    assert house.sweep().status is Status.COMPLETED
    house.world.clock.advance(timedelta(minutes=30))
    assert list(house.region.alive()) == []
    assert house.world.history.of(Change.SPOT_CANCELLED).total() == 1


@pytest.mark.parametrize(
    "kind", [FaultKind.CUT_AFTER, FaultKind.ERROR_AFTER, FaultKind.CUT, FaultKind.THROTTLED]
)
def test_every_action_has_an_outcome_whatever_the_answer_to_its_order_is(
    house: House, kind: FaultKind
) -> None:
    ids = {house.region.add(tags={"env": "dev"}).id for _ in range(3)}
    house.world.fail("TerminateInstances", Fault(kind=kind))
    report = house.sweep()
    assert {o.action.instance.id: o.result for o in report.outcomes} == dict.fromkeys(
        ids, Result.VERIFIED
    )
    assert house.world.history.of(Change.TERMINATED) == dict.fromkeys(ids, 1)


def test_a_failed_page_means_no_order(house: House) -> None:
    house.region.page_size = 5
    for _ in range(12):
        house.region.add(tags={"env": "dev"})
    house.world.fail("DescribeInstances", Fault(kind=FaultKind.ERROR), on=3, times=4)
    assert house.sweep().status is Status.INCOMPLETE
    assert house.world.history.of(Change.TERMINATED) == {}


def meddle(region: Region) -> Callable[[object], None]:
    """An operator that now and then, in the middle of a sweep, tags a machine to be kept."""
    rng = region.rng.of("meddling")

    def a_person(_: object) -> None:
        alive = sorted(machine.id for machine in region.alive())
        if alive and rng.random() < 0.03:
            region.tag(rng.choice(alive), **{rng.choice(["curfew:keep", "CURFEW:Keep"]): ""})

    return a_person


def spared(machine: Machine) -> bool:
    """Whether nothing may end it."""
    kept = any(key.lower() == "curfew:keep" for key in machine.tags)
    foreign = bool(machine.managed_by or machine.group)
    wanted = machine.tags.get("env") in {"dev", "sandbox"} and machine.state == "running"
    return machine.protected or foreign or kept or not wanted


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("faults", ["rough", "harsh"])
def test_no_world_ends_a_protected_instance_or_one_without_an_entry(
    at: Any, faults: str, seed: int
) -> None:
    world = World(seed=seed, faults=faults)
    house = House(at(world))
    populate(house.region, 40)
    world.every_call(meddle(house.region))

    for _ in range(3):
        house.sweep()
        world.clock.advance(timedelta(minutes=30))

    ended = list(world.history.by_calls(Change.TERMINATED))
    assert ended or faults == "harsh"
    intents = {
        item["instance_id"]["S"]: datetime.fromisoformat(item["at"]["S"])
        for item in reversed(list(world.tables().get(TABLE)))
        if item.get("kind") == {"S": EntryKind.INTENT}
    }
    for effect in ended:
        # Between the last look and the call is a moment that only IAM could close.
        a_minute_ago = house.region.version(effect.id, effect.at - timedelta(minutes=1))
        assert a_minute_ago
        assert not spared(a_minute_ago)
        assert intents[effect.id] <= effect.at
    assert world.history.called() <= ALLOWED
