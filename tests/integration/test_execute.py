"""Acting on a cloud that answers as EC2 does, on its bad nights too."""

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
from curfew_simulator.cloud.faults import Fault, Kind
from tests.builders import HERE, NOW, a_policy, a_selector, an_id
from tests.cloud import BROKEN, LOST, NOTHING, ORDERS, THROTTLED, SimulatedEc2, a_machine, refusal
from tests.night import Night, kept, results

A, B = "eu-central-1a", "eu-central-1b"


def machines(count: int, *, zone: str = A, start: int = 1) -> list[Machine]:
    return [a_machine(id=an_id(number), zone=zone) for number in range(start, start + count)]


def two_zones() -> SimulatedEc2:
    return SimulatedEc2(*machines(20, zone=A), *machines(20, zone=B, start=21))


class Crash(BaseException):
    """The process ends here, as when Lambda is out of time or memory."""


def crash() -> None:
    raise Crash


def test_everything_that_has_to_go_is_verified() -> None:
    night = Night(cloud=two_zones())

    report = night.sweep()

    assert report.status is Status.COMPLETED
    assert report.count(Result.VERIFIED) == 40
    assert night.cloud.ids("running") == set()


@pytest.mark.parametrize("shield", ["termination_protected", "stop_protected"])
def test_one_protected_among_forty_in_two_zones_costs_exactly_one_kept_row(shield: str) -> None:
    night = Night(cloud=two_zones())
    night.cloud.change(an_id(7), **{shield: True})

    report = night.sweep()

    assert report.status is Status.COMPLETED
    assert list(kept(report)) == [an_id(7)]
    assert report.count(Result.VERIFIED) == 39
    assert night.cloud.ids("running") == {an_id(7)}


def test_protection_that_shows_only_after_the_plan_spares_the_instance_and_nobody_else() -> None:
    night = Night(cloud=two_zones())
    night.cloud.before(
        "TerminateInstances", lambda: night.cloud.change(an_id(7), termination_protected=True)
    )

    report = night.sweep()

    assert results(report).pop(an_id(7)) is Result.KEPT
    assert report.count(Result.VERIFIED) == 39
    assert [len(ids) for _, ids in night.cloud.orders] == [20, 19, 20]
    assert night.cloud.ids("running") == {an_id(7)}


def test_what_only_iam_refuses_is_found_by_splitting() -> None:
    night = Night(cloud=SimulatedEc2(*machines(8)))
    night.cloud.deny(an_id(3))

    report = night.sweep()

    assert results(report)[an_id(3)] is Result.FAILED
    assert report.count(Result.VERIFIED) == 7
    assert report.status is Status.FAILED


def test_batches_stay_within_a_zone_and_within_twenty_and_together_are_the_plan() -> None:
    night = Night(cloud=SimulatedEc2(*machines(45, zone=A), *machines(5, zone=B, start=46)))

    night.sweep()

    orders = [set(ids) for _, ids in night.cloud.orders]
    assert sorted(map(len, orders)) == [5, 5, BATCH, BATCH]
    assert set.union(*orders) == {an_id(n) for n in range(1, 51)}
    assert sum(map(len, orders)) == 50
    for ids in orders:
        assert len({night.cloud.machines[id_].zone for id_ in ids}) == 1


def test_an_instance_that_is_gone_is_not_claimed_and_costs_nobody_else() -> None:
    night = Night(cloud=SimulatedEc2(*machines(5)))
    night.cloud.before("TerminateInstances", lambda: night.cloud.machines.pop(an_id(2)))

    report = night.sweep()

    assert results(report)[an_id(2)] is Result.KEPT
    assert report.count(Result.VERIFIED) == 4


def test_an_instance_that_cannot_be_seen_at_the_last_look_is_spared() -> None:
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
        {"launched_at": NOW - timedelta(minutes=1)},
        {"launched_at": None},
        {"termination_protected": True},
        {"managed_by": "eks.amazonaws.com"},
    ],
    ids=str,
)
def test_what_changed_between_the_plan_and_the_call_is_seen(change: dict[str, object]) -> None:
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


