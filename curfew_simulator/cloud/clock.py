"""The world's time: it moves when a test moves it or a caller sleeps, and what was due happens on the way."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

DAWN = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


class Clock:
    """A clock by hand, with an agenda."""

    def __init__(self, start: datetime = DAWN) -> None:
        self._now = start
        self._agenda: list[tuple[datetime, int, Callable[[], object]]] = []
        self._numbers = count()

    def now(self) -> datetime:
        """The time in this world."""
        return self._now

    def after(self, delay: timedelta, do: Callable[[], object]) -> None:
        """Put something on the agenda. It happens at its own time, however far a later step goes."""
        heapq.heappush(self._agenda, (self._now + delay, next(self._numbers), do))

    def sleep(self, seconds: float) -> None:
        """Let seconds pass: what is handed to code that waits."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        """Let time pass, and everything happen that is due until then, in order."""
        end = self._now + by
        while self._agenda and self._agenda[0][0] <= end:
            at, _, do = heapq.heappop(self._agenda)
            self._now = max(self._now, at)
            do()
        self._now = max(self._now, end)
