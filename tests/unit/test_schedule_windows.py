"""The windows of a schedule, case by case: the begin, the duration, and the next window."""

import time as system
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curfew.core.schedule import EPOCH, EVERY_DAY, Schedule

ZURICH = ZoneInfo("Europe/Zurich")
CHANGING = [
    ZoneInfo(name)
    for name in ("Europe/Zurich", "Australia/Lord_Howe", "Antarctica/Troll", "America/Havana")
]
NIGHTLY = Schedule(name="nightly", policy="nightly", at=time(2, 30))
OFTEN = Schedule(name="leases", policy="leases", every=timedelta(minutes=15))
MIDNIGHT = Schedule(name="midnight", policy="nightly", at=time(0, 0))
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def utc(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


def latest(now: datetime, schedule: Schedule = NIGHTLY, zone: ZoneInfo = ZURICH) -> datetime | None:
    return schedule.latest(zone, now)


def following(
    now: datetime, schedule: Schedule = NIGHTLY, zone: ZoneInfo = ZURICH
) -> datetime | None:
    return schedule.following(zone, now)


# A time of day


def test_window_exists_from_its_start_until_its_catch_up_ends() -> None:
    night = utc(2026, 3, 4, 1, 30)
    assert latest(night - SECOND) is None
    assert latest(night) == night
    assert latest(night + 4 * HOUR) == night
    assert latest(night + 4 * HOUR + SECOND) is None


def test_a_window_counts_for_as_long_as_the_schedule_sets() -> None:
    short = Schedule(name="n", policy="n", at=time(2, 30), catch_up=HOUR)
    night = utc(2026, 3, 4, 1, 30)
    assert latest(night + HOUR, short) == night
    assert latest(night + HOUR + SECOND, short) is None


def test_the_next_window_comes_strictly_after_now() -> None:
    night = utc(2026, 3, 4, 1, 30)
    assert following(night - DAY) == night
    assert following(night - SECOND) == night
    assert following(night) == night + DAY
    assert following(night + SECOND) == night + DAY


def test_a_schedule_names_its_policy_and_has_every_day_unless_days_are_set() -> None:
    bare = Schedule(name="n", policy="p")
    assert (bare.name, bare.policy) == ("n", "p")
    assert (bare.at, bare.every) == (None, None)
    assert bare.days == EVERY_DAY == {0, 1, 2, 3, 4, 5, 6}
    assert bare.catch_up == timedelta(hours=4)


def test_a_schedule_without_a_time_has_its_window_at_midnight() -> None:
    bare = Schedule(name="n", policy="n")
    assert latest(utc(2026, 3, 4, 0, 0), bare) == utc(2026, 3, 3, 23, 0)
    assert following(utc(2026, 3, 4, 0, 0), bare) == utc(2026, 3, 4, 23, 0)


@pytest.fixture
def machine_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Yield a function that sets the time zone of the machine."""
    with monkeypatch.context() as patch:

        def move(name: str) -> None:
            patch.setenv("TZ", name)
            system.tzset()

        yield move
    system.tzset()


def test_a_window_is_given_in_utc_whatever_the_zone_of_the_machine(
    machine_in: Callable[[str], None],
) -> None:
    machine_in("Asia/Tokyo")
    now = utc(2026, 3, 4, 1, 30).astimezone(ZURICH)
    for window in (latest(now), following(now - SECOND)):
        assert window is not None
        assert window.isoformat() == "2026-03-04T01:30:00+00:00"


def test_the_date_in_the_zone_counts_and_not_the_date_of_the_machine(
    machine_in: Callable[[str], None],
) -> None:
    """At 10:30 UTC on the 4th it is the 3rd in Pago Pago, and the 5th on Kiritimati."""
    now = utc(2026, 3, 4, 10, 30)
    evening = Schedule(name="n", policy="n", at=time(23, 45))
    machine_in("Pacific/Kiritimati")
    assert following(now, evening, ZoneInfo("Pacific/Pago_Pago")) == utc(2026, 3, 4, 10, 45)
    morning = Schedule(name="n", policy="n", at=time(0, 15))
    machine_in("Pacific/Pago_Pago")
    assert latest(now, morning, ZoneInfo("Pacific/Kiritimati")) == utc(2026, 3, 4, 10, 15)


# Days of the week


def test_only_the_days_that_are_named_have_a_window() -> None:
    weekdays = Schedule(name="n", policy="n", at=time(2, 30), days=frozenset(range(5)))
    saturday = utc(2026, 3, 7, 1, 30)
    assert latest(saturday, weekdays) is None
    assert latest(saturday - DAY, weekdays) == saturday - DAY
    assert following(saturday, weekdays) == utc(2026, 3, 9, 1, 30)
    assert following(saturday - DAY, weekdays) == utc(2026, 3, 9, 1, 30)
    assert following(saturday - DAY - SECOND, weekdays) == saturday - DAY


def test_a_weekly_window_is_found_until_the_next_one_begins() -> None:
    weekly = Schedule(
        name="n", policy="n", at=time(2, 30), days=frozenset({2}), catch_up=timedelta(days=8)
    )
    wednesday = utc(2026, 3, 4, 1, 30)
    week = timedelta(days=7)
    assert [latest(wednesday + days * DAY, weekly) for days in range(7)] == [wednesday] * 7
    assert latest(wednesday + week - SECOND, weekly) == wednesday
    assert latest(wednesday + week, weekly) == wednesday + week
    assert [following(wednesday + days * DAY, weekly) for days in range(7)] == (
        [wednesday + week] * 7
    )


# Every so often


def test_interval_schedule_has_windows_on_a_fixed_grid() -> None:
    now = utc(2026, 3, 4, 10, 44, 59)
    assert latest(now, OFTEN) == utc(2026, 3, 4, 10, 30)
    assert following(now, OFTEN) == utc(2026, 3, 4, 10, 45)
    assert latest(now + SECOND, OFTEN) == utc(2026, 3, 4, 10, 45)
    assert following(now + SECOND, OFTEN) == utc(2026, 3, 4, 11, 0)


def test_a_window_of_a_grid_that_is_too_old_to_be_caught_up_is_not_the_latest() -> None:
    daily = Schedule(name="n", policy="n", every=DAY)
    assert latest(utc(2026, 3, 4, 4, 0, 0), daily) == utc(2026, 3, 4)
    assert latest(utc(2026, 3, 4, 4, 0, 1), daily) is None
    assert following(utc(2026, 3, 4, 4, 0, 1), daily) == utc(2026, 3, 5)


def test_a_grid_begins_on_the_first_of_january_1970() -> None:
    weekly = Schedule(name="n", policy="n", every=timedelta(days=7))
    assert utc(1970, 1, 1) == EPOCH
    assert following(utc(2026, 3, 4), weekly) == utc(2026, 3, 5)  # a Thursday, as that day was


# Clocks that change


def test_a_time_that_the_clock_skips_comes_as_much_later() -> None:
    assert latest(utc(2026, 3, 29, 1, 29)) is None
    assert latest(utc(2026, 3, 29, 1, 30)) == utc(2026, 3, 29, 1, 30)  # 03:30 in summer


def test_a_time_that_the_clock_repeats_comes_the_first_time() -> None:
    first = utc(2026, 10, 25, 0, 30)
    assert latest(first) == first
    assert latest(first + HOUR) == first  # 02:30 once more
    assert latest(first + 2 * HOUR) == first
    assert following(first) == utc(2026, 10, 26, 1, 30)


def test_night_moved_past_midnight_by_the_clock_is_still_to_come() -> None:
    """Scoresbysund's clocks go from 23:00 to midnight: Saturday's 23:30 is Sunday's 00:30."""
    zone = ZoneInfo("America/Scoresbysund")
    late = Schedule(name="n", policy="n", at=time(23, 30))
    weekly = Schedule(name="n", policy="n", at=time(23, 30), days=frozenset({5}))
    night = utc(2026, 3, 29, 1, 30)
    assert following(night - timedelta(minutes=20), late, zone) == night
    assert latest(night - SECOND, late, zone) is None
    assert latest(night - SECOND, weekly, zone) is None
    assert latest(night, late, zone) == night
    assert following(night, late, zone) == utc(2026, 3, 30, 0, 30)


def test_a_night_has_begun_although_the_clock_is_back_on_the_day_before() -> None:
    """In 2010 St. John's clocks went from 00:01 back to 23:01: the 7th of November had begun already."""
    zone = ZoneInfo("America/St_Johns")
    night = utc(2010, 11, 7, 2, 30)
    now = night + timedelta(minutes=10)
    assert now.astimezone(zone).date() == date(2010, 11, 6)
    assert latest(now, MIDNIGHT, zone) == night
    assert following(now, MIDNIGHT, zone) == utc(2010, 11, 8, 3, 30)


def test_a_zone_that_skips_a_date_has_no_night_of_it() -> None:
    apia = ZoneInfo("Pacific/Apia")
    nights = {NIGHTLY._night(apia, date(2011, 12, day)) for day in (29, 30, 31)}
    assert len(nights) == 2


def test_the_window_after_a_skipped_date_is_a_day_later() -> None:
    apia = ZoneInfo("Pacific/Apia")
    before = utc(2011, 12, 29, 12, 30)
    assert following(before, NIGHTLY, apia) == before + DAY
    assert following(before + DAY, NIGHTLY, apia) == before + 2 * DAY
    assert latest(before + DAY, NIGHTLY, apia) == before + DAY


@given(
    st.sampled_from(CHANGING),
    st.integers(0, 15 * 366 * 24 * 60).map(
        lambda minutes: utc(2020, 1, 1) + minutes * timedelta(minutes=1)
    ),
    st.times(),
)
def test_the_following_window_is_the_next_that_is_ever_the_latest(
    zone: ZoneInfo, now: datetime, at: time
) -> None:
    schedule = Schedule(name="n", policy="n", at=at.replace(tzinfo=None, fold=0))
    following = schedule.following(zone, now)
    assert following > now
    assert schedule.latest(zone, following) == following
    between = now + (following - now) * 0.99
    assert schedule.latest(zone, between) in {None, schedule.latest(zone, now)}