def test_trouble_without_end_is_given_up_and_said() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("TerminateInstances", BROKEN, times=99)

    report = night.sweep()

    assert report.status is Status.FAILED
    assert report.count(Result.UNKNOWN) == 2  # the cloud may have done it before it failed
    assert len(night.cloud.orders) == PATIENCE


def test_trouble_in_one_zone_does_not_stop_another() -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("TerminateInstances", BROKEN, times=PATIENCE)

    report = night.sweep()

    assert report.count(Result.UNKNOWN) == 20
    assert report.count(Result.VERIFIED) == 20
    assert report.problem == ""


@pytest.mark.parametrize("code", ["AuthFailure", "ExpiredToken", "OptInRequired", "NeverHeardOf"])
def test_an_error_that_concerns_everybody_or_that_nobody_knows_stops_everything(code: str) -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("TerminateInstances", refusal(code, 403), times=99)

    report = night.sweep()

    assert len(night.cloud.orders) == 1
    assert report.status is Status.FAILED
    assert report.count(Result.FAILED) == 20
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert code in report.outcomes[0].detail


def test_when_even_looking_fails_nobody_claims_to_know() -> None:
    night = Night(cloud=SimulatedEc2(*machines(3)))
    night.cloud.fail("TerminateInstances", LOST)
    night.cloud.fail("DescribeInstances", refusal("ExpiredToken"), on=3, times=99)

    report = night.sweep()

    assert report.count(Result.UNKNOWN) == 3
    assert report.status is Status.FAILED


def test_out_of_time_it_stops_before_a_batch_and_says_what_is_left() -> None:
    night = Night(cloud=two_zones(), deadline=NOW + timedelta(seconds=90))
    # The first batch takes half a minute.
    night.cloud.before("TerminateInstances", lambda: night.time.sleep(40))

    report = night.sweep()

    assert report.status is Status.STOPPED
    assert report.count(Result.VERIFIED) == 20
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert "out of time" in report.outcomes[-1].detail
    assert report.failed


def test_a_plan_that_lay_too_long_is_not_carried_out() -> None:
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


def test_an_end_that_is_not_seen_in_time_is_accepted_and_not_verified() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)))
    night.cloud.fail("DescribeInstances", THROTTLED, on=3, times=99)

    report = night.sweep()

    assert results(report) == {an_id(1): Result.ACCEPTED}
    assert report.status is Status.COMPLETED
    assert sum(night.time.slept) == 60


def test_a_look_that_fails_stops_everything_and_says_so() -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("DescribeInstances", refusal("AuthFailure"), on=2)

    report = night.sweep()

    assert night.cloud.orders == []
    assert report.count(Result.NOT_ATTEMPTED) == 40
    assert report.status is Status.STOPPED
    assert "AuthFailure" in report.problem


class Hiccup(MemoryLedger):
    """Fails to write once."""

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


def test_a_group_that_is_spared_as_a_whole_is_no_call_at_all() -> None:
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


def test_what_somebody_else_terminated_is_not_claimed() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.before(
        "TerminateInstances", lambda: night.cloud.change(an_id(1), state="terminated")
    )

    report = night.sweep()

    assert results(report) == {an_id(1): Result.KEPT, an_id(2): Result.VERIFIED}


def test_an_effect_that_a_stale_look_did_not_show_is_still_ours() -> None:
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


def test_an_intent_whose_sweep_broke_off_is_settled_by_the_next_one() -> None:
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
    ended, still, gone = report.settled
    assert ended.startswith(f"terminate {an_id(1)} by sweep sweep-1: verified: its sweep broke off")
    assert still.endswith("it is still running")
    assert gone.endswith("it is not to be seen")


