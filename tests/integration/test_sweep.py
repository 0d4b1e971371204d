"""One sweep, from the listing to the watermark, on a cloud and a ledger that may fail."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.core.audit import Draft
from curfew.core.errors import LedgerError, RequestError, StaleTriggerError
from curfew.core.instance import ActionKind
from curfew.core.policy import Limits
from curfew.core.report import Result, Status
from curfew.core.target import Mode, Target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Pause
from curfew.orchestration.admission import MAX_LATENESS, effective_mode, reject_stale
from curfew.schemas.messages import SweepRequest
from curfew_simulator.cloud.ec2.machine import Machine
from curfew_simulator.cloud.faults import Fault, FaultKind
from tests.builders import HERE, NO_LIMITS, NOW, a_policy, a_selector, an_id
from tests.cloud import BROKEN, NOTHING, THROTTLED, SimulatedEc2, a_machine, refusal
from tests.night import Night, kept, results


def machines(count: int, **more: Any) -> list[Machine]:
    return [a_machine(id=an_id(number), **more) for number in range(1, count + 1)]


class Unreachable(MemoryLedger):
    """A ledger in which certain methods fail."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._broken = names

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name in object.__getattribute__(self, "_broken"):
            raise LedgerError("the ledger cannot be used")
        return object.__getattribute__(self, name)


METHODS = ["paused", "record_first_seen", "reserve", "append", "open_intents", "watermark"]


@pytest.mark.parametrize("methods", [*([name] for name in METHODS), METHODS], ids="+".join)
def test_with_the_ledger_unreachable_nothing_is_terminated(methods: list[str]) -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)), ledger=Unreachable(*methods), scheduled_at=NOW)

    report = night.sweep()

    assert night.cloud.orders == []
    assert report.status in {Status.FAILED, Status.STOPPED}
    assert report.failed
    assert Result.VERIFIED not in results(report).values()


class Losing(MemoryLedger):
    """A ledger that accepts no entries once it is ``lost``."""

    lost = False

    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        if self.lost:
            raise LedgerError("the ledger cannot be used")
        super().append(target, drafts)


def test_ledger_lost_after_the_call_is_reported_and_intents_stay_open() -> None:
    ledger = Losing()
    night = Night(cloud=SimulatedEc2(*machines(2)), ledger=ledger)
    night.cloud.before("TerminateInstances", lambda: setattr(ledger, "lost", True))

    report = night.sweep()

    assert report.count(Result.VERIFIED) == 2
    assert "the outcomes are not written: " in report.problem
    assert report.status is Status.FAILED
    assert len(ledger.open_intents(HERE)) == 2


@pytest.mark.parametrize("page", [1, 2, 3])
def test_failed_page_of_the_listing_terminates_nothing(page: int) -> None:
    night = Night(cloud=SimulatedEc2(*machines(5), page_size=2))
    night.cloud.fail("DescribeInstances", BROKEN, on=page)

    report = night.sweep()

    assert night.cloud.orders == []
    assert report.status is Status.INCOMPLETE
    assert f"page {page} of the listing failed: InternalError" in report.problem
    assert report.failed
    assert set(kept(report).values()) <= {"incomplete-listing"}


def test_listing_without_a_response_is_incomplete() -> None:
    night = Night(cloud=SimulatedEc2(*machines(5), page_size=2))
    night.cloud.fail("DescribeInstances", NOTHING, on=2)

    assert night.sweep().status is Status.INCOMPLETE
    assert night.cloud.orders == []


