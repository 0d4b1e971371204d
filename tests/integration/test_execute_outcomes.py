"""The exact outcome of each action, number of reads, and waiting time of act mode."""

from datetime import timedelta

import pytest

from curfew.clock import Clock
from curfew.core.instance import ActionKind
from curfew.core.lease import Fleet
from curfew.core.plan import Plan
from curfew.core.report import Outcome, Report, Result
from curfew.sweep.execution import Executed, execute
from curfew_simulator.cloud.ec2.machine import Machine
from curfew_simulator.cloud.faults import FaultKind
from tests.builders import HERE, NOW, a_policy, a_selector, an_id
from tests.cloud import BROKEN, ORDERS, THROTTLED, SimulatedEc2, a_machine, refusal
from tests.night import Night, leased, results

ONE, TWO, THREE = an_id(1), an_id(2), an_id(3)


def machines(count: int, start: int = 1) -> list[Machine]:
    return [a_machine(id=an_id(number)) for number in range(start, start + count)]


def of(report: Report, id_: str) -> Outcome:
    return next(o for o in report.outcomes if o.action.instance.id == id_)


def expired() -> tuple[Night, Fleet]:
    """Return a night with the policy for expired leases, and a fleet of two whose lease expired a minute ago."""
    policy = a_policy(selector=a_selector(tags=(), expired=True))
    night = Night(cloud=SimulatedEc2(*machines(2)), policy=policy)
    return night, leased(night, ONE, TWO, ends_in=-timedelta(minutes=1))


def persistent() -> Night:
    cloud = SimulatedEc2(a_machine(id=ONE, spot_request="sir-00000001"))
    cloud.request_spot("sir-00000001", ONE)
    return Night(cloud=cloud)


def looks(night: Night) -> int:
    return sum(action == "DescribeInstances" for action, _ in night.cloud.calls)


def test_kept_instance_with_a_cancelled_spot_request_reports_both() -> None:
    night = persistent()
    keep = {"env": "dev", "curfew:keep": ""}
    night.cloud.before("CancelSpotInstanceRequests", lambda: night.cloud.change(ONE, tags=keep))

    detail = of(night.sweep(), ONE).detail

    assert detail == "protect-tag: has the tag curfew:keep; its Spot request is cancelled"


def test_spot_request_that_cannot_be_cancelled_reports_why() -> None:
    night = persistent()
    night.cloud.fail("CancelSpotInstanceRequests", BROKEN)

    detail = of(night.sweep(), ONE).detail

    assert detail.startswith("would be launched again: ")
    assert "InternalError" in detail


def test_lease_renewed_after_recheck_keeps_its_instances() -> None:
    night, lab = expired()
    night.cloud.before(
        "DescribeInstanceAttribute",
        lambda: night.ledger.fleets.renew(lab, NOW + timedelta(hours=8), now=NOW),
        on=8,
    )

    report = night.sweep()

    assert results(report) == {ONE: Result.KEPT, TWO: Result.KEPT}
    assert {outcome.detail for outcome in report.outcomes} == {
        "leased: its lease was renewed, or another sweep has claimed its fleet"
    }


def test_fleet_is_claimed_only_while_its_sweep_terminates_it() -> None:
    night, _ = expired()
    claimed: list[str] = []

    def who() -> None:
        fleet = night.ledger.fleets.get("lab")
        claimed.append(fleet.claimed_by if fleet else "")

    night.cloud.before("TerminateInstances", who)
    night.sweep()
    who()

    assert claimed == ["sweep-1", ""]


def test_instance_already_ended_is_attributed_to_another_actor() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.before("TerminateInstances", lambda: night.cloud.change(ONE, state="terminated"))

    assert of(night.sweep(), ONE).detail == "was already terminated before this sweep's call"


def test_instance_protected_only_in_the_cloud_is_kept() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.fail("TerminateInstances", refusal("OperationNotPermitted"))

    outcome = of(night.sweep(), ONE)

    assert outcome.result is Result.KEPT
    assert outcome.detail.startswith("the cloud refused: ")
    assert "OperationNotPermitted" in outcome.detail