def test_a_fresh_intent_may_belong_to_a_sweep_that_still_runs_and_is_left_alone() -> None:
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

    def test_one_that_cannot_be_cancelled_keeps_its_instance(self) -> None:
        night = self.persistent()
        night.cloud.fail("CancelSpotInstanceRequests", BROKEN)

        report = night.sweep()

        assert results(report)[an_id(1)] is Result.FAILED
        assert report.count(Result.VERIFIED) == 2
        assert night.cloud.ids("running") == {an_id(1)}

    def test_one_that_cannot_be_seen_keeps_its_instance(self) -> None:
        night = self.persistent()
        night.cloud.spot_requests.clear()

        report = night.sweep()

        assert results(report)[an_id(1)] is Result.FAILED
        assert night.cloud.ids("running") == {an_id(1)}

    def test_one_whose_instance_is_protected_after_the_cancel_says_that_it_is_cancelled(
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

    def test_cancelling_a_disabled_request_ends_its_instance_and_that_is_ours(self) -> None:
        night = self.persistent()
        night.policy = a_policy(selector=a_selector(states=frozenset({State.STOPPED})))
        night.cloud.change(an_id(1), state="stopped")
        night.cloud.request_spot("sir-00000001", an_id(1), state="disabled")

        report = night.sweep()

        assert results(report) == {an_id(1): Result.VERIFIED}
        assert [action for action, _ in night.cloud.orders] == ["CancelSpotInstanceRequests"]

    def test_a_one_time_request_needs_nothing(self) -> None:
        night = self.persistent()
        night.cloud.request_spot("sir-00000001", an_id(1), persistent=False)

        report = night.sweep()

        assert report.count(Result.VERIFIED) == 3
        assert [action for action, _ in night.cloud.orders] == ["TerminateInstances"]


class TestWhatAnEffectMayHaveBeenIsNeverDenied:
    """A call without a clear answer may have worked, whatever a look, which may be stale, says after it."""

    def stale(self, night: Night, *looks: int) -> None:
        """Let these looks show what was before the effect."""
        for look in looks:
            night.cloud.before(
                "DescribeInstances", lambda: night.cloud.change(an_id(1), state="running"), on=look
            )

    def test_a_pause_after_it_leaves_it_unknown(self) -> None:
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

    def test_a_protection_that_cannot_be_read_after_it_leaves_it_unknown(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(1)))
        night.cloud.fail("TerminateInstances", LOST)
        self.stale(night, 3)
        night.cloud.fail("DescribeInstanceAttribute", THROTTLED, on=5, times=9)

        assert results(night.sweep()) == {an_id(1): Result.UNKNOWN}

    def test_an_answer_that_does_not_name_it_leaves_it_unknown(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(2)))
        night.cloud.always(Kind.IDLE, *ORDERS)
        night.cloud.always(Kind.UNNAMED, *ORDERS, ids=frozenset({an_id(1)}))

        assert results(night.sweep()) == {an_id(1): Result.UNKNOWN, an_id(2): Result.ACCEPTED}

    def test_an_answer_that_does_not_name_it_is_looked_after(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(2)))
        night.cloud.always(Kind.UNNAMED, *ORDERS, ids=frozenset({an_id(1)}))

        assert night.sweep().count(Result.VERIFIED) == 2

    def test_a_throttle_surely_had_none(self) -> None:
        night = Night(cloud=SimulatedEc2(*machines(1)))
        night.cloud.fail("TerminateInstances", THROTTLED, times=9)

        assert results(night.sweep()) == {an_id(1): Result.FAILED}


def test_what_somebody_else_ended_while_a_call_was_refused_is_not_claimed() -> None:
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
def test_an_answer_that_cannot_be_read_loses_no_outcome(nth: int) -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("DescribeInstances", Fault(kind=Kind.GARBLED), on=nth)

    report = night.sweep()

    assert report.failed or report.count(Result.VERIFIED) == 40
    if nth > 1:
        assert len(report.outcomes) == 40


def test_an_order_whose_answer_cannot_be_read_is_looked_after() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.fail("TerminateInstances", Fault(kind=Kind.GARBLED), on=1)

    assert night.sweep().count(Result.VERIFIED) == 2


def test_a_fault_of_ours_stops_the_run_and_loses_no_outcome(
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