def test_empty_pages_are_ordinary_pages() -> None:
    night = Night(cloud=SimulatedEc2(*machines(5), page_size=2))
    night.cloud.fail("DescribeInstances", Fault(kind=FaultKind.EMPTY_PAGE), on=1)
    night.cloud.fail("DescribeInstances", Fault(kind=FaultKind.EMPTY_PAGE), on=3)

    report = night.sweep()

    assert report.listed == 5
    assert report.count(Result.VERIFIED) == 5


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (replace(NO_LIMITS, per_sweep=4), "limit-per-sweep"),
        (replace(NO_LIMITS, per_sweep=0), "limit-per-sweep"),
        (replace(NO_LIMITS, percent=0), "limit-percent"),
        (replace(NO_LIMITS, per_day=4), "limit-per-day"),
        (replace(NO_LIMITS, per_day=0), "limit-per-day"),
    ],
    ids=str,
)
def test_plan_one_over_a_limit_makes_no_call(limits: Limits, rule: str) -> None:
    night = Night(cloud=SimulatedEc2(*machines(5)), policy=a_policy(limits=limits))

    report = night.sweep()

    assert night.cloud.orders == []
    assert report.status is Status.REFUSED
    assert report.failed
    assert kept(report) == {an_id(n): rule for n in range(1, 6)}
    assert report.problem.startswith("the plan has ")


def test_plan_exactly_at_every_limit_is_executed() -> None:
    others = [a_machine(id=an_id(100 + n), tags={}) for n in range(5)]
    limits = Limits(per_sweep=5, percent=50, per_day=5)
    night = Night(cloud=SimulatedEc2(*machines(5), *others), policy=a_policy(limits=limits))

    assert night.sweep().count(Result.VERIFIED) == 5


def test_percentage_limit_counts_the_whole_listing() -> None:
    others = [a_machine(id=an_id(100 + n), tags={}) for n in range(95)]
    limits = replace(NO_LIMITS, percent=5)
    night = Night(cloud=SimulatedEc2(*machines(5), *others), policy=a_policy(limits=limits))

    report = night.sweep()

    assert report.listed == 100
    assert report.count(Result.VERIFIED) == 5


def test_daily_budget_is_shared_by_all_sweeps_of_the_day() -> None:
    night = Night(
        cloud=SimulatedEc2(*machines(3)), policy=a_policy(limits=replace(NO_LIMITS, per_day=5))
    )
    assert night.sweep().status is Status.COMPLETED
    night.cloud.add(*machines(3))

    again = night.sweep()
    assert again.status is Status.REFUSED
    assert len(night.cloud.orders) == 1

    night.time.at += timedelta(days=1)
    assert night.sweep().status is Status.COMPLETED


def test_refused_plan_is_only_reported_in_report_mode() -> None:
    night = Night(
        cloud=SimulatedEc2(*machines(5)), policy=a_policy(limits=replace(NO_LIMITS, per_sweep=4))
    )

    report = night.sweep(Mode.REPORT)

    assert report.status is Status.REFUSED
    assert not report.failed


def test_cloud_filters_the_listing_only_without_a_percentage_limit() -> None:
    others = [a_machine(id=an_id(100 + n), tags={}) for n in range(5)]
    limits = replace(NO_LIMITS, percent=99)
    assert Night(cloud=SimulatedEc2(*machines(3), *others)).sweep(Mode.REPORT).listed == 3
    wide = Night(cloud=SimulatedEc2(*machines(3), *others), policy=a_policy(limits=limits))
    assert wide.sweep(Mode.REPORT).listed == 8


def test_paused_sweep_spends_no_daily_budget() -> None:
    limits = replace(NO_LIMITS, per_day=3)
    night = Night(cloud=SimulatedEc2(*machines(3)), policy=a_policy(limits=limits))
    night.ledger.pause(Pause(since=NOW, by="kim", reason="exam today"))
    night.sweep()
    night.ledger.resume()

    assert night.sweep().count(Result.VERIFIED) == 3


def test_paused_sweep_does_nothing_and_reports_who_paused() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.ledger.pause(Pause(since=NOW, by="kim", reason="exam today"))

    report = night.sweep()

    assert report.status is Status.PAUSED
    assert "kim: exam today" in report.problem
    assert night.cloud.orders == []
    assert not report.failed


