"""When a policy is due: the windows of a schedule, and the latest that has begun.

A window is an instant. Whoever asks often enough finds each of them once, whatever the clocks do in between, and
whatever was missed; so nothing hangs on a trigger that comes exactly once and exactly then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EVERY_DAY = frozenset(range(7))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A policy's windows: at a time of day on some days of the week (Monday is 0), or every so often.

    ``catch_up`` is how long after its beginning a window may still be swept; after that the next one comes.
    """

    name: str
    policy: str
    at: time | None = None
    every: timedelta | None = None
    days: frozenset[int] = EVERY_DAY
    catch_up: timedelta = timedelta(hours=4)

    def latest(self, zone: ZoneInfo, now: datetime) -> datetime | None:
        """The latest window that has begun, if it may still be swept.

        One sweep does for all windows before it: what they would have found is there still.
        """
        begun = _grid(self.every, now) if self.every else next(self._nights(zone, now), None)
        return begun if begun is not None and now - begun <= self.catch_up else None

    def following(self, zone: ZoneInfo, now: datetime) -> datetime:
        """The next window after now."""
        if self.every:
            return _grid(self.every, now) + self.every
        day = now.astimezone(zone).date() - timedelta(days=1)
        while not (day.weekday() in self.days and self._night(zone, day) > now):
            day += timedelta(days=1)
        return self._night(zone, day)

    def _nights(self, zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
        """The windows that have begun, the latest first; tomorrow's may have, where a clock is set back."""
        today = now.astimezone(zone).date()
        for days in range(-1, 8):
            day = today - timedelta(days=days)
            if day.weekday() in self.days and (night := self._night(zone, day)) <= now:
                yield night

    def _night(self, zone: ZoneInfo, day: date) -> datetime:
        """The window of a local date. A time that the clock skips comes as much later as it skips, and of one that it
        repeats the first counts. A date that a zone skips as a whole has the window of the date that comes instead.

        Source: https://peps.python.org/pep-0495/
        """
        return datetime.combine(day, self.at or time(), zone).astimezone(UTC)


def _grid(every: timedelta, now: datetime) -> datetime:
    return now - (now - EPOCH) % every
