"""The time, as everybody is handed it: nobody but the composition root reads a clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time, and how to let it pass; ``deadline`` is when the caller is cut off."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    deadline: datetime | None = None

    def has(self, room: timedelta) -> bool:
        """Whether that much time is left."""
        return self.deadline is None or self.now() + room <= self.deadline
