"""The ledger in memory, with the same behaviour as the one in DynamoDB, for tests and for reports without a table."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from threading import RLock

from ...core.audit import GENESIS, Draft, Entry, link, open_intents
from ...core.target import Target
from ..records import Pause, ScheduleRun, Watermark
from .continuations import MemoryContinuations
from .fleets import MemoryFleets
from .plans import MemoryPlans
from .synchronized import synchronized


class MemoryLedger:
    """Keeps everything until the process ends."""

    def __init__(self) -> None:
        self.mutex = RLock()
        self.fleets = MemoryFleets()
        self.plans = MemoryPlans()
        self.continuations = MemoryContinuations()
        self._pause: Pause | None = None
        self._seen: dict[tuple[Target, str], datetime] = {}
        self._spent: dict[tuple[str, str, date], int] = defaultdict(int)
        self._chains: dict[Target, list[Entry]] = defaultdict(list)
        self._schedule_runs: dict[str, ScheduleRun] = {}
        self._watermarks: dict[tuple[Target, str, str], Watermark] = {}

    def paused(self) -> Pause | None:
        """Return the pause, or None."""
        return self._pause

    def pause(self, pause: Pause) -> None:
        """Pause Curfew."""
        self._pause = pause

    def resume(self) -> None:
        """End the pause."""
        self._pause = None

    @synchronized
    def record_first_seen(
        self, target: Target, ids: Sequence[str], now: datetime
    ) -> Mapping[str, datetime]:
        """Return when each instance was first seen."""
        return {id_: self._seen.setdefault((target, id_), now) for id_ in ids}

    @synchronized
    def reserve(self, target: Target, day: date, count: int, limit: int) -> bool:
        """Reserve actions of the day's budget, all or none."""
        account = (target.provider, target.account, day)
        if self._spent[account] + count > limit:
            return False
        self._spent[account] += count
        return True

    @synchronized
    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        """Append entries to the chain."""
        chain = self._chains[target]
        for draft in drafts:
            previous = chain[-1].hash if chain else GENESIS
            chain.append(link(draft, number=len(chain) + 1, previous=previous))

    def entries(self, target: Target, *, after: int = 0) -> Iterator[Entry]:
        """Yield the entries after number ``after``."""
        yield from self._chains[target][after:]

    def open_intents(self, target: Target) -> tuple[Entry, ...]:
        """Return the intents without an outcome."""
        return open_intents(self._chains[target])

    def schedule_run(self, schedule: str) -> ScheduleRun | None:
        """Return the last run of a schedule, or None."""
        return self._schedule_runs.get(schedule)

    @synchronized
    def begin_schedule_run(self, run: ScheduleRun, *, after: ScheduleRun | None) -> bool:
        """Begin a run of a schedule. False if another began first."""
        if self._schedule_runs.get(run.schedule) != after:
            return False
        self._schedule_runs[run.schedule] = run
        return True

    def completed_targets(self, schedule: str, window: datetime) -> frozenset[Target]:
        """Return the targets that have completed the window, or a later one."""
        return frozenset(
            target
            for (target, _, name), mark in self._watermarks.items()
            if schedule and name == schedule and mark.scheduled_at and mark.scheduled_at >= window
        )

    def watermark(self, target: Target, policy: str, schedule: str = "") -> Watermark | None:
        """Return the last complete sweep, or the last one of a schedule."""
        return self._watermarks.get((target, policy, schedule))

    @synchronized
    def complete(self, target: Target, policy: str, watermark: Watermark) -> None:
        """Record a complete sweep, unless a later one is recorded."""
        for schedule in ("", watermark.schedule):
            place = (target, policy, schedule)
            before = self._watermarks.get(place)
            if before is None or _instant(before, schedule) <= _instant(watermark, schedule):
                self._watermarks[place] = watermark


def _instant(watermark: Watermark, schedule: str) -> datetime:
    """Return what watermarks are ordered by: a schedule's by its scheduled time, others by their completion."""
    return (watermark.scheduled_at if schedule else None) or watermark.completed_at
