"""Execute plans on a cloud that responds as EC2 does, with faults."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from curfew.core.audit import Draft, EntryKind, broken
from curfew.core.errors import LedgerError
from curfew.core.instance import ActionKind, Instance, State
from curfew.core.report import Result, Status
from curfew.core.target import Mode, Target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Pause
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep.execution import BATCH
from curfew.sweep.zone_worker import PATIENCE
from curfew_simulator.cloud.ec2.machine import Machine
from curfew_simulator.cloud.faults import Fault, FaultKind
from tests.builders import HERE, NOW, a_policy, a_selector, an_id
from tests.cloud import BROKEN, LOST, NOTHING, ORDERS, THROTTLED, SimulatedEc2, a_machine, refusal
from tests.night import Night, kept, results

A, B = "eu-central-1a", "eu-central-1b"


def machines(count: int, *, zone: str = A, start: int = 1) -> list[Machine]:
    return [a_machine(id=an_id(number), zone=zone) for number in range(start, start + count)]


def two_zones() -> SimulatedEc2:
    return SimulatedEc2(*machines(20, zone=A), *machines(20, zone=B, start=21))


class Crash(BaseException):
    """The process ends here, as if Lambda ran out of time or memory."""


def crash() -> None:
    raise Crash


def test_every_terminated_instance_is_verified() -> None:
    night = Night(cloud=two_zones())

    report = night.sweep()

    assert report.status is Status.COMPLETED
    assert report.count(Result.VERIFIED) == 40
    assert night.cloud.ids("running") == set()


@pytest.mark.parametrize("shield", ["termination_protected", "stop_protected"])
def test_one_protected_instance_of_forty_gives_one_kept_row(shield: str) -> None:
    night = Night(cloud=two_zones())
    night.cloud.change(an_id(7), **{shield: True})

    report = night.sweep()

    assert report.status is Status.COMPLETED
    assert list(kept(report)) == [an_id(7)]
    assert report.count(Result.VERIFIED) == 39
    assert night.cloud.ids("running") == {an_id(7)}


def test_protection_seen_after_planning_keeps_only_that_instance() -> None:
    night = Night(cloud=two_zones())
    night.cloud.before(
        "TerminateInstances", lambda: night.cloud.change(an_id(7), termination_protected=True)
    )

    report = night.sweep()

    assert results(report).pop(an_id(7)) is Result.KEPT
    assert report.count(Result.VERIFIED) == 39
    assert [len(ids) for _, ids in night.cloud.orders] == [20, 19, 20]
    assert night.cloud.ids("running") == {an_id(7)}


def test_instance_refused_by_iam_is_found_by_splitting_the_batch() -> None:
    night = Night(cloud=SimulatedEc2(*machines(8)))
    night.cloud.deny(an_id(3))

    report = night.sweep()

    assert results(report)[an_id(3)] is Result.FAILED
    assert report.count(Result.VERIFIED) == 7
    assert report.status is Status.FAILED


def test_batches_have_one_zone_and_at_most_twenty_and_cover_the_plan() -> None:
    night = Night(cloud=SimulatedEc2(*machines(45, zone=A), *machines(5, zone=B, start=46)))

    night.sweep()

    orders = [set(ids) for _, ids in night.cloud.orders]
    assert sorted(map(len, orders)) == [5, 5, BATCH, BATCH]
    assert set.union(*orders) == {an_id(n) for n in range(1, 51)}
    assert sum(map(len, orders)) == 50
    for ids in orders:
        assert len({night.cloud.machines[id_].zone for id_ in ids}) == 1


def test_missing_instance_is_not_claimed_and_affects_no_other() -> None:
    night = Night(cloud=SimulatedEc2(*machines(5)))
    night.cloud.before("TerminateInstances", lambda: night.cloud.machines.pop(an_id(2)))

    report = night.sweep()

    assert results(report)[an_id(2)] is Result.KEPT
    assert report.count(Result.VERIFIED) == 4


def test_instance_missing_at_recheck_is_kept() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.before("DescribeInstances", lambda: night.cloud.machines.pop(an_id(2)), on=2)

    report = night.sweep()

    assert results(report)[an_id(2)] is Result.KEPT
    assert all(an_id(2) not in ids for _, ids in night.cloud.orders)


@pytest.mark.parametrize(
    "change",
    [
        {"tags": {"env": "dev", "CURFEW:keep": ""}},
        {"tags": {"env": "prod"}},
        {"tags": {}},
        {"tags": {"env": "dev", "aws:autoscaling:groupName": "workers"}},
        {"state": "stopped"},
        {"state": "shutting-down"},
        {"started_at": NOW - timedelta(minutes=1)},
        {"started_at": None},
        {"termination_protected": True},
        {"managed_by": "eks.amazonaws.com"},
    ],
    ids=str,
)
def test_change_between_plan_and_call_is_seen(change: dict[str, object]) -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.before("DescribeInstances", lambda: night.cloud.change(an_id(2), **change), on=2)
    report = night.sweep()

    assert results(report)[an_id(2)] is Result.KEPT
    assert report.count(Result.VERIFIED) == 2
    assert all(an_id(2) not in ids for _, ids in night.cloud.orders)


def test_a_call_that_worked_but_was_never_answered_is_verified_and_not_repeated() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.fail("TerminateInstances", LOST)

    report = night.sweep()

    assert report.count(Result.VERIFIED) == 3
    assert len(night.cloud.orders) == 1


def test_a_call_that_was_never_made_is_repeated() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.fail("TerminateInstances", NOTHING)

    report = night.sweep()

    assert report.count(Result.VERIFIED) == 3
    assert len(night.cloud.orders) == 2


def test_a_throttle_slows_down_and_splits_nothing() -> None:
    night = Night(cloud=SimulatedEc2(*machines(6)))
    night.cloud.fail("TerminateInstances", THROTTLED, times=2)

    report = night.sweep()

    assert report.count(Result.VERIFIED) == 6
    assert [len(ids) for _, ids in night.cloud.orders] == [6, 6, 6]
    assert sum(night.time.slept) >= 6


def test_endless_transient_errors_abort_and_are_reported() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("TerminateInstances", BROKEN, times=99)

    report = night.sweep()

    assert report.status is Status.FAILED
    assert report.count(Result.UNKNOWN) == 2  # the cloud may have done it before it failed
    assert len(night.cloud.orders) == PATIENCE


def test_transient_error_in_one_zone_does_not_stop_another() -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("TerminateInstances", BROKEN, times=PATIENCE)

    report = night.sweep()

    assert report.count(Result.UNKNOWN) == 20
    assert report.count(Result.VERIFIED) == 20
    assert report.problem == ""


@pytest.mark.parametrize("code", ["AuthFailure", "ExpiredToken", "OptInRequired", "NeverHeardOf"])
def test_general_or_unknown_error_stops_the_run(code: str) -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("TerminateInstances", refusal(code, 403), times=99)

    report = night.sweep()

    assert len(night.cloud.orders) == 1
    assert report.status is Status.FAILED
    assert report.count(Result.FAILED) == 20
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert code in report.outcomes[0].detail


def test_outcome_is_unknown_when_describing_fails_too() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.fail("TerminateInstances", LOST)
    night.cloud.fail("DescribeInstances", refusal("ExpiredToken"), on=3, times=99)

    report = night.sweep()

    assert report.count(Result.UNKNOWN) == 3
    assert report.status is Status.FAILED


def test_deadline_stops_before_a_batch_and_reports_what_is_left() -> None:
    night = Night(cloud=two_zones(), deadline=NOW + timedelta(seconds=90))
    # The first batch takes half a minute.
    night.cloud.before("TerminateInstances", lambda: night.time.sleep(40))

    report = night.sweep()

    assert report.status is Status.STOPPED
    assert report.count(Result.VERIFIED) == 20
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert "out of time" in report.outcomes[-1].detail
    assert report.failed


def test_stale_plan_is_not_executed() -> None:
    night = Night(cloud=two_zones())
    night.cloud.before("TerminateInstances", lambda: night.time.sleep(16 * 60))

    report = night.sweep()

    assert len(night.cloud.orders) == 1
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert "stale" in report.outcomes[-1].detail


def test_the_pause_switch_stops_the_next_batch() -> None:
    night = Night(cloud=two_zones())
    thrown = Pause(since=NOW, by="kim", reason="exam today")
    night.cloud.before("TerminateInstances", lambda: night.ledger.pause(thrown))

    report = night.sweep()

    assert report.status is Status.PAUSED
    assert len(night.cloud.orders) == 1
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert "kim: exam today" in report.outcomes[-1].detail


def test_termination_not_seen_in_time_is_accepted_and_not_verified() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.fail("DescribeInstances", THROTTLED, on=3, times=99)

    report = night.sweep()

    assert results(report) == {an_id(1): Result.ACCEPTED}
    assert report.status is Status.COMPLETED
    assert sum(night.time.slept) == 60


def test_failed_recheck_stops_the_run_and_is_reported() -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("DescribeInstances", refusal("AuthFailure"), on=2)

    report = night.sweep()

    assert night.cloud.orders == []
    assert report.count(Result.NOT_ATTEMPTED) == 40
    assert report.status is Status.STOPPED
    assert "AuthFailure" in report.problem


class Hiccup(MemoryLedger):
    """A ledger that fails one write."""

    hiccups = 1

    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        if self.hiccups:
            self.hiccups -= 1
            raise LedgerError("the ledger cannot be used")
        super().append(target, drafts)


def test_a_ledger_that_failed_once_is_not_trusted_with_another_batch() -> None:
    night = Night(cloud=two_zones(), ledger=Hiccup())

    report = night.sweep()

    assert night.cloud.orders == []
    assert report.count(Result.NOT_ATTEMPTED) == 40
    assert "the ledger cannot be used" in report.problem


def test_batch_kept_as_a_whole_makes_no_call() -> None:
    night = Night(cloud=SimulatedEc2(*machines(4)))
    night.cloud.deny(an_id(1))

    def protect_the_other_half() -> None:
        for number in (3, 4):
            night.cloud.tag(an_id(number), curfew__keep="")

    night.cloud.before("TerminateInstances", protect_the_other_half, on=2)
    report = night.sweep()

    assert all(ids for _, ids in night.cloud.orders)
    assert report.count(Result.KEPT) == 2
    assert report.problem == ""


def test_instance_terminated_by_another_actor_is_not_claimed() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.before(
        "TerminateInstances", lambda: night.cloud.change(an_id(1), state="terminated")
    )

    report = night.sweep()

    assert results(report) == {an_id(1): Result.KEPT, an_id(2): Result.VERIFIED}


def test_effect_missing_from_a_stale_description_is_still_claimed() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.fail("TerminateInstances", LOST)
    night.cloud.before(
        "DescribeInstances", lambda: night.cloud.change(an_id(1), state="running"), on=3
    )
    night.cloud.before(
        "TerminateInstances", lambda: night.cloud.change(an_id(1), state="shutting-down"), on=2
    )

    report = night.sweep()

    assert len(night.cloud.orders) == 2
    assert results(report) == {an_id(1): Result.VERIFIED}


def test_stopping_stops_and_does_not_terminate() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)), policy=a_policy(action=ActionKind.STOP))

    report = night.sweep()

    assert report.count(Result.VERIFIED) == 2
    assert night.cloud.ids("stopped") == {an_id(1), an_id(2)}
    assert [action for action, _ in night.cloud.orders] == ["StopInstances"]


def test_the_audit_has_every_intent_before_its_call_and_one_outcome_after_it() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    ledger = night.ledger
    before_the_call: list[str] = []
    night.cloud.before(
        "TerminateInstances",
        lambda: before_the_call.extend(e.draft.kind for e in ledger.entries(HERE)),
    )

    night.sweep()

    assert before_the_call == [EntryKind.INTENT] * 3
    entries = list(ledger.entries(HERE))
    assert [e.draft.kind for e in entries[3:]] == [EntryKind.OUTCOME] * 3
    assert {e.draft.body["result"] for e in entries[3:]} == {"verified"}
    assert broken(entries) is None
    assert ledger.open_intents(HERE) == ()
    assert entries[0].draft.body["instance"]["tags"] == {"env": "dev"}


def test_open_intent_of_an_interrupted_sweep_is_resolved_by_the_next() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.before("TerminateInstances", crash)
    with pytest.raises(Crash):
        night.sweep()
    assert len(night.ledger.open_intents(HERE)) == 3
    night.cloud.change(an_id(1), state="terminated")
    night.cloud.machines.pop(an_id(3))
    night.time.sleep(3_600)

    report = night.sweep()

    assert night.ledger.open_intents(HERE) == ()
    outcomes = [e.draft for e in night.ledger.entries(HERE) if e.draft.kind is EntryKind.OUTCOME]
    settled = [draft.body["result"] for draft in outcomes if draft.sweep_id == "sweep-1"]
    assert settled == ["verified", "unknown", "unknown"]
    ended, still, gone = report.resolved_intents
    assert ended.startswith(
        f"terminate {an_id(1)} by sweep sweep-1: verified: its sweep was interrupted"
    )
    assert still.endswith("it is still running")
    assert gone.endswith("the cloud does not show it")


def test_recent_intent_may_belong_to_a_running_sweep_and_stays_open() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.ledger = MemoryLedger()
    night.cloud.before("TerminateInstances", crash)
    with pytest.raises(Crash):
        night.sweep()

    night.policy = a_policy(selector=a_selector(states=frozenset({State.STOPPED})))
    night.sweep()

    assert len(night.ledger.open_intents(HERE)) == 1


class TestSpot:
    def persistent(self) -> Night:
        cloud = SimulatedEc2(
            a_machine(id=an_id(1), spot_request="sir-00000001"), *machines(2, start=2)
        )
        cloud.request_spot("sir-00000001", an_id(1))
        return Night(cloud=cloud)

    def test_a_persistent_request_is_cancelled_before_its_instance_is_terminated(self) -> None:
        night = self.persistent()

        report = night.sweep()

        assert [action for action, _ in night.cloud.orders] == [
            "CancelSpotInstanceRequests",
            "TerminateInstances",
        ]
        assert report.count(Result.VERIFIED) == 3
        assert night.cloud.ids("running") == set()

    def test_spot_request_that_cannot_be_cancelled_keeps_its_instance(self) -> None:
        night = self.persistent()
        night.cloud.fail("CancelSpotInstanceRequests", BROKEN)

        report = night.sweep()

        assert results(report)[an_id(1)] is Result.FAILED
        assert report.count(Result.VERIFIED) == 2
        assert night.cloud.ids("running") == {an_id(1)}

    def test_spot_request_that_cannot_be_described_keeps_its_instance(self) -> None:
        night = self.persistent()
        night.cloud.spot_requests.clear()

        report = night.sweep()

        assert results(report)[an_id(1)] is Result.FAILED
        assert night.cloud.ids("running") == {an_id(1)}

    def test_instance_protected_after_the_cancel_reports_the_cancelled_request(
        self,
    ) -> None:
        night = self.persistent()
        keep = {"env": "dev", "curfew:keep": ""}
        night.cloud.before(
            "CancelSpotInstanceRequests",
            lambda: night.cloud.change(an_id(1), tags=keep),
        )

        report = night.sweep()

        assert results(report)[an_id(1)] is Result.KEPT
        assert "its Spot request is cancelled" in report.outcomes[0].detail

    def test_instance_ended_by_cancelling_a_disabled_request_is_claimed(self) -> None:
        night = self.persistent()
        night.policy = a_policy(selector=a_selector(states=frozenset({State.STOPPED})))
        night.cloud.change(an_id(1), state="stopped")
        night.cloud.request_spot("sir-00000001", an_id(1), state="disabled")

        report = night.sweep()

        assert results(report) == {an_id(1): Result.VERIFIED}
        assert [action for action, _ in night.cloud.orders] == ["CancelSpotInstanceRequests"]

    def test_one_time_spot_request_is_not_cancelled(self) -> None:
        night = self.persistent()
        night.cloud.request_spot("sir-00000001", an_id(1), persistent=False)

        report = night.sweep()

        assert report.count(Result.VERIFIED) == 3
        assert [action for action, _ in night.cloud.orders] == ["TerminateInstances"]


class TestWhatAnEffectMayHaveBeenIsNeverDenied:
    """A call without a clear response may have had an effect, even if a later read, which may be stale, denies it."""

    def stale(self, night: Night, *looks: int) -> None:
        """Let these reads return the state before the effect."""
        for look in looks:
            night.cloud.before(
                "DescribeInstances", lambda: night.cloud.change(an_id(1), state="running"), on=look
            )

    def test_pause_after_an_unanswered_call_leaves_the_outcome_unknown(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(1)))
        night.cloud.fail("TerminateInstances", LOST)
        self.stale(night, 3)
        night.cloud.before(
            "TerminateInstances",
            lambda: night.ledger.pause(Pause(since=NOW, by="kim", reason="exam")),
        )

        report = night.sweep()

        assert results(report) == {an_id(1): Result.UNKNOWN}
        assert report.failed
        assert "kim: exam" in report.problem

    def test_unreadable_protection_after_a_call_leaves_the_outcome_unknown(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(1)))
        night.cloud.fail("TerminateInstances", LOST)
        self.stale(night, 3)
        night.cloud.fail("DescribeInstanceAttribute", THROTTLED, on=5, times=9)

        assert results(night.sweep()) == {an_id(1): Result.UNKNOWN}

    def test_response_that_omits_the_instance_leaves_the_outcome_unknown(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(2)))
        night.cloud.always(FaultKind.IDLE, *ORDERS)
        night.cloud.always(FaultKind.UNNAMED, *ORDERS, ids=frozenset({an_id(1)}))

        assert results(night.sweep()) == {an_id(1): Result.UNKNOWN, an_id(2): Result.ACCEPTED}

    def test_instance_that_the_response_omits_is_verified(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(2)))
        night.cloud.always(FaultKind.UNNAMED, *ORDERS, ids=frozenset({an_id(1)}))

        assert night.sweep().count(Result.VERIFIED) == 2

    def test_throttled_call_surely_had_no_effect(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(1)))
        night.cloud.fail("TerminateInstances", THROTTLED, times=9)

        assert results(night.sweep()) == {an_id(1): Result.FAILED}


def test_instance_ended_by_another_actor_during_a_refusal_is_not_claimed() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.change(an_id(2), zone=A)
    night.cloud.deny(an_id(2))
    night.cloud.before(
        "DescribeInstances",
        lambda: night.cloud.change(an_id(1), state="shutting-down"),
        on=3,
    )

    assert results(night.sweep())[an_id(1)] is Result.KEPT


def test_waiting_ends_before_the_deadline_does() -> None:
    deadline = NOW + timedelta(seconds=320)
    night = Night(cloud=SimulatedEc2(*machines(16)), deadline=deadline)
    night.cloud.deny(an_id(1))
    night.cloud.fail("TerminateInstances", THROTTLED, on=2, times=99)

    report = night.sweep()

    assert night.time.at <= deadline
    assert max(night.time.slept) <= 16
    assert len(report.outcomes) == 16


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_unreadable_response_loses_no_outcome(nth: int) -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("DescribeInstances", Fault(kind=FaultKind.GARBLED), on=nth)

    report = night.sweep()

    assert report.failed or report.count(Result.VERIFIED) == 40
    if nth > 1:
        assert len(report.outcomes) == 40


def test_call_with_an_unreadable_response_is_verified() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("TerminateInstances", Fault(kind=FaultKind.GARBLED), on=1)

    assert night.sweep().count(Result.VERIFIED) == 2


def test_internal_error_stops_the_run_and_loses_no_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    night = Night(cloud=two_zones())
    release = Ec2Provider.release

    def faulty(self: Ec2Provider, instances: list[Instance], *, by: str) -> object:
        if an_id(21) in {instance.id for instance in instances}:
            raise AttributeError("oops")
        return release(self, instances, by=by)

    monkeypatch.setattr(Ec2Provider, "release", faulty)
    report = night.sweep()

    assert report.count(Result.VERIFIED) == 20
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert "unexpected AttributeError: oops" in report.problem
    assert night.ledger.open_intents(HERE) == ()


def test_instances_without_a_zone_go_one_by_one() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3, zone="")))

    assert night.sweep().count(Result.VERIFIED) == 3
    assert [len(ids) for _, ids in night.cloud.orders] == [1, 1, 1]


def test_a_managed_instance_without_the_name_of_its_manager_is_kept() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.change(an_id(1), managed_by=" ")

    assert kept(night.sweep()) == {an_id(1): "managed-by-service"}


def test_report_mode_makes_no_call_that_could_change_anything() -> None:
    night = Night(cloud=two_zones())

    report = night.sweep(Mode.REPORT)

    assert report.plan is not None
    assert len(report.plan.actions) == 40
    assert night.cloud.orders == []
    assert list(night.ledger.entries(HERE)) == []
