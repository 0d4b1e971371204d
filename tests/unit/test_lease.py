"""Leases: their end, and the instances that they protect."""

import time as system
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from curfew.core.instance import State
from curfew.core.lease import CLAIM, TAG_VALUE_LENGTH, Fleet, Lease, format_utc, instant_of, tags_of
from curfew.core.plan import Action, Kept, judge
from tests.builders import HERE, NOW, a_policy, a_selector, an_instance

ZURICH = ZoneInfo("Europe/Zurich")
MINUTE = timedelta(minutes=1)


def a_lease(ends_in: timedelta, **more: Any) -> Lease:
    ordinary: dict[str, Any] = {
        "fleet": "lab",
        "launch_id": "op-1",
        "owner": "kim",
        "expires_at": NOW + ends_in,
    }
    return Lease(**(ordinary | more))


def a_fleet(**more: Any) -> Fleet:
    ordinary: dict[str, Any] = {
        "name": "lab",
        "launch_id": "op-1",
        "template": "t2-pair",
        "target": HERE,
        "owner": "kim",
        "count": 2,
        "created_at": NOW,
        "expires_at": NOW + timedelta(hours=8),
        "longest": timedelta(days=7),
    }
    return Fleet(**(ordinary | more))


def expired_policy(**more: Any) -> Any:
    return a_policy(selector=a_selector(tags=(), expired=True), **more)


def test_a_running_lease_keeps_whatever_a_policy_means() -> None:
    verdict = judge(an_instance(lease=a_lease(MINUTE)), a_policy(), NOW)

    assert isinstance(verdict, Kept)
    assert (verdict.rule, verdict.reason) == ("leased", "has a lease until 2026-03-04T02:01:00Z")


@pytest.mark.parametrize("ends_in", [timedelta(0), -MINUTE])
def test_a_lease_that_has_run_out_keeps_nothing(ends_in: timedelta) -> None:
    assert isinstance(judge(an_instance(lease=a_lease(ends_in)), a_policy(), NOW), Action)


def test_a_policy_that_ends_leases_is_kept_from_nothing_by_one() -> None:
    policy = a_policy(ends_leases=True)

    assert isinstance(judge(an_instance(lease=a_lease(MINUTE)), policy, NOW), Action)


def test_a_lease_in_a_tag_counts_for_nothing() -> None:
    tags = {"env": "dev", "curfew:lease": "2099-01-01T00:00:00Z", "curfew:owner": "kim"}

    assert isinstance(judge(an_instance(tags=tags), a_policy(), NOW), Action)


def test_expired_lease_is_selected_with_its_expiry() -> None:
    verdict = judge(an_instance(lease=a_lease(-2 * MINUTE)), expired_policy(), NOW)

    assert isinstance(verdict, Action)
    assert verdict.rule == "lease-expired"
    assert verdict.reason == "is running, 9h old, its lease ran out 2m ago"


def test_lease_is_expired_at_its_exact_end() -> None:
    assert isinstance(
        judge(an_instance(lease=a_lease(timedelta(0))), expired_policy(), NOW), Action
    )


@pytest.mark.parametrize(
    ("lease", "reason"),
    [(None, "has no lease"), (a_lease(MINUTE), "has a lease until 2026-03-04T02:01:00Z")],
)
def test_instance_without_an_expired_lease_is_not_selected(
    lease: Lease | None, reason: str
) -> None:
    verdict = judge(an_instance(lease=lease), expired_policy(), NOW)

    assert isinstance(verdict, Kept)
    assert (verdict.rule, verdict.reason) == ("not-selected", reason)


@pytest.mark.parametrize(
    "lease", [None, a_lease(MINUTE, launch_id="op-2"), a_lease(-MINUTE, launch_id="")]
)
def test_copied_tag_makes_no_instance_a_member(lease: Lease | None) -> None:
    policy = a_policy(selector=a_selector(launch_id="op-1"), ends_leases=True)

    verdict = judge(an_instance(lease=lease), policy, NOW)

    assert isinstance(verdict, Kept)
    assert (verdict.rule, verdict.reason) == (
        "not-in-ledger",
        "carries the tag of the fleet, but was not launched for it",
    )