def test_instance_refused_for_another_reason_has_failed() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.deny(ONE)

    outcome = of(night.sweep(), ONE)

    assert outcome.result is Result.FAILED
    assert outcome.detail.startswith("the cloud refused: ")


def test_batch_without_the_missing_instance_needs_no_second_recheck() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.before("TerminateInstances", lambda: night.cloud.machines.pop(TWO))

    night.sweep()

    # The listing, the batch, after the error, and the one that verifies.
    assert looks(night) == 4


def test_only_the_second_half_of_a_split_batch_is_rechecked() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.deny(TWO, THREE)

    report = night.sweep()

    assert [len(ids) for _, ids in night.cloud.orders] == [3, 1, 2, 1, 1]
    assert report.count(Result.FAILED) == 2
    # The listing, the batch, after the error; the second half, after its error, after the third's; the last, after
    # its error; and the one that verifies.
    assert looks(night) == 9


def test_repeated_call_follows_directly_on_the_recheck_after_an_error() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("TerminateInstances", THROTTLED)

    night.sweep()

    assert looks(night) == 4


def test_each_wait_is_twice_the_one_before() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("TerminateInstances", THROTTLED, times=99)

    report = night.sweep()

    assert night.time.slept == [2, 4, 8]
    assert of(report, ONE).detail.startswith("still there after 4 tries: ")
    assert "RequestLimitExceeded" in of(report, ONE).detail


@pytest.mark.parametrize(("left", "slept"), [(62, [2]), (61, [])])
def test_waiting_leaves_time_for_another_call(left: int, slept: list[float]) -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)), deadline=NOW + timedelta(seconds=left))
    night.cloud.fail("TerminateInstances", THROTTLED, times=99)

    outcome = of(night.sweep(), ONE)

    assert night.time.slept == slept
    assert len(night.cloud.orders) == len(slept) + 1
    assert outcome.result is Result.FAILED
    assert outcome.detail.startswith(f"still there after {len(slept) + 1} tries: ")


def test_the_entries_of_a_sweep_are_its_own() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.sweep()
    assert {entry.draft.sweep_id for entry in night.ledger.entries(HERE)} == {"sweep-1"}


def test_plan_without_actions_makes_no_call_and_has_no_problem() -> None:
    night = Night(cloud=SimulatedEc2())
    clock = Clock(now=night.time.now, sleep=night.time.sleep)

    executed = execute(
        Plan(policy=night.policy, made_at=NOW),
        sweep_id="sweep-1",
        provider=night.cloud.provider(),
        ledger=night.ledger,
        clock=clock,
    )

    assert executed == Executed(outcomes=(), problem="")
    assert night.cloud.calls == []


@pytest.mark.parametrize(("left", "last"), [(70, 30), (69, 16)])
def test_verification_stops_while_there_is_time_to_record_outcomes(left: int, last: int) -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)), deadline=NOW + timedelta(seconds=left))
    night.cloud.always(FaultKind.IDLE, *ORDERS)

    outcome = of(night.sweep(), ONE)

    assert night.time.slept[-1] == last
    assert outcome.result is Result.ACCEPTED
    assert outcome.detail == "the cloud accepted the call; the end is not seen yet"


def test_verified_outcome_names_the_state() -> None:
    assert of(Night(cloud=SimulatedEc2(*machines(1))).sweep(), ONE).detail == "seen terminated"


def test_outcome_of_an_instance_missing_from_the_response_says_so() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.always(FaultKind.IDLE, *ORDERS)
    night.cloud.always(FaultKind.UNNAMED, *ORDERS, ids=frozenset({ONE}))

    assert of(night.sweep(), ONE).detail == "the cloud's answer did not name it"


def test_outcome_of_an_instance_that_vanished_says_so() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.before("DescribeInstances", lambda: night.cloud.machines.pop(ONE), on=2)

    assert (
        of(night.sweep(), ONE).detail
        == "the cloud no longer shows it, which does not prove that it ended"
    )


