"""No night is lost and none is repeated, in any zone, with any clock change, late triggers and failed sweeps."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from curfew.core.schedule import Schedule

HOUR = timedelta(hours=1)
ZURICH = ZoneInfo("Europe/Zurich")
# Beside a year like others: the year in which Samoa had no 30th of December, and one in which Kwajalein had no 21st
# of August. Lord Howe's clocks change by half an hour, Troll's by two, and Morocco's four times in a year.
YEARS = {"Pacific/Apia": 2011, "Pacific/Kwajalein": 1993}
YEAR = 2026


def utc(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


@cache
def transitions(name: str) -> tuple[tuple[datetime, timedelta | None], ...]:
    """Return the times at which the zone's offset changes in its year and some weeks around, each with the new offset.

    The first entry is the offset before them.
    """
    zone, year = ZoneInfo(name), YEARS.get(name, YEAR)
    now, end = utc(year - 1, 12, 1), utc(year + 1, 2, 1)
    offset = now.astimezone(zone).utcoffset()
    found = [(now, offset)]
    while now < end:
        if (now + HOUR).astimezone(zone).utcoffset() != offset:
            while now.astimezone(zone).utcoffset() == offset:
                now += timedelta(minutes=1)
            offset = now.astimezone(zone).utcoffset()
            found.append((now, offset))
        else:
            now += HOUR
    return tuple(found)


@cache
def zones() -> list[list[str]]:
    """Return all zones, grouped by equal clocks in that year."""
    links, same = dict[bytes, str](), dict[Any, list[str]]()
    for name in sorted(available_timezones()):
        place = files("tzdata").joinpath("zoneinfo", *name.split("/"))
        if place.is_file():
            link = name if name in YEARS else links.setdefault(place.read_bytes(), name)
            same.setdefault(transitions(link), []).append(name)
    return [*same.values()]


def ticks(start: datetime, end: datetime, rng: Random) -> Iterator[datetime]:
    """Yield the times of triggers: some late, some twice, and sometimes none for a day or two."""
    now = start
    while now < end:
        outage = rng.random() < 0.002
        now += timedelta(hours=rng.uniform(8, 60) if outage else rng.uniform(0.4, 3.5))
        yield now
        if rng.random() < 0.05:
            yield now


def a_year(name: str, at: time) -> tuple[list[datetime], list[datetime]]:
    """Return the nights that were swept, and those that lapsed in or after an outage, both in order."""
    zone, year = ZoneInfo(name), YEARS.get(name, YEAR)
    rng = Random(f"{name} {at}")  # noqa: S311  the same year each time
    schedule = Schedule(name="n", policy="n", at=at)
    completed, before = utc(year, 1, 1), utc(year, 1, 1)
    swept: list[datetime] = []
    lapsed: list[datetime] = []
    for now in ticks(before, utc(year + 1, 1, 1), rng):
        window = schedule.latest(zone, now)
        known = swept[-1] if swept else completed
        while (passed := schedule.following(zone, known)) <= now and passed != window:
            if now - passed > schedule.catch_up and passed not in lapsed:
                lapsed.append(passed)
            known = passed
        # One sweep in ten fails, and the next trigger retries it.
        if window is not None and window > completed and rng.random() > 0.1:
            completed = window
            swept.append(window)
    return swept, lapsed


@pytest.mark.slow
def test_no_zone_is_left_out_of_the_year() -> None:
    names = [name for same in zones() for name in same]
    assert len(names) == len(set(names))
    assert len(names) > 450
    assert {*YEARS, "Europe/Zurich", "Australia/Lord_Howe", "Antarctica/Troll"} < set(names)
    for same in zones():
        hours = [utc(YEARS.get(same[0], YEAR), 1, 1) + n * 7 * HOUR for n in range(1_251)]
        shown = {tuple(h.astimezone(ZoneInfo(n)).utcoffset() for h in hours) for n in same}
        assert len(shown) == 1, same
    apart = {transitions(first) for first, *_ in zones()}
    assert len(apart) == len(zones()) > 60


@pytest.mark.slow
@pytest.mark.parametrize("at", [time(0, 0), time(2, 30), time(23, 45)], ids=str)
def test_in_a_year_no_night_is_lost_and_none_doubled_in_any_zone(at: time) -> None:
    """The nights of a zone depend only on its offsets, so one zone of each group is enough."""
    for name, *_ in zones():
        swept, lapsed = a_year(name, at)
        assert swept == sorted(set(swept)), name
        assert not set(swept) & set(lapsed), name
        nights = sorted([*swept, *lapsed])
        apart = {later - earlier for earlier, later in pairwise(nights)}
        # No zone moves its clocks by more than three hours, but for those that change their date.
        assert timedelta(hours=21) <= min(apart), name
        assert max(apart) <= timedelta(hours=27), name
        assert len(nights) > 360, name
        # Triggers come except in outages, of which there are a few in a year.
        assert len(lapsed) < 40, name


def test_trigger_by_wall_clock_time_loses_and_repeats_nights() -> None:
    """A cron expression in a local zone would not do. This also proves that the year can find a fault."""
    times = [
        local.replace(tzinfo=None)
        for half_hours in range(362 * 48)
        if (
            local := (utc(YEAR, 1, 2) + timedelta(minutes=30 * half_hours)).astimezone(ZURICH)
        ).time()
        == time(2, 30)
    ]
    apart = {later - earlier for earlier, later in pairwise(times)}
    assert max(apart) == timedelta(days=2)  # in March a night is lost
    assert min(apart) == timedelta(0)  # and in October one is doubled