def test_the_same_scheduled_time_is_not_swept_twice() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)), scheduled_at=NOW)
    assert night.sweep().status is Status.COMPLETED
    night.cloud.add(a_machine(id=an_id(3)))

    report = night.sweep()

    assert report.status is Status.DUPLICATE
    assert night.cloud.ids("running") == {an_id(3)}
    night.scheduled_at = NOW + timedelta(days=1)
    assert night.sweep().status is Status.COMPLETED


def test_direct_sweep_between_two_deliveries_keeps_the_second_from_acting() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)), scheduled_at=NOW)
    night.sweep()
    night.scheduled_at = None
    assert night.sweep().status is Status.COMPLETED
    night.cloud.add(a_machine(id=an_id(2)))
    night.scheduled_at = NOW

    assert night.sweep().status is Status.DUPLICATE
    assert night.cloud.ids("running") == {an_id(2)}


def test_a_plan_far_over_its_limit_does_not_read_every_protection() -> None:
    limits = replace(NO_LIMITS, per_sweep=5)
    night = Night(cloud=SimulatedEc2(*machines(200)), policy=a_policy(limits=limits))

    report = night.sweep()

    assert report.status is Status.REFUSED
    assert sum(action == "DescribeInstanceAttribute" for action, _ in night.cloud.calls) == 40


def test_protected_instances_do_not_count_against_a_limit() -> None:
    limits = replace(NO_LIMITS, per_sweep=5)
    night = Night(cloud=SimulatedEc2(*machines(50)), policy=a_policy(limits=limits))
    for number in range(6, 51):
        night.cloud.change(an_id(number), termination_protected=True)

    assert night.sweep().count(Result.VERIFIED) == 5


def test_report_mode_sweep_does_not_complete_the_scheduled_time() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)), scheduled_at=NOW)
    night.sweep(Mode.REPORT)

    assert night.sweep().status is Status.COMPLETED


def test_only_a_complete_sweep_sets_the_watermark() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)), scheduled_at=NOW)
    night.cloud.fail("TerminateInstances", refusal("AuthFailure"))
    night.sweep()
    assert night.ledger.watermark(HERE, "nightly") is None

    night.sweep()

    mark = night.ledger.watermark(HERE, "nightly", "nightly")
    assert mark is not None
    assert (mark.scheduled_at, mark.listed) == (NOW, 2)


def test_age_of_an_instance_survives_a_restart() -> None:
    policy = a_policy(older_than=timedelta(days=3))
    night = Night(cloud=SimulatedEc2(*machines(1)), policy=policy)
    assert kept(night.sweep()) == {an_id(1): "older-than"}

    night.time.at += timedelta(days=4)
    night.cloud.change(an_id(1), started_at=night.time.at - timedelta(hours=1))

    assert night.sweep().count(Result.VERIFIED) == 1


def test_protections_that_cannot_be_read_at_all_fail_the_sweep() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("DescribeInstanceAttribute", refusal("UnauthorizedOperation", 403))

    report = night.sweep()

    assert report.status is Status.FAILED
    assert "UnauthorizedOperation" in report.problem
    assert night.cloud.orders == []


def test_instance_with_an_unreadable_protection_is_kept() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("DescribeInstanceAttribute", THROTTLED)

    report = night.sweep()

    assert kept(report) == {an_id(1): "protection-unknown"}
    assert results(report) == {an_id(2): Result.VERIFIED}


def test_protections_are_read_for_candidates_only() -> None:
    others = [a_machine(id=an_id(100 + n), tags={}) for n in range(50)]
    night = Night(cloud=SimulatedEc2(*machines(2), *others))

    night.sweep(Mode.REPORT)

    assert sum(action == "DescribeInstanceAttribute" for action, _ in night.cloud.calls) == 4


def test_every_candidate_is_accounted_for() -> None:
    cloud = SimulatedEc2(*machines(6))
    cloud.tag(an_id(1), curfew__keep="yes")
    cloud.change(an_id(2), termination_protected=True)
    cloud.deny(an_id(3))
    night = Night(cloud=cloud)

    report = night.sweep()

    assert report.plan is not None
    assert report.plan.candidates == 6
    assert len(report.plan.kept) + len(report.outcomes) == 6


