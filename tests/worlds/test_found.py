"""What the worlds have found, each as the smallest case that shows it."""

from datetime import timedelta
from typing import Any

from curfew import work
from curfew.core.lease import Step
from curfew.core.model import Mode
from curfew.ledger import PlanRecord, PlanStep
from curfew.providers.ec2 import Ec2Provider
from curfew.requests import WorkRequest
from tests.builders import HERE, NOW, an_id
from tests.http import Service
from tests.launches import Launching
from tests.night import Night
from tests.stub_ec2 import Fault, Machine, StubEc2


def test_an_order_that_was_held_up_is_given_only_after_another_look() -> None:
    """The ledger takes minutes to write the intents, and meanwhile somebody protects an instance."""
    night = Night(cloud=StubEc2(Machine(id=an_id(1)), Machine(id=an_id(2))))
    ledger: Any = night.ledger
    append = ledger.append

    def slowly(*given: object) -> None:
        if night.cloud.orders == []:
            night.time.sleep(300)
            night.cloud.machines[an_id(1)].tags = {"env": "dev", "curfew:keep": ""}
        append(*given)

    ledger.append = slowly

    night.sweep()

    assert night.cloud.ids("running") == {an_id(1)}


def test_whoever_is_found_of_a_lost_launch_is_not_taken_for_all() -> None:
    """The answer is lost, and the first look by the token shows two of the three."""
    there = Launching()
    there.cloud.fail("RunInstances", Fault(after_effect=True))
    launched = Ec2Provider.launched
    looks: list[int] = []

    class Partial(Ec2Provider):
        def launched(self, token: str) -> tuple[object, ...]:  # type: ignore[override]
            looks.append(1)
            return launched(self, token)[:3]

    there.provider.__class__ = Partial

    ended = there.go()

    assert ended.step is Step.LAUNCHED
    there.holds(asked=4)
    assert looks


def test_a_plan_that_was_put_off_is_made_in_report_mode_too() -> None:
    service = Service(mode=Mode.REPORT, queue=True)
    record = PlanRecord(
        id="plan-1", policy="nightly", policy_version="v1", target=HERE, asked_by="kim",
        made_at=NOW, expires_at=NOW + timedelta(minutes=15),
    )  # fmt: skip
    service.ledger.plans.open(record)

    work.carry_out(service.app, WorkRequest(work="plan", id="plan-1"), deadline=None)

    made = service.ledger.plans.get("plan-1")
    assert made
    assert made.step is PlanStep.PLANNED
