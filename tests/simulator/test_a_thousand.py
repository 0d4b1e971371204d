"""A thousand instances under throttling: one protected, one in a group, one gone while the rest is acted on."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from curfew.clock import Clock
from curfew.core.instance import ActionKind
from curfew.core.report import Report, Result
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep.context import Sweep
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from curfew_simulator.cloud.faults import Fault, FaultKind
from curfew_simulator.cloud.history import Change
from curfew_simulator.cloud.transport import Cloud
from curfew_simulator.cloud.world import World
from tests.builders import HERE, a_policy

LAMBDA = timedelta(minutes=15)


def a_night(world: World) -> Report:
    cloud = Cloud(world)
    acting = cloud.client("ec2")
    sweep = Sweep(
        id="sweep-1",
        policy=a_policy(action=ActionKind.TERMINATE),
        provider=Ec2Provider(target=HERE, read=cloud.client("ec2", attempts=4), act=lambda: acting),
        ledger=MemoryLedger(),
        clock=Clock(
            now=world.clock.now, sleep=world.clock.sleep, deadline=world.clock.now() + LAMBDA
        ),
        timezone=ZoneInfo("Europe/Zurich"),
    )
    return act(sweep, plan(sweep))


def test_a_thousand_end_as_997_verified_two_kept_and_one_unknown() -> None:
    world = World(seed=5, throttled=True)
    region = world.region()
    ids = [
        region.add(tags={"env": "dev"}, zone=region.zones[number % 3]).id for number in range(1_000)
    ]
    shielded, member, vanishing = ids[100], ids[200], ids[300]
    region.change(shielded, termination_protected=True)
    region.tag(member, **{"aws:autoscaling:groupName": "web"})

    def vanish(call: object) -> None:
        """The answer to its order is lost, and from then on it is not to be seen."""
        named = getattr(call, "ids", ())
        if vanishing in named and getattr(call, "operation", "") == "TerminateInstances":
            nth = getattr(call, "nth", 0)
            world.fail("TerminateInstances", Fault(kind=FaultKind.CUT), on=nth)
            region.forget(vanishing)

    world.every_call(vanish)

    report = a_night(world)

    assert report.plan
    assert {k.instance.id: k.rule for k in report.plan.kept} == {
        shielded: "termination-protection",
        member: "auto-scaling-group",
    }
    outcomes = {o.action.instance.id: o for o in report.outcomes}
    assert report.count(Result.VERIFIED) == 997
    assert report.count(Result.UNKNOWN) == 1
    assert outcomes[vanishing].result is Result.UNKNOWN
    assert "the cloud no longer shows it" in outcomes[vanishing].detail
    assert set(world.history.of(Change.TERMINATED)) == set(ids) - {shielded, member, vanishing}
    assert world.clock.now() - report.started_at < LAMBDA
