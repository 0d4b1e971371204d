"""The contract of every register of fleets, in memory and in DynamoDB."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from curfew.core.errors import ConflictError, LedgerError, ReusedKeyError
from curfew.core.launch import Attempt, AttemptResult, LaunchSpec
from curfew.core.lease import CLAIM, Fleet, Lease, Member, Phase
from curfew.ledger.dynamodb import fleet_items, table
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.dynamodb.table import Table
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import Key
from curfew_simulator.cloud.transport import Cloud
from demo.world import TABLE
from tests.builders import HERE, NOW, an_id
from tests.contract.dynamo import client_of, lose_the_first_answer, overtake

SECOND = timedelta(seconds=1)
MOMENT = timedelta(microseconds=1)
EXPIRY = NOW + timedelta(hours=8)
UNTIL = NOW + timedelta(minutes=3)
ELSEWHERE = replace(HERE, region="eu-west-1")
FIRST = Attempt(number=1, pool=0, count=2)
type Pair = tuple[DynamoLedger, DynamoLedger]


def a_fleet(name: str = "dev", launch_id: str = "", **more: Any) -> Fleet:
    ordinary: dict[str, Any] = {
        "name": name,
        "launch_id": launch_id or f"op-{name}",
        "template": "t2-pair",
        "target": HERE,
        "owner": "kim",
        "count": 2,
        "created_at": NOW,
        "expires_at": EXPIRY,
        "longest": timedelta(days=7),
    }
    return Fleet(**(ordinary | more))


def a_launch_spec(fleet: Fleet, **more: Any) -> LaunchSpec:
    ordinary: dict[str, Any] = {
        "launch_id": fleet.launch_id,
        "target": fleet.target,
        "image": "ami-1",
        "instance_types": ("t2.micro",),
        "count": fleet.count,
        "tags": {"env": "dev"},
    }
    return LaunchSpec(**(ordinary | more))


def a_key(scope: str, body: str = "body") -> Key:
    return Key(scope=scope, body=body)


def opened(ledger: Ledger, name: str = "dev", launch_id: str = "", **more: Any) -> Fleet:
    """Open a fleet in the ledger with a new key, and return it."""
    fleet = a_fleet(name, launch_id, **more)
    return ledger.fleets.open(fleet, a_launch_spec(fleet), a_key(f"key of {fleet.launch_id}"))


def finished(
    ledger: Ledger, fleet: Fleet, phase: Phase = Phase.LAUNCHED, problem: str = ""
) -> None:
    assert ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
    assert ledger.fleets.advance(fleet, "w", phase, problem)


def ended(ledger: Ledger, fleet: Fleet, number: int = 1) -> None:
    ledger.fleets.record(fleet, [an_id(number)], now=NOW)
    finished(ledger, fleet)
    ledger.fleets.end(fleet.target, [an_id(number)], now=NOW)


def claimed(ledger: Ledger, fleet: Fleet, by: str = "sweep", at: datetime = NOW) -> bool:
    return ledger.fleets.claim(fleet.name, fleet.launch_id, by, now=at, expired=False)


class TestOpen:
    def test_fleet_and_launch_spec_are_read_back_unchanged(self, ledger: Ledger) -> None:
        fleet = a_fleet(
            longest=timedelta(days=3, microseconds=7), created_at=NOW + MOMENT, problem="ü\n"
        )
        spec = a_launch_spec(
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
        assert ledger.fleets.open(fleet, spec, a_key("k")) == fleet
        assert ledger.fleets.get("dev") == fleet
        assert ledger.fleets.launch_spec(fleet.launch_id) == spec
        assert ledger.fleets.get("other") is None

    def test_missing_launch_spec_is_a_ledger_error(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerError, match="op-x"):
            ledger.fleets.launch_spec("op-x")

    def test_same_key_and_body_return_the_current_fleet(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        now = replace(fleet, expires_at=EXPIRY + SECOND)
        again = a_fleet("dev", "op-again")

        assert ledger.fleets.open(again, a_launch_spec(again), a_key("key of op-dev")) == now
        assert ledger.fleets.get("dev") == now
        with pytest.raises(LedgerError):
            ledger.fleets.launch_spec("op-again")

    def test_same_key_returns_its_fleet_after_the_end(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        again = a_fleet("dev", "op-again")

        found = ledger.fleets.open(again, a_launch_spec(again), a_key("key of op-dev"))
        assert (found.launch_id, found.ended_at) == (fleet.launch_id, NOW)

    def test_same_key_with_another_body_is_refused_whatever_the_name(self, ledger: Ledger) -> None:
        opened(ledger)
        for name in ("dev", "other"):
            with pytest.raises(ReusedKeyError):
                ledger.fleets.open(
                    a_fleet(name, "op-2"),
                    a_launch_spec(a_fleet(name, "op-2")),
                    a_key("key of op-dev", "x"),
                )
        assert ledger.fleets.get("other") is None

    def test_name_is_reserved_until_its_fleet_has_ended(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        with pytest.raises(ConflictError, match='"dev" is taken'):
            opened(ledger, "dev", "op-2")
        assert ledger.fleets.get("dev") == fleet

        ended(ledger, fleet)
        second = opened(ledger, "dev", "op-2")
        assert ledger.fleets.get("dev") == second
        assert ledger.fleets.launch_spec(fleet.launch_id) == a_launch_spec(fleet)

    def test_new_fleet_inherits_nothing_from_an_earlier_one_of_its_name(
        self, ledger: Ledger
    ) -> None:
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

    def test_key_of_an_ended_fleet_conflicts_once_its_name_is_reused(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        opened(ledger, "dev", "op-2")

        again = a_fleet("dev", "op-3")
        with pytest.raises(ConflictError, match="has ended"):
            ledger.fleets.open(again, a_launch_spec(again), a_key("key of op-dev"))
        with pytest.raises(ConflictError, match="has ended"):
            ledger.fleets.recall(a_key("key of op-dev"))

    def test_launch_spec_is_never_overwritten(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        other = a_launch_spec(fleet, image="ami-2")
        with pytest.raises(LedgerError, match="already recorded, under another key"):
            ledger.fleets.open(fleet, other, a_key("another"))
        assert ledger.fleets.launch_spec(fleet.launch_id) == a_launch_spec(fleet)

    def test_key_lookup_finds_its_fleet_nothing_or_a_reused_key(self, ledger: Ledger) -> None:
        assert ledger.fleets.recall(a_key("key of op-dev")) is None
        fleet = opened(ledger)
        assert ledger.fleets.recall(a_key("key of op-dev")) == fleet
        with pytest.raises(ReusedKeyError):
            ledger.fleets.recall(a_key("key of op-dev", "x"))


class TestPages:
    @pytest.mark.parametrize("count", [0, 1, 3, 4, 25])
    def test_fleets_are_listed_once_in_name_order(self, ledger: Ledger, count: int) -> None:
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

    def test_ended_fleets_are_listed_only_on_request(self, ledger: Ledger) -> None:
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

    def test_unfinished_fleets_are_those_still_launching(self, ledger: Ledger) -> None:
        assert list(ledger.fleets.unfinished()) == []
        for name in ("a", "b", "c", "d"):
            opened(ledger, name)
        finished(ledger, a_fleet("b"))
        finished(ledger, a_fleet("d"), Phase.FAILED)
        assert [fleet.name for fleet in ledger.fleets.unfinished()] == ["a", "c"]


class TestLock:
    def test_lock_excludes_others_until_the_moment_it_expires(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        later = UNTIL + timedelta(minutes=3)
        assert ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert not ledger.fleets.lock(fleet, "two", now=UNTIL - MOMENT, until=later)
        assert ledger.fleets.lock(fleet, "two", now=UNTIL, until=later)
        assert not ledger.fleets.lock(fleet, "one", now=UNTIL, until=later)

    def test_holder_can_extend_its_lock(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert ledger.fleets.lock(fleet, "one", now=NOW + SECOND, until=UNTIL + SECOND)
        assert not ledger.fleets.lock(fleet, "two", now=UNTIL, until=UNTIL + SECOND)

    def test_finished_or_missing_launch_cannot_be_locked(self, ledger: Ledger) -> None:
        assert not ledger.fleets.lock(a_fleet(), "one", now=NOW, until=UNTIL)
        assert ledger.fleets.get("dev") is None
        fleet = opened(ledger)
        finished(ledger, fleet, Phase.PARTIAL)
        assert not ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)


class TestAttempts:
    def test_attempts_are_read_back_in_order(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.attempts(fleet.launch_id) == ()
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        made = [replace(FIRST, number=n) for n in (1, 2, 999, 1000, 1001)]
        for attempt in reversed(made):
            assert ledger.fleets.begin_attempt(fleet, "w", attempt, now=NOW)
        assert ledger.fleets.attempts(fleet.launch_id) == tuple(made)

    def test_attempt_requires_the_lock(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        ledger.fleets.lock(fleet, "other", now=NOW, until=UNTIL)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        assert ledger.fleets.attempts(fleet.launch_id) == ()

    def test_attempt_is_refused_after_the_lock_expired(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=UNTIL)
        assert ledger.fleets.attempts(fleet.launch_id) == ()
        assert ledger.fleets.begin_attempt(fleet, "w", FIRST, now=UNTIL - MOMENT)

    def test_attempt_is_refused_while_the_fleet_is_claimed(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=NOW + timedelta(hours=1))
        assert claimed(ledger, fleet)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW + CLAIM)
        assert ledger.fleets.attempts(fleet.launch_id) == ()
        assert ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW + CLAIM + MOMENT)

    def test_attempt_is_refused_for_an_earlier_fleet_of_the_name(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        second = opened(ledger, "dev", "op-2")
        ledger.fleets.lock(second, "w", now=NOW, until=UNTIL)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        assert ledger.fleets.attempts(fleet.launch_id) == ()

    def test_taken_attempt_number_is_refused_to_another_worker_or_call(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert ledger.fleets.begin_attempt(fleet, "one", FIRST, now=NOW)
        assert ledger.fleets.begin_attempt(fleet, "one", FIRST, now=NOW)
        assert not ledger.fleets.begin_attempt(fleet, "one", replace(FIRST, count=9), now=NOW)
        ledger.fleets.lock(fleet, "two", now=UNTIL, until=UNTIL + SECOND)
        assert not ledger.fleets.begin_attempt(fleet, "two", FIRST, now=UNTIL)
        assert not ledger.fleets.begin_attempt(fleet, "two", replace(FIRST, count=9), now=UNTIL)
        assert ledger.fleets.attempts(fleet.launch_id) == (FIRST,)

    def test_repeated_attempt_is_refused_once_the_fleet_is_claimed(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        assert claimed(ledger, fleet)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)

    def test_attempt_keeps_the_pool_and_count_of_its_call(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        ledger.fleets.finish_attempt(
            fleet, replace(FIRST, pool=3, count=9, result=AttemptResult.EMPTY)
        )
        assert ledger.fleets.attempts(fleet.launch_id) == (
            replace(FIRST, result=AttemptResult.EMPTY),
        )

    def test_attempt_result_is_recorded_once(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        settled = replace(FIRST, result=AttemptResult.LAUNCHED, launched=1, problem="no more")
        ledger.fleets.finish_attempt(fleet, settled)
        assert ledger.fleets.attempts(fleet.launch_id) == (settled,)
        ledger.fleets.finish_attempt(
            fleet, replace(FIRST, result=AttemptResult.REFUSED, problem="no")
        )
        assert ledger.fleets.attempts(fleet.launch_id) == (settled,)
        assert not ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)

    def test_result_of_a_missing_attempt_is_refused(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        with pytest.raises(LedgerError, match=f"attempt 1 of launch {fleet.launch_id}: "):
            ledger.fleets.finish_attempt(fleet, FIRST)
        assert ledger.fleets.attempts(fleet.launch_id) == ()


class TestAdvance:
    def test_advance_stores_phase_and_problem_and_releases_the_lock(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert ledger.fleets.advance(fleet, "w", Phase.LAUNCHING, "out of time")
        assert ledger.fleets.get("dev") == replace(fleet, problem="out of time")
        assert ledger.fleets.lock(fleet, "other", now=NOW, until=UNTIL)

    def test_worker_without_the_lock_cannot_advance(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert not ledger.fleets.advance(fleet, "one", Phase.LAUNCHED)
        ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        ledger.fleets.lock(fleet, "two", now=UNTIL, until=UNTIL + SECOND)
        assert not ledger.fleets.advance(fleet, "one", Phase.LAUNCHED)
        assert ledger.fleets.get("dev") == fleet

    def test_expired_lock_still_counts_until_another_worker_takes_it(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=NOW)
        assert ledger.fleets.advance(fleet, "w", Phase.PARTIAL, "1 of 2")

    def test_repeated_advance_succeeds_until_another_worker_has_the_lock(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "one", now=NOW, until=UNTIL)
        assert ledger.fleets.advance(fleet, "one", Phase.LAUNCHING, "p")
        assert ledger.fleets.advance(fleet, "one", Phase.LAUNCHING, "p")
        assert not ledger.fleets.advance(fleet, "one", Phase.LAUNCHED, "p")
        assert not ledger.fleets.advance(fleet, "two", Phase.LAUNCHING, "p")
        ledger.fleets.lock(fleet, "two", now=NOW, until=UNTIL)
        assert not ledger.fleets.advance(fleet, "one", Phase.LAUNCHING, "p")

    def test_failed_launch_without_instances_has_ended_and_frees_its_name(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        finished(ledger, fleet, Phase.FAILED, "no capacity")
        assert ledger.fleets.get("dev") == replace(
            fleet, phase=Phase.FAILED, problem="no capacity", ended_at=NOW
        )
        opened(ledger, "dev", "op-2")

    @pytest.mark.parametrize("phase", [Phase.LAUNCHED, Phase.PARTIAL, Phase.ATTENTION])
    def test_other_launch_results_without_an_ended_instance_do_not_end(
        self, ledger: Ledger, phase: Phase
    ) -> None:
        fleet = opened(ledger)
        finished(ledger, fleet, phase)
        assert ledger.fleets.get("dev") == replace(fleet, phase=phase)

    def test_failed_launch_with_a_running_instance_has_not_ended(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        finished(ledger, fleet, Phase.FAILED)
        assert ledger.fleets.get("dev") == replace(fleet, phase=Phase.FAILED)

    def test_launch_finished_after_its_last_instance_ended_has_ended(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1), an_id(2)], now=NOW)
        ledger.fleets.end(HERE, [an_id(1)], now=NOW + SECOND)
        ledger.fleets.end(HERE, [an_id(2)], now=NOW + 2 * SECOND)
        assert ledger.fleets.get("dev") == fleet
        finished(ledger, fleet)
        assert ledger.fleets.get("dev") == replace(
            fleet, phase=Phase.LAUNCHED, ended_at=NOW + 2 * SECOND
        )


class TestRenewal:
    def test_renewal_moves_the_end_sooner_or_later(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        for expiry in (EXPIRY + timedelta(days=1), NOW + MOMENT):
            assert ledger.fleets.renew(fleet, expiry, now=NOW)
            assert ledger.fleets.get("dev") == replace(fleet, expires_at=expiry)

    def test_renewal_is_refused_only_while_a_claim_is_valid(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)
        taken = replace(fleet, claimed_by="sweep", claimed_at=NOW)
        later = EXPIRY + SECOND
        for now in (NOW - SECOND, NOW, NOW + CLAIM):
            assert not ledger.fleets.renew(fleet, later, now=now)
        assert ledger.fleets.get("dev") == taken
        assert ledger.fleets.renew(fleet, later, now=NOW + CLAIM + SECOND)
        assert ledger.fleets.get("dev") == replace(taken, expires_at=later)

    def test_renewal_to_the_same_end_is_refused_once_the_fleet_is_claimed(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.renew(fleet, EXPIRY, now=NOW)
        assert claimed(ledger, fleet)
        assert not ledger.fleets.renew(fleet, EXPIRY, now=NOW)

    def test_renewal_is_refused_once_the_fleet_has_ended(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        assert not ledger.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        assert not ledger.fleets.renew(a_fleet("unknown"), EXPIRY, now=NOW)
        assert ledger.fleets.get("unknown") is None


class TestClaim:
    def test_lease_can_be_claimed_from_its_exact_end_and_not_before(self, ledger: Ledger) -> None:
        opened(ledger)
        before, at = EXPIRY - MOMENT, EXPIRY
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=before, expired=True)
        assert ledger.fleets.claim("dev", "op-dev", "s", now=at, expired=True)

    def test_lease_renewed_in_time_cannot_be_claimed(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert ledger.fleets.renew(fleet, EXPIRY + SECOND, now=EXPIRY)
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)
        assert ledger.fleets.renew(fleet, EXPIRY + 2 * SECOND, now=EXPIRY)

    def test_running_lease_can_be_claimed_by_a_terminate_request(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)
        assert ledger.fleets.get("dev") == replace(fleet, claimed_by="sweep", claimed_at=NOW)

    def test_another_sweep_can_claim_only_after_the_claim_expired(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet, "one")
        assert not claimed(ledger, fleet, "two", NOW + CLAIM)
        assert claimed(ledger, fleet, "two", NOW + CLAIM + MOMENT)
        assert not claimed(ledger, fleet, "one", NOW + CLAIM + MOMENT)

    def test_holder_can_claim_again_and_extends_its_claim(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet, "one")
        assert claimed(ledger, fleet, "one", NOW + CLAIM)
        assert not claimed(ledger, fleet, "two", NOW + 2 * CLAIM)

    def test_claim_cannot_be_repeated_after_the_lease_was_renewed(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        later = EXPIRY + CLAIM + SECOND
        assert ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)
        assert ledger.fleets.renew(fleet, later + SECOND, now=later)
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=later, expired=True)

    def test_only_the_holder_releases_a_claim(self, ledger: Ledger) -> None:
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

    def test_missing_fleet_cannot_be_claimed(self, ledger: Ledger) -> None:
        assert not ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)
        assert ledger.fleets.get("dev") is None
        opened(ledger)
        assert not ledger.fleets.claim("dev", "op-2", "s", now=EXPIRY, expired=True)

    def test_ended_fleet_can_be_claimed_by_a_sweep_but_not_by_a_request(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        assert not claimed(ledger, fleet)
        assert ledger.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=True)


class TestMembers:
    @pytest.mark.parametrize("count", [0, 1, 50, 51])
    def test_members_are_recorded_once_and_have_the_lease(self, ledger: Ledger, count: int) -> None:
        fleet = opened(ledger)
        ids = [an_id(n) for n in range(count)]
        ledger.fleets.record(fleet, [*reversed(ids), *ids[:1]], now=NOW)
        ledger.fleets.record(fleet, ids, now=NOW + SECOND)

        members = tuple(Member(instance_id=id_, launched_at=NOW) for id_ in ids)
        assert ledger.fleets.members(fleet.launch_id) == members
        assert ledger.fleets.leases(HERE, [*ids, an_id(999)]) == dict.fromkeys(ids, fleet.lease)

    def test_more_members_are_added_to_the_existing_ones(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        ledger.fleets.record(fleet, [an_id(1), an_id(2)], now=NOW + SECOND)
        assert ledger.fleets.members(fleet.launch_id) == (
            Member(instance_id=an_id(1), launched_at=NOW),
            Member(instance_id=an_id(2), launched_at=NOW + SECOND),
        )

    def test_instance_cannot_belong_to_two_launches(self, ledger: Ledger) -> None:
        one, two = opened(ledger, "one"), opened(ledger, "two")
        ledger.fleets.record(one, [an_id(1)], now=NOW)
        with pytest.raises(LedgerError, match="another launch"):
            ledger.fleets.record(two, [an_id(1)], now=NOW)
        assert ledger.fleets.members(two.launch_id) == ()
        assert ledger.fleets.leases(HERE, [an_id(1)]) == {an_id(1): one.lease}

    def test_lease_is_current_and_belongs_to_its_own_fleet(self, ledger: Ledger) -> None:
        one, two = opened(ledger, "one"), opened(ledger, "two", owner="ali")
        ledger.fleets.record(one, [an_id(1), an_id(2)], now=NOW)
        ledger.fleets.record(two, [an_id(3)], now=NOW)
        ledger.fleets.renew(one, NOW + SECOND, now=NOW)

        mine = Lease(fleet="one", launch_id="op-one", owner="kim", expires_at=NOW + SECOND)
        found = ledger.fleets.leases(HERE, [an_id(n) for n in (1, 2, 3, 1)])
        assert found == {an_id(1): mine, an_id(2): mine, an_id(3): two.lease}
        assert ledger.fleets.leases(ELSEWHERE, [an_id(1)]) == {}
        assert ledger.fleets.leases(HERE, []) == {}

    def test_reused_name_gives_no_lease_to_members_of_the_earlier_fleet(
        self, ledger: Ledger
    ) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        assert ledger.fleets.leases(HERE, [an_id(1)]) == {an_id(1): fleet.lease}
        opened(ledger, "dev", "op-2")
        assert ledger.fleets.leases(HERE, [an_id(1)]) == {}

    def test_leases_beyond_one_read_are_all_returned(
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
    def test_finished_fleet_ends_with_its_last_instance(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ids = [an_id(1), an_id(2)]
        ledger.fleets.record(fleet, ids, now=NOW)
        finished(ledger, fleet)
        launched = replace(fleet, phase=Phase.LAUNCHED)

        ledger.fleets.end(HERE, ids[:1], now=NOW + SECOND)
        assert ledger.fleets.get("dev") == launched
        ledger.fleets.end(HERE, [*ids, an_id(77)], now=NOW + 2 * SECOND)
        ledger.fleets.end(HERE, ids, now=NOW + 3 * SECOND)

        assert ledger.fleets.get("dev") == replace(launched, ended_at=NOW + 2 * SECOND)
        assert ledger.fleets.members(fleet.launch_id) == (
            Member(instance_id=ids[0], launched_at=NOW, ended_at=NOW + SECOND),
            Member(instance_id=ids[1], launched_at=NOW, ended_at=NOW + 2 * SECOND),
        )

    def test_fleet_that_still_launches_does_not_end(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        ledger.fleets.end(HERE, [an_id(1)], now=NOW)
        assert ledger.fleets.get("dev") == fleet

    def test_end_affects_only_its_own_fleet_and_region(self, ledger: Ledger) -> None:
        for number, name in enumerate(("a", "b")):
            fleet = opened(ledger, name)
            ledger.fleets.record(fleet, [an_id(number), an_id(number + 10)], now=NOW)
            finished(ledger, fleet)
        ledger.fleets.end(ELSEWHERE, [an_id(0), an_id(10)], now=NOW)
        ledger.fleets.end(HERE, [an_id(0), an_id(10), an_id(1)], now=NOW)
        fleets = ledger.fleets.page(limit=9, ended=True).items
        assert [fleet.ended_at for fleet in fleets] == [NOW, None]

    def test_instances_of_an_earlier_fleet_do_not_end_the_current_one(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        second = opened(ledger, "dev", "op-2")
        ledger.fleets.record(second, [an_id(2)], now=NOW)
        finished(ledger, second)
        ledger.fleets.end(HERE, [an_id(1)], now=NOW + SECOND)
        assert ledger.fleets.get("dev") == replace(second, phase=Phase.LAUNCHED)

    def test_repeated_record_does_not_revive_an_ended_instance(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ended(ledger, fleet)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW + SECOND)
        assert ledger.fleets.members(fleet.launch_id) == (
            Member(instance_id=an_id(1), launched_at=NOW, ended_at=NOW),
        )


class TestTwoAtOneTable:
    """Cases that occur only with a real table: another caller may write between any two calls."""

    def test_two_concurrent_identical_requests_create_one_fleet(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        second, first = a_fleet("dev", "op-mine"), a_fleet("dev", "op-theirs")
        done = overtake(
            mine,
            "TransactWriteItems",
            lambda: theirs.fleets.open(first, a_launch_spec(first), a_key("k")),
        )
        assert mine.fleets.open(second, a_launch_spec(second), a_key("k")) == first
        assert done
        assert mine.fleets.get("dev") == first

    def test_second_of_two_requests_for_one_name_is_refused(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        overtake(mine, "TransactWriteItems", lambda: opened(theirs, "dev", "op-theirs"))
        with pytest.raises(ConflictError, match="taken"):
            opened(mine, "dev", "op-mine")
        found = mine.fleets.get("dev")
        assert found
        assert found.launch_id == "op-theirs"
        assert mine.fleets.recall(a_key("key of op-mine")) is None

    @pytest.mark.parametrize("times", [1, 99])
    def test_conflicting_transaction_is_retried_a_limited_number_of_times(
        self, ledger_pair: Pair, times: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        mine, theirs = ledger_pair
        busy(mine, times)
        fleet = a_fleet()
        if times == 1:
            assert mine.fleets.open(fleet, a_launch_spec(fleet), a_key("k")) == fleet
        else:
            with pytest.raises(LedgerError, match="too busy"):
                mine.fleets.open(fleet, a_launch_spec(fleet), a_key("k"))
            assert theirs.fleets.get("dev") is None

    @pytest.mark.parametrize("times", [1, 99])
    def test_write_that_conflicts_with_a_transaction_is_retried(
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

    def test_refusal_beside_a_conflict_is_retried(
        self, ledger_pair: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DynamoDB does not check the condition of an item in conflict: here that of the fleet, which is claimed."""
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        mine, theirs = ledger_pair
        fleet = opened(theirs)
        theirs.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        theirs.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        assert claimed(theirs, fleet)
        written = dict(fleet_items.of_attempt(fleet.launch_id, FIRST, "w"))
        refusal = {"Code": "ConditionalCheckFailed", "Item": written}
        busy(mine, 1, {"Code": "TransactionConflict"}, refusal)
        assert not mine.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)

    @pytest.mark.parametrize("first", ["renewal", "claim"])
    def test_concurrent_renewal_and_claim_have_one_winner(
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

    def test_claim_just_before_an_attempt_forbids_the_attempt(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        overtake(mine, "TransactWriteItems", lambda: claimed(theirs, fleet))
        assert not mine.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        assert mine.fleets.attempts(fleet.launch_id) == ()

    def test_one_of_two_concurrent_workers_resumes_a_launch(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        overtake(mine, "UpdateItem", lambda: theirs.fleets.lock(fleet, "two", now=NOW, until=UNTIL))
        assert not mine.fleets.lock(fleet, "one", now=NOW, until=UNTIL)

    def test_concurrent_end_and_last_advance_close_the_fleet(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        mine.fleets.record(fleet, [an_id(1)], now=NOW)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        overtake(mine, "UpdateItem", lambda: theirs.fleets.end(HERE, [an_id(1)], now=NOW))
        assert mine.fleets.advance(fleet, "w", Phase.LAUNCHED)
        assert mine.fleets.get("dev") == replace(fleet, phase=Phase.LAUNCHED, ended_at=NOW)


class TestLostAnswers:
    """The SDK repeats a call whose response was lost. The repeated call finds the effect of the first one."""

    def test_lost_response_to_open_still_opens_the_fleet(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        lost = lose_the_first_answer(mine, "TransactWriteItems")
        fleet = a_fleet()
        assert mine.fleets.open(fleet, a_launch_spec(fleet), a_key("k")) == fleet
        assert lost

    def test_lost_response_to_an_attempt_still_grants_it(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        lost = lose_the_first_answer(mine, "TransactWriteItems")
        assert mine.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        assert lost

    def test_lost_response_to_lock_still_takes_it(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        assert lost

    def test_lost_response_to_advance_still_advances(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.fleets.advance(fleet, "w", Phase.FAILED, "no")
        assert lost
        found = mine.fleets.get("dev")
        assert found
        assert found.ended_at == NOW

    @pytest.mark.parametrize("expired", [True, False])
    def test_lost_response_to_claim_still_claims(self, ledger_pair: Pair, expired: bool) -> None:
        mine, _ = ledger_pair
        opened(mine)
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.fleets.claim("dev", "op-dev", "s", now=EXPIRY, expired=expired)
        assert lost

    def test_lost_response_to_renewal_survives_a_claim_before_the_retry(
        self, ledger_pair: Pair
    ) -> None:
        mine, theirs = ledger_pair
        fleet = opened(mine)
        lost = lose_the_first_answer(mine, "UpdateItem", lambda: claimed(theirs, fleet))
        assert mine.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)
        assert lost
        assert not mine.fleets.renew(fleet, EXPIRY + SECOND, now=NOW)

    def test_lost_response_to_an_attempt_result_still_records_it(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        mine.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        mine.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        lost = lose_the_first_answer(mine, "UpdateItem")
        settled = replace(FIRST, result=AttemptResult.EMPTY)
        mine.fleets.finish_attempt(fleet, settled)
        assert lost
        assert mine.fleets.attempts(fleet.launch_id) == (settled,)

    def test_lost_response_to_record_and_end_still_stores_both(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        fleet = opened(mine)
        launches = lose_the_first_answer(mine, "TransactWriteItems")
        ends = lose_the_first_answer(mine, "UpdateItem")
        mine.fleets.record(fleet, [an_id(1)], now=NOW)
        mine.fleets.end(HERE, [an_id(1)], now=NOW)
        assert mine.fleets.members(fleet.launch_id) == (
            Member(instance_id=an_id(1), launched_at=NOW, ended_at=NOW),
        )
        assert launches
        assert ends


class TestUnreadable:
    """Items that were changed by hand, and a table that does not respond."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("expires_at", {"S": "tomorrow"}),
            ("expires_at", {"S": "2031-01-01T00:00:00+00:00"}),
            ("expires_at_epoch", {"N": "4000000000"}),
            ("claimed_at", {"S": "2026-01-01T00:00:00+00:00"}),
            ("claimed_at_epoch", {"N": "1"}),
            ("phase", {"S": "flying"}),
            ("launch_id", {"N": "1"}),
            ("count", {"S": "two"}),
            ("longest", {"N": "Infinity"}),
            ("longest", {"N": "1E+125"}),
            ("ended_at", {"BOOL": True}),
        ],
    )
    def test_unreadable_fleet_is_a_ledger_error_wherever_it_is_read(
        self, cloud: Cloud, ledger_pair: Pair, name: str, value: Any
    ) -> None:
        ledger, _ = ledger_pair
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        spoil(cloud, "fleet", "dev", name, value)
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
            ("fleet#op-dev", "launch-spec", "spec", {"S": "{"}),
            ("fleet#op-dev", "launch-spec", "spec", {"S": "[]"}),
            ("fleet#op-dev", "launch-spec", "spec", {"S": '{"operation": "op-dev"}'}),
            ("fleet#op-dev", "attempt#001", "result", {"S": "maybe"}),
            ("fleet#op-dev", "attempt#001", "launched", {"S": "1"}),
            ("fleet#op-dev", f"instance#{an_id(1)}", "launched_at", {"S": "once"}),
            (f"lease#{HERE}", an_id(1), "launch_id", {"N": "1"}),
            (f"lease#{HERE}", an_id(1), "fleet", {"S": "unknown"}),
            ("key#key of op-dev", "key", "body", {"BOOL": True}),
        ],
    )
    def test_unreadable_record_of_a_fleet_is_a_ledger_error(
        self, cloud: Cloud, ledger_pair: Pair, *, pk: str, sk: str, name: str, value: Any
    ) -> None:
        ledger, _ = ledger_pair
        fleet = opened(ledger)
        ledger.fleets.lock(fleet, "w", now=NOW, until=UNTIL)
        ledger.fleets.begin_attempt(fleet, "w", FIRST, now=NOW)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)

        def read() -> None:
            ledger.fleets.launch_spec("op-dev")
            ledger.fleets.attempts("op-dev")
            ledger.fleets.members("op-dev")
            ledger.fleets.leases(HERE, [an_id(1)])
            ledger.fleets.recall(a_key("key of op-dev"))

        read()
        spoil(cloud, pk, sk, name, value)
        with pytest.raises(LedgerError, match="has an item that cannot be read"):
            read()

    def test_missing_table_gives_a_ledger_error_that_names_it(self, client: Any) -> None:
        fleets = DynamoLedger(client, "missing").fleets
        fleet = a_fleet()
        calls: list[Callable[[], object]] = [
            lambda: fleets.open(fleet, a_launch_spec(fleet), a_key("k")),
            lambda: fleets.recall(a_key("k")),
            lambda: fleets.get("dev"),
            lambda: fleets.page(limit=1),
            lambda: list(fleets.unfinished()),
            lambda: fleets.launch_spec("op"),
            lambda: fleets.attempts("op"),
            lambda: fleets.members("op"),
            lambda: fleets.lock(fleet, "w", now=NOW, until=UNTIL),
            lambda: fleets.begin_attempt(fleet, "w", FIRST, now=NOW),
            lambda: fleets.record(fleet, [an_id(1)], now=NOW),
            lambda: fleets.finish_attempt(fleet, FIRST),
            lambda: fleets.advance(fleet, "w", Phase.LAUNCHING),
            lambda: fleets.advance(fleet, "w", Phase.FAILED),
            lambda: fleets.renew(fleet, EXPIRY, now=NOW),
            lambda: fleets.claim("dev", "op", "s", now=NOW, expired=True),
            lambda: fleets.unclaim("dev", "op", "s"),
            lambda: fleets.leases(HERE, [an_id(1)]),
            lambda: fleets.end(HERE, [an_id(1)], now=NOW),
        ]
        for call in calls:
            with pytest.raises(LedgerError, match='"missing"'):
                call()


def test_every_read_is_consistent_and_only_keys_expire(
    client: Any,
) -> None:
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


def spoil(cloud: Cloud, pk: str, sk: str, name: str, value: Any) -> None:
    """Change a stored item, even into one that DynamoDB would refuse to write."""
    table = cloud.world.tables().get(TABLE)
    place = table.place({"pk": {"S": pk}, "sk": {"S": sk}})
    item = table.get(place)
    assert item is not None
    table.write(place, {**item, name: value})


class TestClose:
    """A launch that needs attention and has no known instance."""

    def test_close_ends_the_fleet_and_frees_its_name(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        finished(ledger, fleet, Phase.ATTENTION, "mismatch")

        assert ledger.fleets.close(fleet, now=NOW + SECOND)

        there = ledger.fleets.get("dev")
        assert there is not None
        assert there.ended_at == NOW + SECOND
        assert opened(ledger, launch_id="op-2").launch_id == "op-2"

    def test_fleet_that_still_launches_stays_open(self, ledger: Ledger) -> None:
        fleet = opened(ledger)

        assert not ledger.fleets.close(fleet, now=NOW)
        assert ledger.fleets.get("dev") == fleet

    def test_fleet_with_an_instance_stays_open(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        ledger.fleets.record(fleet, [an_id(1)], now=NOW)
        finished(ledger, fleet)

        assert not ledger.fleets.close(fleet, now=NOW)
        there = ledger.fleets.get("dev")
        assert there is not None
        assert there.ended_at is None

    def test_close_ignores_another_launch_of_the_name(self, ledger: Ledger) -> None:
        first = opened(ledger)
        finished(ledger, first, Phase.FAILED)
        second = opened(ledger, launch_id="op-2")
        finished(ledger, second, Phase.ATTENTION)

        ledger.fleets.close(first, now=NOW + SECOND)

        assert ledger.fleets.get("dev") == replace(second, phase=Phase.ATTENTION)


class TestHandOver:
    """Another invocation takes over the claim of the first."""

    def test_handed_over_claim_belongs_to_the_new_holder_and_restarts(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)

        assert ledger.fleets.hand_over("dev", fleet.launch_id, "sweep", "heir", now=NOW + CLAIM)

        there = ledger.fleets.get("dev")
        assert there is not None
        assert (there.claimed_by, there.claimed_at) == ("heir", NOW + CLAIM)
        assert not ledger.fleets.renew(fleet, EXPIRY, now=NOW + CLAIM + SECOND)

    def test_one_of_two_successors_gets_the_claim(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)

        assert ledger.fleets.hand_over("dev", fleet.launch_id, "sweep", "one", now=NOW)
        assert not ledger.fleets.hand_over("dev", fleet.launch_id, "sweep", "two", now=NOW)

        there = ledger.fleets.get("dev")
        assert there is not None
        assert there.claimed_by == "one"

    @pytest.mark.parametrize("by", ["another", ""])
    def test_only_the_holder_hands_over_its_claim(self, ledger: Ledger, by: str) -> None:
        fleet = opened(ledger)
        assert not ledger.fleets.hand_over("dev", fleet.launch_id, by, "heir", now=NOW)
        assert claimed(ledger, fleet)

        assert not ledger.fleets.hand_over("dev", fleet.launch_id, by, "heir", now=NOW)
        assert not ledger.fleets.hand_over("dev", "op-x", "sweep", "heir", now=NOW)

    def test_expired_claim_cannot_be_handed_over(self, ledger: Ledger) -> None:
        fleet = opened(ledger)
        assert claimed(ledger, fleet)
        late = NOW + CLAIM + SECOND

        assert not ledger.fleets.hand_over("dev", fleet.launch_id, "sweep", "heir", now=late)