def test_instance_of_the_launch_is_a_member() -> None:
    policy = a_policy(selector=a_selector(launch_id="op-1"), ends_leases=True)

    assert isinstance(judge(an_instance(lease=a_lease(MINUTE)), policy, NOW), Action)


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPED])
def test_protection_counts_for_more_than_the_end_of_a_lease(state: State) -> None:
    policy = a_policy(
        selector=a_selector(tags=(), expired=True, states=frozenset({state})), ends_leases=True
    )
    instance = an_instance(lease=a_lease(-MINUTE), tags={"Curfew:KEEP": ""}, state=state)

    verdict = judge(instance, policy, NOW)

    assert isinstance(verdict, Kept)
    assert verdict.rule == "protect-tag"


def test_the_tags_say_whose_and_until_when() -> None:
    assert tags_of(a_fleet()) == {
        "curfew:fleet": "lab",
        "curfew:owner": "kim",
        "curfew:lease": "2026-03-04T10:00:00Z",
        "curfew:launch-id": "op-1",
    }


def test_a_long_owner_is_cut_in_the_tag_alone() -> None:
    fleet = a_fleet(owner="o" * 300)

    assert len(tags_of(fleet)["curfew:owner"]) == TAG_VALUE_LENGTH
    assert len(fleet.lease.owner) == 300


def test_a_claim_runs_out_by_itself() -> None:
    fleet = a_fleet(claimed_by="sweep", claimed_at=NOW)

    assert fleet.claimed(NOW + CLAIM)
    assert not fleet.claimed(NOW + CLAIM + timedelta(seconds=1))
    assert not a_fleet().claimed(NOW)


def test_instant_is_formatted_in_utc() -> None:
    assert format_utc(datetime(2026, 7, 1, 18, 0, tzinfo=ZURICH)) == "2026-07-01T16:00:00Z"


@pytest.mark.parametrize(
    ("after", "clock", "expected"),
    [
        ("2026-11-25T07:00:00+00:00", "18:00", "2026-11-25T17:00:00+00:00"),
        ("2026-11-25T17:00:00+00:00", "18:00", "2026-11-26T17:00:00+00:00"),
        ("2026-11-25T16:59:59+00:00", "18:00", "2026-11-25T17:00:00+00:00"),
        ("2026-11-25T23:30:00+00:00", "01:00", "2026-11-26T00:00:00+00:00"),
        # Skipped on 29 March: the clocks go from 2 to 3.
        ("2026-03-28T23:00:00+00:00", "02:30", "2026-03-29T01:30:00+00:00"),
        # Shown twice on 25 October: the clocks go from 3 back to 2.
        ("2026-10-24T22:00:00+00:00", "02:30", "2026-10-25T01:30:00+00:00"),
        ("2026-10-25T00:45:00+00:00", "02:30", "2026-10-25T01:30:00+00:00"),
    ],
)
def test_a_time_of_day_is_the_next_such_instant_and_the_later_of_two(
    after: str, clock: str, expected: str
) -> None:
    found = instant_of(time.fromisoformat(clock), ZURICH, datetime.fromisoformat(after))

    assert found == datetime.fromisoformat(expected)
    assert found.tzinfo is UTC


def test_skipped_day_of_a_zone_delays_a_time_by_at_most_a_day() -> None:
    samoa = ZoneInfo("Pacific/Apia")  # had no 30 December 2011
    after = datetime(2011, 12, 30, 9, 59, tzinfo=UTC)

    found = instant_of(time(9, 0), samoa, after)

    assert after < found <= after + timedelta(days=1)


def test_the_day_is_the_zones_own_and_not_that_of_utc() -> None:
    honolulu = ZoneInfo("Pacific/Honolulu")  # where NOW is four in the afternoon, of the day before

    assert instant_of(time(17), honolulu, NOW) == NOW + timedelta(hours=1)
    assert instant_of(time(15), honolulu, NOW) == NOW + timedelta(hours=23)


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the machine's time zone to one other than UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        system.tzset()
        yield
    system.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_instants_are_formatted_in_utc_whatever_the_local_zone() -> None:
    assert format_utc(NOW.astimezone(ZURICH)) == "2026-03-04T02:00:00Z"
    assert instant_of(time(4), ZURICH, NOW) == NOW + timedelta(hours=1)
