"""What every register of fleets keeps, in memory or in DynamoDB."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from curfew.core.errors import ConflictError, LedgerError, ReusedKeyError
from curfew.core.launch import Answer, Attempt, Order
from curfew.core.lease import CLAIM, Fleet, Lease, Member, Step
from curfew.ledger.dynamodb import fleet_items, table
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.dynamodb.table import Table
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import Key
from demo.world import TABLE, make_table
from tests.builders import HERE, NOW, an_id
from tests.contract.dynamo import client_of, lose_the_first_answer, overtake

SECOND = timedelta(seconds=1)
MOMENT = timedelta(microseconds=1)
EXPIRY = NOW + timedelta(hours=8)
UNTIL = NOW + timedelta(minutes=3)
ELSEWHERE = replace(HERE, region="eu-west-1")
FIRST = Attempt(number=1, pool=0, count=2)
type Pair = tuple[DynamoLedger, DynamoLedger]


def a_fleet(name: str = "dev", operation: str = "", **more: Any) -> Fleet:
    ordinary: dict[str, Any] = {
        "name": name,
        "operation": operation or f"op-{name}",
        "template": "t2-pair",
        "target": HERE,
        "owner": "kim",
        "count": 2,
        "created_at": NOW,
        "expires_at": EXPIRY,
        "longest": timedelta(days=7),
    }
    return Fleet(**(ordinary | more))


def an_order(fleet: Fleet, **more: Any) -> Order:
    ordinary: dict[str, Any] = {
        "operation": fleet.operation,
        "target": fleet.target,
        "image": "ami-1",
        "instance_types": ("t2.micro",),
        "count": fleet.count,
        "tags": {"env": "dev"},
    }
    return Order(**(ordinary | more))


def a_key(scope: str, body: str = "body") -> Key:
    return Key(scope=scope, body=body)


def opened(ledger: Ledger, name: str = "dev", operation: str = "", **more: Any) -> Fleet:
    """A fleet that stands in the ledger, under a key of its own."""
    fleet = a_fleet(name, operation, **more)
    return ledger.fleets.open(fleet, an_order(fleet), a_key(f"key of {fleet.operation}"))


def finished(ledger: Ledger, fleet: Fleet, step: Step = Step.LAUNCHED, problem: str = "") -> None:
    assert ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
    assert ledger.fleets.advance(fleet, "w", step, problem)


def ended(ledger: Ledger, fleet: Fleet, number: int = 1) -> None:
    ledger.fleets.record(fleet, [an_id(number)], now=NOW)
    finished(ledger, fleet)
    ledger.fleets.end(fleet.target, [an_id(number)], now=NOW)


def claimed(ledger: Ledger, fleet: Fleet, by: str = "sweep", at: datetime = NOW) -> bool:
    return ledger.fleets.claim(fleet.name, fleet.operation, by, now=at, expired=False)


class TestOpen:
    def test_fleet_and_order_come_back_to_the_last_detail(self, ledger: Ledger) -> None:
        fleet = a_fleet(
            longest=timedelta(days=3, microseconds=7), created_at=NOW + MOMENT, problem="ü\n"
        )
        order = an_order(
            fleet,
            instance_types=("t2.micro", "t3.micro"),
            tags={"Name": "ü\n=cmd()", "empty": ""},
            subnets=("subnet-1", "subnet-2"),
            security_groups=("sg-1",),
            key="pair",
            profile="profile",
            user_data="#!/bin/sh\n",
            spot=True,
            networks=("lab", "storage"),
            hints={"group": "g-1"},
            version="abc",
        )
        assert ledger.fleets.open(fleet, order, a_key("k")) == fleet
        assert ledger.fleets.get("dev") == fleet
        assert ledger.fleets.order(fleet.operation) == order
        assert ledger.fleets.get("other") is None

    def test_an_order_that_was_never_given_is_a_ledger_error(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerError, match="op-x"):
            ledger.fleets.order("op-x")

    def test_the_same_key_with_the_same_body_is_the_same_fleet_as_it_is_now(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        now = replace(fleet, expires_at=EXPIRY + SECOND)
        again = a_fleet("dev", "op-again")

        assert ledger.fleets.open(again, an_order(again), a_key("key of op-dev")) == now
        assert ledger.fleets.get("dev") == now
        with pytest.raises(LedgerError):
            ledger.fleets.order("op-again")

    def test_it_is_still_the_same_fleet_when_it_has_ended(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        again = a_fleet("dev", "op-again")

        found = ledger.fleets.open(again, an_order(again), a_key("key of op-dev"))
        assert (found.operation, found.ended_at) == (fleet.operation, NOW)

    def test_the_same_key_with_another_body_is_refused_whatever_the_name(
        self, ledger: Ledger
    ) -> None:
        opened(ledger)
        for name in ("dev", "other"):
            with pytest.raises(ReusedKeyError):
                ledger.fleets.open(
                    a_fleet(name, "op-2"),
                    an_order(a_fleet(name, "op-2")),
                    a_key("key of op-dev", "x"),
                )
        assert ledger.fleets.get("other") is None

    def test_a_name_is_held_until_its_fleet_has_ended_and_is_free_afterwards(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        with pytest.raises(ConflictError, match='"dev" is taken'):
            opened(ledger, "dev", "op-2")
        assert ledger.fleets.get("dev") == fleet

        ended(ledger, fleet)
        second = opened(ledger, "dev", "op-2")
        assert ledger.fleets.get("dev") == second
        assert ledger.fleets.order(fleet.operation) == an_order(fleet)

    def test_what_belonged_to_the_one_before_is_not_the_new_ones(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)
        ended(ledger, fleet)
        second = opened(ledger, "dev", "op-2")

        assert ledger.fleets.members("op-2") == ()
        assert ledger.fleets.get("dev") == second
        assert not ledger.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        assert not ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert not claimed(ledger, fleet)
        assert ledger.fleets.renew(second, EXPIRY + SECOND, now=NOW)

    def test_the_key_of_an_ended_fleet_whose_name_is_anothers_is_a_conflict(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        opened(ledger, "dev", "op-2")

        again = a_fleet("dev", "op-3")
        with pytest.raises(ConflictError, match="has ended"):
            ledger.fleets.open(again, an_order(again), a_key("key of op-dev"))
        with pytest.raises(ConflictError, match="has ended"):
            ledger.fleets.recall(a_key("key of op-dev"))

    def test_a_frozen_order_is_never_written_anew(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        other = an_order(fleet, image="ami-2")
        with pytest.raises(LedgerError, match="already recorded, under another key"):
            ledger.fleets.open(fleet, other, a_key("another"))
        assert ledger.fleets.order(fleet.operation) == an_order(fleet)

    def test_a_key_recalls_its_fleet_or_is_new_or_was_another_request(self, ledger: Ledger) -> None:
        assert ledger.fleets.recall(a_key("key of op-dev")) is None
        fleet = opened(ledger)
        assert ledger.fleets.recall(a_key("key of op-dev")) == fleet
        with pytest.raises(ReusedKeyError):
            ledger.fleets.recall(a_key("key of op-dev", "x"))


class TestPages:
    @pytest.mark.parametrize("count", [0, 1, 3, 4, 25])
    def test_all_are_shown_once_in_the_order_of_their_names(
        self, ledger: Ledger, count: int
    ) -> None:
        names = sorted(f"fleet-{n}" for n in range(count))
        for name in reversed(names):
            opened(ledger, name)
        shown: list[str] = []
        after, pages = "", 0
        while pages == 0 or after:
            page = ledger.fleets.page(limit=3, after=after)
            shown += [fleet.name for fleet in page.items]
            after, pages = page.after, pages + 1
        assert shown == names
        assert pages == max(1, -(-count // 3))

    def test_what_has_ended_is_passed_over_unless_it_is_asked_for(self, ledger: Ledger) -> None:
        for number in range(8):
            fleet = opened(ledger, f"fleet-{number}")
            if number not in {0, 7}:
                ended(ledger, fleet, number)

        running = ledger.fleets.page(limit=2)
        assert [f.name for f in running.items] == ["fleet-0", "fleet-7"]
        assert running.after == ""
        all_ = ledger.fleets.page(limit=8, ended=True)
        assert [f.name for f in all_.items] == [f"fleet-{n}" for n in range(8)]
        assert all_.after == ""
        assert ledger.fleets.page(limit=7, ended=True).after == "fleet-6"

    def test_unfinished_are_those_whose_launch_goes_on(self, ledger: Ledger) -> None:
        assert list(ledger.fleets.unfinished()) == []
        for name in ("a", "b", "c", "d"):
            opened(ledger, name)
        finished(ledger, a_fleet("b"))
        finished(ledger, a_fleet("d"), Step.FAILED)
        assert [fleet.name for fleet in ledger.fleets.unfinished()] == ["a", "c"]


class TestLock:
    def test_another_has_to_wait_until_it_runs_out_and_not_a_moment_longer(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        later = UNTIL + timedelta(minutes=3)
        assert ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert not ledger.fleets.lock(fleet, "two", now=UNTIL - MOMENT, until=later)
        assert ledger.fleets.lock(fleet, "two", now=UNTIL, until=later)
        assert not ledger.fleets.lock(fleet, "one", now=UNTIL, until=later)

    def test_ones_own_is_kept_and_prolonged(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert ledger.fleets.lock(fleet, "one", now=NOW + SECOND, until=UNTIL + SECOND)
        assert not ledger.fleets.lock(fleet, "two", now=UNTIL, until=UNTIL + SECOND)

    def test_there_is_none_for_a_launch_that_is_finished_or_not_there(self, ledger: Ledger) -> None:
        assert not ledger.fleets.lock(a_fleet(), "one", now=NOW, until=UNTIL)
        assert ledger.fleets.get("dev") is None
        fleet = opened(ledger)
        finished(ledger, fleet, Step.PARTIAL)
        assert not ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)


class TestAttempts:
    def test_they_come_back_in_their_order(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.attempts(fleet.operation) == ()
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        made = [replace(FIRST, number=n) for n in (1, 2, 999, 1000, 1001)]
        for attempt in reversed(made):
            assert ledger.fleets.attempt(fleet, "w", attempt, now=NOW)
        assert ledger.fleets.attempts(fleet.operation) == tuple(made)

    def test_none_is_made_without_the_lock(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        ledger.fleets.lock(fleet, "other", now=NOW, until=UNTIL)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        assert ledger.fleets.attempts(fleet.operation) == ()

    def test_none_is_made_once_the_lock_has_run_out(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=UNTIL)
        assert ledger.fleets.attempts(fleet.operation) == ()
        assert ledger.fleets.attempt(fleet, "w", FIRST, now=UNTIL - MOMENT)

    def test_none_is_made_while_the_fleet_is_claimed(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=NOW + timedelta(hours=1))
        assert claimed(ledger, fleet)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=NOW + CLAIM)
        assert ledger.fleets.attempts(fleet.operation) == ()
        assert ledger.fleets.attempt(fleet, "w", FIRST, now=NOW + CLAIM + MOMENT)

    def test_none_is_made_for_an_earlier_fleet_of_the_name(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        second = opened(ledger, "dev", "op-2")
        ledger.fleets.lock(second, "w", now=NOW, until=UNTIL)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        assert ledger.fleets.attempts(fleet.operation) == ()

    def test_each_number_is_anothers_once_it_is_taken(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert ledger.fleets.attempt(fleet, "one", FIRST, now=NOW)
        assert ledger.fleets.attempt(fleet, "one", FIRST, now=NOW)
        assert not ledger.fleets.attempt(fleet, "one", replace(FIRST, count=9), now=NOW)
        ledger.fleets.lock(fleet, "two", now=UNTIL, until=UNTIL + SECOND)
        assert not ledger.fleets.attempt(fleet, "two", FIRST, now=UNTIL)
        assert not ledger.fleets.attempt(fleet, "two", replace(FIRST, count=9), now=UNTIL)
        assert ledger.fleets.attempts(fleet.operation) == (FIRST,)

    def test_ones_own_is_no_leave_to_call_once_the_fleet_is_claimed(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        assert claimed(ledger, fleet)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)

    def test_pool_and_count_are_those_of_the_call(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        ledger.fleets.settle(fleet, replace(FIRST, pool=3, count=9, answer=Answer.EMPTY))
        assert ledger.fleets.attempts(fleet.operation) == (replace(FIRST, answer=Answer.EMPTY),)

    def test_what_came_of_one_is_settled_once(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        settled = replace(FIRST, answer=Answer.LAUNCHED, launched=1, problem="no more")
        ledger.fleets.settle(fleet, settled)
        assert ledger.fleets.attempts(fleet.operation) == (settled,)
        ledger.fleets.settle(fleet, replace(FIRST, answer=Answer.REFUSED, problem="no"))
        assert ledger.fleets.attempts(fleet.operation) == (settled,)
        assert not ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)

    def test_one_that_was_never_made_cannot_be_settled(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        with pytest.raises(LedgerError, match=f"attempt 1 of launch {fleet.operation}: "):
            ledger.fleets.settle(fleet, FIRST)
        assert ledger.fleets.attempts(fleet.operation) == ()


class TestAdvance:
    def test_the_step_and_the_problem_are_kept_and_the_lock_is_let_go(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert ledger.fleets.advance(fleet, "w", Step.LAUNCHING, "out of time")
        assert ledger.fleets.get("dev") == replace(fleet, problem="out of time")
        assert ledger.fleets.lock(fleet, "other", now=NOW, until=UNTIL)

    def test_whoever_lost_the_lock_moves_nothing(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert not ledger.fleets.advance(fleet, "one", Step.LAUNCHED)
        ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        ledger.fleets.lock(fleet, "two", now=UNTIL, until=UNTIL + SECOND)
        assert not ledger.fleets.advance(fleet, "one", Step.LAUNCHED)
        assert ledger.fleets.get("dev") == fleet

    def test_a_lock_that_nobody_else_took_still_counts_after_it_has_run_out(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=NOW)
        assert ledger.fleets.advance(fleet, "w", Step.PARTIAL, "1 of 2")

    def test_to_say_it_again_is_no_failure_until_somebody_else_has_the_lock(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert ledger.fleets.advance(fleet, "one", Step.LAUNCHING, "p")
        assert ledger.fleets.advance(fleet, "one", Step.LAUNCHING, "p")
        assert not ledger.fleets.advance(fleet, "one", Step.LAUNCHED, "p")
        assert not ledger.fleets.advance(fleet, "two", Step.LAUNCHING, "p")
        ledger.fleets.lock(fleet, "two", now=NOW, until=UNTIL)
        assert not ledger.fleets.advance(fleet, "one", Step.LAUNCHING, "p")

    def test_a_failed_launch_without_any_instance_has_ended_and_frees_its_name(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        finished(ledger, fleet, Step.FAILED, "no capacity")
        assert ledger.fleets.get("dev") == replace(
            fleet, step=Step.FAILED, problem="no capacity", ended_at=NOW
        )
        opened(ledger, "dev", "op-2")

    @pytest.mark.parametrize("step", [Step.LAUNCHED, Step.PARTIAL, Step.ATTENTION])
    def test_no_other_launch_ends_without_an_instance_that_has(
        self, ledger: Ledger, step: Step
    ) -> None:
        fleet = opened(ledger)
        finished(ledger, fleet, step)
        assert ledger.fleets.get("dev") == replace(fleet, step=step)

    def test_a_failed_launch_with_an_instance_that_lives_has_not_ended(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        finished(ledger, fleet, Step.FAILED)
        assert ledger.fleets.get("dev") == replace(fleet, step=Step.FAILED)

    def test_a_launch_that_finishes_after_its_last_instance_has_ended_then(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1), an_id(2)], now=NOW)
        ledger.fleets.end(HERE, [an_id(1)], now=NOW + SECOND)
        ledger.fleets.end(HERE, [an_id(2)], now=NOW + 2 * SECOND)
        assert ledger.fleets.get("dev") == fleet
        finished(ledger, fleet)
        assert ledger.fleets.get("dev") == replace(
            fleet, step=Step.LAUNCHED, ended_at=NOW + 2 * SECOND
        )


class TestRenewal:
    def test_it_sets_the_end_sooner_or_later(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        for expiry in (EXPIRY + timedelta(days=1), NOW + MOMENT):
            assert ledger.fleets.renew(fleet, expiry, now=NOW)
            assert ledger.fleets.get("dev") == replace(fleet, expires_at=expiry)

    def test_it_is_refused_as_long_as_a_claim_runs_and_succeeds_afterwards(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)
        taken = replace(fleet, claimed_by="sweep", claimed_at=NOW)
        later = EXPIRY + SECOND
        for now in (NOW - SECOND, NOW, NOW + CLAIM):
            assert not ledger.fleets.renew(fleet, later, now=now)
        assert ledger.fleets.get("dev") == taken
        assert ledger.fleets.renew(fleet, later, now=NOW + CLAIM + SECOND)
        assert ledger.fleets.get("dev") == replace(taken, expires_at=later)

    def test_to_the_same_end_it_is_refused_too_once_the_fleet_is_claimed(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.renew(fleet, EXPIRY, now=NOW)
        assert claimed(ledger, fleet)
        assert not ledger.fleets.renew(fleet, EXPIRY, now=NOW)

    def test_it_is_refused_once_the_fleet_has_ended(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        assert not ledger.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        assert not ledger.fleets.renew(a_fleet("unknown"), EXPIRY, now=NOW)
        assert ledger.fleets.get("unknown") is None


class TestClaim:
    def test_an_expired_lease_can_be_claimed_at_its_very_end_and_not_before(
        self, ledger: Ledger
    ) -> None:
        opened(ledger)
        before, at = EXPIRY - MOMENT, EXPIRY
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=before, expired=True)
        assert ledger.fleets.claim("dev", "op-dev", "s", now=at, expired=True)

    def test_a_lease_that_was_renewed_in_time_cannot(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.renew(fleet, EXPIRY + SECOND, now=EXPIRY)
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)
        assert ledger.fleets.renew(fleet, EXPIRY + 2 * SECOND, now=EXPIRY)

    def test_one_that_nobody_lets_expire_can_be_given_up_at_any_time(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)
        assert ledger.fleets.get("dev") == replace(fleet, claimed_by="sweep", claimed_at=NOW)

    def test_another_sweep_waits_until_the_claim_has_run_out(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet, "one")
        assert not claimed(ledger, fleet, "two", NOW + CLAIM)
        assert claimed(ledger, fleet, "two", NOW + CLAIM + MOMENT)
        assert not claimed(ledger, fleet, "one", NOW + CLAIM + MOMENT)

    def test_ones_own_is_kept_and_runs_anew(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet, "one")
        assert claimed(ledger, fleet, "one", NOW + CLAIM)
        assert not claimed(ledger, fleet, "two", NOW + 2 * CLAIM)

    def test_ones_own_is_not_kept_over_a_lease_that_was_renewed_after_it_ran_out(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        later = EXPIRY + CLAIM + SECOND
        assert ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)
        assert ledger.fleets.renew(fleet, later + SECOND, now=later)
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=later, expired=True)

    def test_only_who_has_it_lets_go_of_it(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet, "one")
        ledger.fleets.unclaim("dev", "op-dev", "two")
        ledger.fleets.unclaim("dev", "op-other", "one")
        assert not ledger.fleets.renew(fleet, EXPIRY, now=NOW)
        ledger.fleets.unclaim("dev", "op-dev", "one")
        assert ledger.fleets.get("dev") == fleet
        assert ledger.fleets.renew(fleet, EXPIRY, now=NOW)
        ledger.fleets.unclaim("unknown", "op-dev", "one")
        assert ledger.fleets.get("unknown") is None

    def test_what_is_not_there_is_not_claimed(self, ledger: Ledger) -> None:
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)
        assert ledger.fleets.get("dev") is None
        opened(ledger)
        assert not ledger.fleets.claim("dev", "op-2", "s", now=EXPIRY, expired=True)

    def test_what_has_ended_is_not_given_up_but_a_sweep_believes_its_eyes(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        assert not claimed(ledger, fleet)
        assert ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)


class TestMembers:
    @pytest.mark.parametrize("count", [0, 1, 50, 51])
    def test_they_are_recorded_once_and_have_the_lease(self, ledger: Ledger, count: int) -> None:
        fleet = opened(ledger)
        ids = [an_id(n) for n in range(count)]
        ledger.fleets.record(fleet, [*reversed(ids), *ids[:1]], now=NOW)
        ledger.fleets.record(fleet, ids, now=NOW + SECOND)

        members = tuple(Member(instance_id=id_, born_at=NOW) for id_ in ids)
        assert ledger.fleets.members(fleet.operation) == members
        assert ledger.fleets.leases(HERE, [*ids, an_id(999)]) == dict.fromkeys(ids, fleet.lease)

    def test_more_come_to_those_that_are_there(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        ledger.fleets.record(fleet, [an_id(1), an_id(2)], now=NOW + SECOND)
        assert ledger.fleets.members(fleet.operation) == (
            Member(instance_id=an_id(1), born_at=NOW),
            Member(instance_id=an_id(2), born_at=NOW + SECOND),
        )

    def test_no_instance_comes_of_two_launches(self, ledger: Ledger) -> None:
        one, two = opened(ledger, "one"), opened(ledger, "two")
        ledger.fleets.record(one, [an_id(1)], now=NOW)
        with pytest.raises(LedgerError, match="another launch"):
            ledger.fleets.record(two, [an_id(1)], now=NOW)
        assert ledger.fleets.members(two.operation) == ()
        assert ledger.fleets.leases(HERE, [an_id(1)]) == {an_id(1): one.lease}

    def test_a_lease_is_what_it_is_now_and_each_fleets_own(self, ledger: Ledger) -> None:
        one, two = opened(ledger, "one"), opened(ledger, "two", owner="ali")
        ledger.fleets.record(one, [an_id(1), an_id(2)], now=NOW)
        ledger.fleets.record(two, [an_id(3)], now=NOW)
        ledger.fleets.renew(one, NOW + SECOND, now=NOW)

        mine = Lease(fleet="one", operation="op-one", owner="kim", expires_at=NOW + SECOND)
        found = ledger.fleets.leases(HERE, [an_id(n) for n in (1, 2, 3, 1)])
        assert found == {an_id(1): mine, an_id(2): mine, an_id(3): two.lease}
        assert ledger.fleets.leases(ELSEWHERE, [an_id(1)]) == {}
        assert ledger.fleets.leases(HERE, []) == {}

    def test_the_fleet_that_has_the_name_now_gives_none_to_those_of_the_one_before(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        assert ledger.fleets.leases(HERE, [an_id(1)]) == {an_id(1): fleet.lease}
        opened(ledger, "dev", "op-2")
        assert ledger.fleets.leases(HERE, [an_id(1)]) == {}

    def test_leases_of_more_fleets_and_instances_than_one_read_holds(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table, "KEYS_PER_READ", 3)
        expected: dict[str, Lease] = {}
        for number in range(7):
            fleet = opened(ledger, f"fleet-{number}")
            ledger.fleets.record(fleet, [an_id(number)], now=NOW)
            expected[an_id(number)] = fleet.lease
        assert ledger.fleets.leases(HERE, list(expected)) == expected


class TestEnd:
    def test_a_finished_fleet_ends_with_its_last_instance(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ids = [an_id(1), an_id(2)]
        ledger.fleets.record(fleet, ids, now=NOW)
        finished(ledger, fleet)
        launched = replace(fleet, step=Step.LAUNCHED)

        ledger.fleets.end(HERE, ids[:1], now=NOW + SECOND)
        assert ledger.fleets.get("dev") == launched
        ledger.fleets.end(HERE, [*ids, an_id(77)], now=NOW + 2 * SECOND)
        ledger.fleets.end(HERE, ids, now=NOW + 3 * SECOND)

        assert ledger.fleets.get("dev") == replace(launched, ended_at=NOW + 2 * SECOND)
        assert ledger.fleets.members(fleet.operation) == (
            Member(instance_id=ids[0], born_at=NOW, ended_at=NOW + SECOND),
            Member(instance_id=ids[1], born_at=NOW, ended_at=NOW + 2 * SECOND),
        )

    def test_one_that_still_launches_does_not(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        ledger.fleets.end(HERE, [an_id(1)], now=NOW)
        assert ledger.fleets.get("dev") == fleet

    def test_it_concerns_each_fleet_by_itself_and_no_other_region(self, ledger: Ledger) -> None:
        for number, name in enumerate(("a", "b")):
            fleet = opened(ledger, name)
            ledger.fleets.record(fleet, [an_id(number), an_id(number + 10)], now=NOW)
            finished(ledger, fleet)
        ledger.fleets.end(ELSEWHERE, [an_id(0), an_id(10)], now=NOW)
        ledger.fleets.end(HERE, [an_id(0), an_id(10), an_id(1)], now=NOW)
        fleets = ledger.fleets.page(limit=9, ended=True).items
        assert [fleet.ended_at for fleet in fleets] == [NOW, None]

    def test_instances_of_an_earlier_fleet_of_the_name_do_not_end_the_one_of_now(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        second = opened(ledger, "dev", "op-2")
        ledger.fleets.record(second, [an_id(2)], now=NOW)
        finished(ledger, second)
        ledger.fleets.end(HERE, [an_id(1)], now=NOW + SECOND)
        assert ledger.fleets.get("dev") == replace(second, step=Step.LAUNCHED)

    def test_a_born_again_record_does_not_bring_an_ended_instance_back(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW + SECOND)
        assert ledger.fleets.members(fleet.operation) == (
            Member(instance_id=an_id(1), born_at=NOW, ended_at=NOW),
        )


class TestTwoAtOneTable:
    """What only the real table can get wrong: between any two calls, somebody else may have been there."""

    def test_two_identical_requests_at_once_are_one_fleet(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        second, first = a_fleet("dev", "op-mine"), a_fleet("dev", "op-theirs")
        done = overtake(
            mine,
            "TransactWriteItems",
            lambda: theirs.fleets.open(first, an_order(first), a_key("k")),
        )
        assert mine.fleets.open(second, an_order(second), a_key("k")) == first
        assert done
        assert mine.fleets.get("dev") == first

    def test_of_two_requests_for_one_name_the_second_is_refused(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        overtake(mine, "TransactWriteItems", lambda: opened(theirs, "dev", "op-theirs"))
        with pytest.raises(ConflictError, match="taken"):
            opened(mine, "dev", "op-mine")
        found = mine.fleets.get("dev")
        assert found
        assert found.operation == "op-theirs"
        assert mine.fleets.recall(a_key("key of op-mine")) is None

    @pytest.mark.parametrize("times", [1, 99])
    def test_a_transaction_that_is_in_anothers_way_is_repeated_while_there_is_patience(
        self, ledger_pair: Pair, times: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        mine, theirs = ledger_pair
        busy(mine, times)
        fleet = a_fleet()
        if times == 1:
            assert mine.fleets.open(fleet, an_order(fleet), a_key("k")) == fleet
        else:
            with pytest.raises(LedgerError, match="too busy"):
                mine.fleets.open(fleet, an_order(fleet), a_key("k"))
            assert theirs.fleets.get("dev") is None

    @pytest.mark.parametrize("times", [1, 99])
    def test_so_is_a_write_that_is_in_a_transactions_way(
        self, ledger_pair: Pair, times: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        mine, theirs = ledger_pair
        fleet = opened(theirs)
        left = [times]
        client = client_of(mine)

        def conflict(**_: object) -> None:
            if left[0]:
                left[0] -= 1
                answer: Any = {"Error": {"Code": "TransactionConflictException"}}
                raise client.exceptions.TransactionConflictException(answer, "UpdateItem")

        client.meta.events.register("before-call.dynamodb.UpdateItem", conflict)
        if times == 1:
            assert mine.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        else:
            with pytest.raises(LedgerError, match="too busy"):
                mine.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)

    def test_a_refusal_beside_a_conflict_is_none_yet(
        self, ledger_pair: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was in conflict was not looked at: here it is the fleet, and the fleet is claimed."""
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        mine, theirs = ledger_pair
        fleet = opened(theirs)
        theirs.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        theirs.fleets.attempt(fleet, "w", FIRST, now=NOW)
        assert claimed(theirs, fleet)
        written = dict(fleet_items.of_attempt(fleet.operation, FIRST, "w"))
        refusal = {"Code": "ConditionalCheckFailed", "Item": written}
        busy(mine, 1, {"Code": "TransactionConflict"}, refusal)
        assert not mine.fleets.attempt(fleet, "w", FIRST, now=NOW)

    @pytest.mark.parametrize("first", ["renewal", "claim"])
    def test_of_a_renewal_and_a_claim_at_once_one_wins_whole(
        self, ledger_pair: Pair, first: str
    ) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        answers: dict[str, bool] = {}

        def renewal(ledger: Ledger) -> None:
            answers["renewal"] = ledger.fleets.renew(fleet, EXPIRY + SECOND, now=EXPIRY)

        def claim(ledger: Ledger) -> None:
            answers["claim"] = ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)

        inner, outer = (renewal, claim) if first == "renewal" else (claim, renewal)
        overtake(mine, "UpdateItem", lambda: inner(theirs))
        outer(mine)
        assert answers == {"renewal": first == "renewal", "claim": first == "claim"}

    def test_a_claim_just_before_an_attempt_forbids_it(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        overtake(mine, "TransactWriteItems", lambda: claimed(theirs, fleet))
        assert not mine.fleets.attempt(fleet, "w", FIRST, now=NOW)
        assert mine.fleets.attempts(fleet.operation) == ()

    def test_of_two_who_take_a_launch_up_at_once_one_does(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        overtake(mine, "UpdateItem", lambda: theirs.fleets.lock(fleet, "two", now=NOW, until=UNTIL))
        assert not mine.fleets.lock(fleet, "one", now=NOW, until=UNTIL)

    def test_an_end_and_the_last_step_at_once_miss_each_other_never(
        self, ledger_pair: Pair
    ) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        mine.fleets.record(fleet, [an_id(1)], now=NOW)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        overtake(mine, "UpdateItem", lambda: theirs.fleets.end(HERE, [an_id(1)], now=NOW))
        assert mine.fleets.advance(fleet, "w", Step.LAUNCHED)
        assert mine.fleets.get("dev") == replace(fleet, step=Step.LAUNCHED, ended_at=NOW)


class TestLostAnswers:
    """The SDK repeats a call whose answer was lost: the repetition finds the first one's work, which is its own."""

    def test_the_fleet_is_opened(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        lost = lose_the_first_answer(mine, "TransactWriteItems")
        fleet = a_fleet()
        assert mine.fleets.open(fleet, an_order(fleet), a_key("k")) == fleet
        assert lost

    def test_the_attempt_is_written(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        lost = lose_the_first_answer(mine, "TransactWriteItems")
        assert mine.fleets.attempt(fleet, "w", FIRST, now=NOW)
        assert lost

    def test_the_lock_is_taken(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert lost

    def test_the_step_is_made(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.fleets.advance(fleet, "w", Step.FAILED, "no")
        assert lost
        found = mine.fleets.get("dev")
        assert found
        assert found.ended_at == NOW

    @pytest.mark.parametrize("expired", [True, False])
    def test_the_claim_is_made(self, ledger_pair: Pair, expired: bool) -> None:
        mine, _ = ledger_pair
        opened(mine)
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=expired)
        assert lost

    def test_the_renewal_is_made_even_if_the_fleet_is_given_up_before_the_repetition(
        self, ledger_pair: Pair
    ) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        lost = lose_the_first_answer(mine, "UpdateItem", lambda: claimed(theirs, fleet))
        assert mine.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        assert lost
        assert not mine.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)

    def test_the_attempt_is_settled(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        mine.fleets.attempt(fleet, "w", FIRST, now=NOW)
        lost = lose_the_first_answer(mine, "UpdateItem")
        settled = replace(FIRST, answer=Answer.EMPTY)
        mine.fleets.settle(fleet, settled)
        assert lost
        assert mine.fleets.attempts(fleet.operation) == (settled,)

    def test_the_births_are_recorded_and_the_end_is_seen(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        births = lose_the_first_answer(mine, "TransactWriteItems")
        ends = lose_the_first_answer(mine, "UpdateItem")
        mine.fleets.record(fleet, [an_id(1)], now=NOW)
        mine.fleets.end(HERE, [an_id(1)], now=NOW)
        assert mine.fleets.members(fleet.operation) == (
            Member(instance_id=an_id(1), born_at=NOW, ended_at=NOW),
        )
        assert births
        assert ends


class TestUnreadable:
    """What somebody wrote by hand, and a table that does not answer."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("expires_at", {"S": "tomorrow"}),
            ("expires_at", {"S": "2031-01-01T00:00:00+00:00"}),
            ("expires_at_epoch", {"N": "4000000000"}),
            ("claimed_at", {"S": "2026-01-01T00:00:00+00:00"}),
            ("claimed_at_epoch", {"N": "1"}),
            ("step", {"S": "flying"}),
            ("operation", {"N": "1"}),
            ("count", {"S": "two"}),
            ("longest", {"N": "Infinity"}),
            ("ended_at", {"BOOL": True}),
        ],
    )
    def test_a_fleet_is_a_ledger_error_wherever_it_is_read(
        self, ledger_pair: Pair, name: str, value: Any
    ) -> None:
        ledger, _ = ledger_pair
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        spoil(ledger, "fleet", "dev", name, value)
        reads: list[Callable[[], object]] = [
            lambda: ledger.fleets.get("dev"),
            lambda: ledger.fleets.page(limit=1, ended=True),
            lambda: ledger.fleets.leases(HERE, [an_id(1)]),
            lambda: ledger.fleets.recall(a_key("key of op-dev")),
        ]
        for read in reads:
            with pytest.raises(LedgerError, match="has an item that cannot be read"):
                read()

    @pytest.mark.parametrize(
        ("pk", "sk", "name", "value"),
        [
            ("fleet#op-dev", "order", "order", {"S": "{"}),
            ("fleet#op-dev", "order", "order", {"S": "[]"}),
            ("fleet#op-dev", "order", "order", {"S": '{"operation": "op-dev"}'}),
            ("fleet#op-dev", "attempt#001", "answer", {"S": "maybe"}),
            ("fleet#op-dev", "attempt#001", "launched", {"S": "1"}),
            ("fleet#op-dev", f"instance#{an_id(1)}", "born_at", {"S": "once"}),
            (f"lease#{HERE}", an_id(1), "operation", {"N": "1"}),
            (f"lease#{HERE}", an_id(1), "fleet", {"S": "unknown"}),
            ("key#key of op-dev", "key", "body", {"BOOL": True}),
        ],
    )
    def test_so_is_everything_that_belongs_to_it(
        self, ledger_pair: Pair, pk: str, sk: str, name: str, value: Any
    ) -> None:
        ledger, _ = ledger_pair
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        ledger.fleets.attempt(fleet, "w", FIRST, now=NOW)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)

        def read() -> None:
            ledger.fleets.order("op-dev")
            ledger.fleets.attempts("op-dev")
            ledger.fleets.members("op-dev")
            ledger.fleets.leases(HERE, [an_id(1)])
            ledger.fleets.recall(a_key("key of op-dev"))

        read()
        spoil(ledger, pk, sk, name, value)
        with pytest.raises(LedgerError, match="has an item that cannot be read"):
            read()

    @mock_aws
    def test_without_its_table_every_call_is_a_ledger_error_that_names_it(self) -> None:
        fleets = DynamoLedger(boto3.client("dynamodb", HERE.region), "missing").fleets
        fleet = a_fleet()
        calls: list[Callable[[], object]] = [
            lambda: fleets.open(fleet, an_order(fleet), a_key("k")),
            lambda: fleets.recall(a_key("k")),
            lambda: fleets.get("dev"),
            lambda: fleets.page(limit=1),
            lambda: list(fleets.unfinished()),
            lambda: fleets.order("op"),
            lambda: fleets.attempts("op"),
            lambda: fleets.members("op"),
            lambda: fleets.lock(fleet, "w", now=NOW, until=UNTIL),
            lambda: fleets.attempt(fleet, "w", FIRST, now=NOW),
            lambda: fleets.record(fleet, [an_id(1)], now=NOW),
            lambda: fleets.settle(fleet, FIRST),
            lambda: fleets.advance(fleet, "w", Step.LAUNCHING),
            lambda: fleets.advance(fleet, "w", Step.FAILED),
            lambda: fleets.renew(fleet, EXPIRY, now=NOW),
            lambda: fleets.claim("dev", "op", "s", now=NOW, expired=True),
            lambda: fleets.unclaim("dev", "op", "s"),
            lambda: fleets.leases(HERE, [an_id(1)]),
            lambda: fleets.end(HERE, [an_id(1)], now=NOW),
        ]
        for call in calls:
            with pytest.raises(LedgerError, match='"missing"'):
                call()


@mock_aws
def test_every_read_is_consistent_and_nothing_is_ever_deleted_or_let_expire_but_keys() -> None:
    make_table()
    client = boto3.client("dynamodb", HERE.region)
    called: set[str] = set()

    def note(params: dict[str, Any], model: Any, **_: object) -> None:
        called.add(model.name)
        if model.name in {"GetItem", "BatchGetItem", "Query"}:
            assert params.get("RequestItems", {TABLE: params})[TABLE]["ConsistentRead"] is True

    client.meta.events.register("provide-client-params.dynamodb", note)
    ledger = DynamoLedger(client, TABLE)
    fleet = opened(ledger)
    claimed(ledger, fleet)
    ledger.fleets.unclaim("dev", "op-dev", "sweep")
    ended(ledger, fleet)
    ledger.fleets.leases(HERE, [an_id(1)])
    ledger.fleets.page(limit=1)
    list(ledger.fleets.unfinished())

    assert called == {"GetItem", "BatchGetItem", "Query", "UpdateItem", "TransactWriteItems"}
    items = client.scan(TableName=TABLE)["Items"]
    expiring = {item["pk"]["S"]: item["expires"]["N"] for item in items if "expires" in item}
    assert expiring == {
        "key#key of op-dev": str(int((NOW + timedelta(days=400)).timestamp())),
    }


def busy(ledger: DynamoLedger, times: int, *reasons: dict[str, Any]) -> None:
    client, left = client_of(ledger), [times]
    why = list(reasons) or [{"Code": "TransactionConflict"}, {"Code": "None"}]

    def conflict(**_: object) -> None:
        if left[0]:
            left[0] -= 1
            answer: Any = {
                "Error": {"Code": "TransactionCanceledException", "Message": "no"},
                "CancellationReasons": why,
            }
            raise client.exceptions.TransactionCanceledException(answer, "TransactWriteItems")

    client.meta.events.register("before-call.dynamodb.TransactWriteItems", conflict)


def spoil(ledger: DynamoLedger, pk: str, sk: str, name: str, value: Any) -> None:
    client_of(ledger).update_item(
        TableName=TABLE,
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


class TestClose:
    """A launch that wants somebody to look, and of which no instance is known."""

    def test_whoever_has_looked_closes_it_and_its_name_is_free(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        finished(ledger, fleet, Step.ATTENTION, "mismatch")

        assert ledger.fleets.close(fleet, now=NOW + SECOND)

        there = ledger.fleets.get("dev")
        assert there is not None
        assert there.ended_at == NOW + SECOND
        assert opened(ledger, operation="op-2").operation == "op-2"

    def test_one_that_is_still_being_launched_stays_open(self, ledger: Ledger) -> None:
        fleet = opened(ledger)

        assert not ledger.fleets.close(fleet, now=NOW)
        assert ledger.fleets.get("dev") == fleet

    def test_one_with_an_instance_stays_open(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        finished(ledger, fleet)

        assert not ledger.fleets.close(fleet, now=NOW)
        there = ledger.fleets.get("dev")
        assert there is not None
        assert there.ended_at is None

    def test_another_launch_of_the_name_is_left_alone(self, ledger: Ledger) -> None:
        first = opened(ledger)
        finished(ledger, first, Step.FAILED)
        second = opened(ledger, operation="op-2")
        finished(ledger, second, Step.ATTENTION)

        ledger.fleets.close(first, now=NOW + SECOND)

        assert ledger.fleets.get("dev") == replace(second, step=Step.ATTENTION)


class TestHandOver:
    """A claim that was taken by one invocation is carried on by another."""

    def test_the_claim_is_the_takers_and_runs_from_then_on(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)

        assert ledger.fleets.hand_over("dev", fleet.operation, "sweep", "heir", now=NOW + CLAIM)

        there = ledger.fleets.get("dev")
        assert there is not None
        assert (there.claimed_by, there.claimed_at) == ("heir", NOW + CLAIM)
        assert not ledger.fleets.renew(fleet, EXPIRY, now=NOW + CLAIM + SECOND)

    def test_of_two_with_the_same_claim_one_has_it(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)

        assert ledger.fleets.hand_over("dev", fleet.operation, "sweep", "one", now=NOW)
        assert not ledger.fleets.hand_over("dev", fleet.operation, "sweep", "two", now=NOW)

        there = ledger.fleets.get("dev")
        assert there is not None
        assert there.claimed_by == "one"

    @pytest.mark.parametrize("by", ["another", ""])
    def test_nobody_gives_what_is_not_theirs(self, ledger: Ledger, by: str) -> None:
        fleet = opened(ledger)
        assert not ledger.fleets.hand_over("dev", fleet.operation, by, "heir", now=NOW)
        assert claimed(ledger, fleet)

        assert not ledger.fleets.hand_over("dev", fleet.operation, by, "heir", now=NOW)
        assert not ledger.fleets.hand_over("dev", "op-x", "sweep", "heir", now=NOW)

    def test_a_claim_that_has_run_out_is_no_longer_given(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)
        late = NOW + CLAIM + SECOND

        assert not ledger.fleets.hand_over("dev", fleet.operation, "sweep", "heir", now=late)