def test_stale_plan_error_says_what_to_do() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.before("DescribeInstances", lambda: night.time.sleep(16 * 60), on=2)

    assert of(night.sweep(), ONE).detail == "the plan is stale: make a new one"


def test_deadline_problem_says_what_continues_the_sweep() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)), deadline=NOW + timedelta(seconds=59))

    assert of(night.sweep(), ONE).detail == "out of time: left to the next sweep"


def test_failed_recheck_names_the_recheck() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.fail("DescribeInstances", refusal("AuthFailure"), on=2)

    assert night.sweep().problem.startswith("the re-check of the batch failed: ")


def test_plan_is_valid_up_to_its_exact_maximum_age() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.before("DescribeInstances", lambda: night.time.sleep(15 * 60), on=2)

    assert of(night.sweep(), ONE).result is Result.VERIFIED


@pytest.mark.parametrize(("seconds", "looked"), [(40, 3), (41, 4)])
def test_recheck_is_valid_for_forty_seconds_and_no_longer(seconds: int, looked: int) -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.before("DescribeInstances", lambda: night.time.sleep(seconds), on=2)

    assert of(night.sweep(), ONE).result is Result.VERIFIED
    # The listing, the batch, once more if that is too long ago, and the one that verifies.
    assert looks(night) == looked


def test_rechecks_that_all_take_too_long_are_reported() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    for look in (2, 3):
        night.cloud.before("DescribeInstances", lambda: night.time.sleep(41), on=look)

    report = night.sweep()

    assert night.cloud.orders == []
    assert (
        report.problem
        == "the re-check is too old to act on: describing the instance takes too long"
    )


def test_refusal_that_affects_every_instance_is_the_sweeps_problem() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.fail("TerminateInstances", refusal("AuthFailure", 401))

    report = night.sweep()

    assert report.problem.startswith("AuthFailure: made to fail")
    assert of(report, ONE).detail == report.problem


def test_empty_half_of_a_batch_does_not_block_the_other_half() -> None:
    night = Night(cloud=SimulatedEc2(*machines(4)))
    keep = {"env": "dev", "curfew:keep": ""}

    def protect() -> None:
        for id_ in (ONE, TWO):
            night.cloud.change(id_, tags=keep)

    night.cloud.fail("TerminateInstances", refusal("OperationNotPermitted"))
    night.cloud.fail("TerminateInstances", THROTTLED, on=2)
    night.cloud.before("TerminateInstances", protect, on=2)

    report = night.sweep()

    assert results(report) == {
        ONE: Result.KEPT,
        TWO: Result.KEPT,
        THREE: Result.VERIFIED,
        an_id(4): Result.VERIFIED,
    }


def test_ledger_records_which_instances_ended_and_when() -> None:
    night, _ = expired()

    night.sweep()

    members = night.ledger.fleets.members("op-lab")
    assert [member.ended_at for member in members] == [night.time.now()] * 2
    fleet = night.ledger.fleets.get("lab")
    assert fleet is not None
    assert fleet.ended_at == night.time.now()


def test_ledger_records_no_end_that_was_not_seen() -> None:
    night, _ = expired()
    night.cloud.always(FaultKind.IDLE, *ORDERS)

    assert of(night.sweep(), ONE).result is Result.ACCEPTED
    assert {member.ended_at for member in night.ledger.fleets.members("op-lab")} == {None}


def test_stopped_instance_has_not_ended() -> None:
    policy = a_policy(selector=a_selector(tags=(), expired=True), action=ActionKind.STOP)
    night = Night(cloud=SimulatedEc2(*machines(2)), policy=policy)
    leased(night, ONE, TWO, ends_in=-timedelta(minutes=1))

    assert of(night.sweep(), ONE).result is Result.VERIFIED
    assert {member.ended_at for member in night.ledger.fleets.members("op-lab")} == {None}
