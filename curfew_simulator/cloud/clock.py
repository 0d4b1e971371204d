"""The simulated time. It moves when a test advances it or a caller sleeps, and scheduled actions run as it passes."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

DAWN = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


class Clock:
    """A clock that moves only when it is advanced, with an agenda of scheduled actions."""

    def __init__(self, start: datetime = DAWN) -> None:
        self._now = start
        self._agenda: list[tuple[datetime, int, Callable[[], object]]] = []
        self._numbers = count()

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._now

    def after(self, delay: timedelta, do: Callable[[], object]) -> None:
        """Schedule ``do`` after a delay. It runs at exactly that time, even if one step goes far past it."""
        heapq.heappush(self._agenda, (self._now + delay, next(self._numbers), do))

    def sleep(self, seconds: float) -> None:
        """Advance the clock by some seconds. Tests pass this to code that waits."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        """Advance the clock, and run everything that is due by then, in order of time."""
        end = self._now + by
        while self._agenda and self._agenda[0][0] <= end:
            at, _, do = heapq.heappop(self._agenda)
            self._now = max(self._now, at)
            do()
        self._now = max(self._now, end)