@pytest.mark.parametrize(
    ("stack", "asked", "runs"),
    [
        (Mode.REPORT, None, Mode.REPORT),
        (Mode.REPORT, Mode.REPORT, Mode.REPORT),
        (Mode.ACT, None, Mode.ACT),
        (Mode.ACT, Mode.ACT, Mode.ACT),
        (Mode.ACT, Mode.REPORT, Mode.REPORT),
    ],
)
def test_a_request_can_only_weaken_the_mode(stack: Mode, asked: Mode | None, runs: Mode) -> None:
    assert effective_mode(stack, asked) is runs


def test_a_request_cannot_make_a_reporting_stack_act() -> None:
    with pytest.raises(RequestError, match='asks for mode "act"'):
        effective_mode(Mode.REPORT, Mode.ACT)


@pytest.mark.parametrize(
    "late", [MAX_LATENESS + timedelta(seconds=1), -MAX_LATENESS - timedelta(seconds=1)]
)
def test_a_trigger_at_the_wrong_time_is_refused(late: timedelta) -> None:
    request = SweepRequest(policy="nightly", schedule="s", scheduled_at=NOW)

    with pytest.raises(StaleTriggerError, match="2026-03-04T02:00:00"):
        reject_stale(request, NOW + late)
    reject_stale(request, NOW + timedelta(minutes=59))
    with pytest.raises(StaleTriggerError):
        reject_stale(request, NOW + timedelta(minutes=61))


def test_instance_store_or_spot_instance_is_never_stopped() -> None:
    cloud = SimulatedEc2(
        a_machine(id=an_id(1), root_device="instance-store"),
        a_machine(id=an_id(2), spot_request="sir-00000001"),
        a_machine(id=an_id(3)),
    )
    night = Night(cloud=cloud, policy=a_policy(action=ActionKind.STOP, selector=a_selector()))

    report = night.sweep()

    assert kept(report) == {an_id(1): "cannot-stop", an_id(2): "cannot-stop"}
    assert night.cloud.ids("stopped") == {an_id(3)}


def test_an_instance_that_is_listed_twice_counts_once() -> None:
    night = Night(
        cloud=SimulatedEc2(
            *machines(4), *(a_machine(id=an_id(100 + n), tags={}) for n in range(6))
        ),
        policy=a_policy(limits=replace(NO_LIMITS, percent=20)),
    )
    night.cloud.always(FaultKind.TWICE, "DescribeInstances")

    report = night.sweep()

    assert report.listed == 10
    assert report.status is Status.REFUSED


def test_internal_error_while_planning_is_a_failed_report() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)), ledger=Confused())

    report = night.sweep()

    assert report.status is Status.FAILED
    assert "unexpected KeyError" in report.problem
    assert night.cloud.orders == []


class Confused(MemoryLedger):
    def record_first_seen(self, *_: Any) -> Any:
        raise KeyError("since")


def test_internal_error_before_acting_is_a_failed_report() -> None:
    class Bewildered(MemoryLedger):
        def paused(self) -> Any:
            raise KeyError("since")

    night = Night(cloud=SimulatedEc2(*machines(2)), ledger=Bewildered())

    report = night.sweep()

    assert report.status is Status.FAILED
    assert "unexpected KeyError" in report.problem
    assert report.count(Result.NOT_ATTEMPTED) == 2
    assert night.cloud.orders == []


def test_unwritable_watermark_fails_the_sweep_and_keeps_its_outcomes() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)), ledger=Unreachable("complete"))

    report = night.sweep()

    assert report.status is Status.FAILED
    assert report.count(Result.VERIFIED) == 2


def test_progress_reports_how_many_instances_are_listed() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.sweep(Mode.REPORT)

    assert night.counts == [1, 2, 3]
