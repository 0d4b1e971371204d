"""When a policy is due: the windows of a schedule, and the latest window that has begun.

A window is an instant. A scheduler that asks regularly finds each window once, even across clock changes and missed
triggers; so Curfew does not depend on a trigger that fires exactly once and on time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EVERY_DAY = frozenset(range(7))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A policy's windows: at a time of day on days of the week (Monday is 0), or at a fixed interval.

    A window may be swept until ``catch_up`` after it began; later, it is skipped.
    """

    name: str
    policy: str
    at: time | None = None
    every: timedelta | None = None
    days: frozenset[int] = EVERY_DAY
    catch_up: timedelta = timedelta(hours=4)

    def latest(self, zone: ZoneInfo, now: datetime) -> datetime | None:
        """Return the latest window that has begun, or None if it may no longer be swept.

        One sweep covers all missed windows, since it finds the same instances.
        """
        begun = _grid(self.every, now) if self.every else next(self._nights(zone, now), None)
        return begun if begun is not None and now - begun <= self.catch_up else None

    def following(self, zone: ZoneInfo, now: datetime) -> datetime:
        """Return the next window after now."""
        if self.every:
            return _grid(self.every, now) + self.every
        day = now.astimezone(zone).date() - timedelta(days=1)
        while not (day.weekday() in self.days and self._night(zone, day) > now):
            day += timedelta(days=1)
        return self._night(zone, day)

    def _nights(self, zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
        """Yield the windows that have begun, latest first; tomorrow's may have, if a clock was set back."""
        today = now.astimezone(zone).date()
        for days in range(-1, 8):
            day = today - timedelta(days=days)
            if day.weekday() in self.days and (night := self._night(zone, day)) <= now:
                yield night

    def _night(self, zone: ZoneInfo, day: date) -> datetime:
        """Return the window of a local date.

        A time that the clock skips is moved later by as much as the clock skips; of a time that it repeats, the first
        counts. A date that a zone skips as a whole has the window of the following date.

        Source: https://peps.python.org/pep-0495/
        """
        return datetime.combine(day, self.at or time(), zone).astimezone(UTC)


def _grid(every: timedelta, now: datetime) -> datetime:
    return now - (now - EPOCH) % every
