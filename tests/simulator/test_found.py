"""What the worlds have found, each as the smallest case that shows it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from curfew.core.lease import Fleet, Phase
from curfew.core.report import Result
from curfew.core.target import Mode
from curfew.ledger.records import PlanPhase, StoredPlan
from curfew.orchestration import jobs
from curfew.providers.ec2.provider import Ec2Provider
from curfew.schemas.messages import Job
from curfew.sweep import lease_lookup
from curfew.sweep.lease_lookup import with_leases
from tests.builders import HERE, NOW, an_id, an_instance
from tests.cloud import LOST, SimulatedEc2, a_machine
from tests.http import Service
from tests.launches import Launching
from tests.night import Night


def test_a_delayed_call_is_made_only_after_another_description() -> None:
    """The ledger takes minutes to write the intents, and meanwhile its owner protects an instance."""
    night = Night(cloud=SimulatedEc2(a_machine(id=an_id(1)), a_machine(id=an_id(2))))
    ledger: Any = night.ledger
    append = ledger.append

    def slowly(*given: object) -> None:
        if night.cloud.orders == []:
            night.time.sleep(300)
            night.cloud.change(an_id(1), tags={"env": "dev", "curfew:keep": ""})
        append(*given)

    ledger.append = slowly

    night.sweep()

    assert night.cloud.ids("running") == {an_id(1)}


def test_a_partial_listing_of_a_lost_launch_is_not_the_whole_launch() -> None:
    """The answer is lost, and the first look by the token shows two of the three."""
    there = Launching()
    there.cloud.fail("RunInstances", LOST)
    launched = Ec2Provider.launched
    looks: list[int] = []

    class Partial(Ec2Provider):
        def launched(self, token: str) -> tuple[object, ...]:  # type: ignore[override]
            looks.append(1)
            return launched(self, token)[:3]

    there.provider.__class__ = Partial

    ended = there.go()

    assert ended.phase is Phase.LAUNCHED
    there.holds(asked=4)
    assert looks


def test_a_deferred_plan_is_made_in_report_mode_too() -> None:
    service = Service(mode=Mode.REPORT, queue=True)
    record = StoredPlan(
        id="plan-1", policy="nightly", policy_version="v1", target=HERE, asked_by="kim",
        made_at=NOW, expires_at=NOW + timedelta(minutes=15),
    )  # fmt: skip
    service.ledger.plans.open(record)

    jobs.run_job(service.app, Job(work="plan", id="plan-1"), deadline=None)

    made = service.ledger.plans.get("plan-1")
    assert made
    assert made.phase is PlanPhase.PLANNED


def of_a_launch() -> Night:
    """A night on an instance whose launch no job has taken up, and on a copy of its tags with another operation."""
    there = Launching()
    begun = there.begin()
    mine, copied = (
        a_machine(id=an_id(number), tags={"env": "dev", "curfew:launch-id": launch_id})
        for number, launch_id in ((1, begun.launch_id), (2, "0" * 32))
    )
    return Night(cloud=SimulatedEc2(mine, copied), ledger=there.ledger)


def test_a_sweep_keeps_the_instances_of_an_unfinished_launch() -> None:
    """The answer to a launch was lost, and the process with it; what it launched has the tags that the policy means."""
    night = of_a_launch()

    report = night.sweep()

    assert night.cloud.ids("running") == {an_id(1)}
    assert report.plan
    (kept,) = report.plan.kept
    assert (kept.rule, kept.instance.id) == ("being-launched", an_id(1))
    assert kept.reason == "belongs to the fleet lab, whose launch is not finished"


def test_the_recheck_keeps_the_instances_of_an_unfinished_launch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    night = of_a_launch()
    monkeypatch.setattr(lease_lookup, "with_leases", lambda instances, *_: list(instances))

    outcomes = {o.action.instance.id: o for o in night.sweep().outcomes}

    assert night.cloud.ids("running") == {an_id(1)}
    assert outcomes[an_id(1)].result is Result.KEPT
    assert outcomes[an_id(1)].detail.startswith("being-launched: ")


def test_an_instance_recorded_while_the_ledger_is_read_has_its_lease() -> None:
    """Its launch comes to an end between two reads: then it is of no launch any more, and no stranger either."""
    night = of_a_launch()
    fleets: Any = night.ledger.fleets
    (begun,) = fleets.unfinished()

    class Finishing:
        def __getattr__(self, name: str) -> Any:
            return getattr(fleets, name)

        def unfinished(self) -> Iterator[Fleet]:
            fleets.record(begun, [an_id(1)], now=NOW)
            yield from ()

    finishing: Any = Finishing()
    instance = an_instance(1, tags={"curfew:launch-id": begun.launch_id})
    (known,) = with_leases([instance], finishing, HERE)

    assert known.lease
    assert (known.lease.fleet, known.launching) == ("lab", "")
    assert night.sweep().plan
    assert an_id(1) in night.cloud.ids("running")
