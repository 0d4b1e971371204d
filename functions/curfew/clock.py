"""The clock that every module receives: only the composition root reads the system's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The current time and a way to wait; at ``deadline``, Lambda ends the process."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    deadline: datetime | None = None

    def stopped_at(self, instant: datetime) -> "Clock":
        """Return a clock that always shows this instant: a request is judged by when it came."""
        return replace(self, now=lambda: instant)

    def has(self, room: timedelta) -> bool:
        """Return whether at least this much time is left."""
        return self.deadline is None or self.now() + room <= self.deadline
