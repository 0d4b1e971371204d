"""The ledger in memory, with the same behaviour as the one in DynamoDB, for tests and for reports without a table."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from threading import RLock

from ...core.audit import GENESIS, Draft, Entry, link, unsettled
from ...core.target import Target
from ..records import Pause, Round, Watermark
from .fleets import MemoryFleets
from .plans import MemoryPlans
from .synchronized import alone


class MemoryLedger:
    """Keeps everything until the process ends."""

    def __init__(self) -> None:
        self.alone = RLock()
        self.fleets = MemoryFleets()
        self.plans = MemoryPlans()
        self._pause: Pause | None = None
        self._seen: dict[tuple[Target, str], datetime] = {}
        self._spent: dict[tuple[str, str, date], int] = defaultdict(int)
        self._chains: dict[Target, list[Entry]] = defaultdict(list)
        self._rounds: dict[str, Round] = {}
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

    @alone
    def witness(self, target: Target, ids: Sequence[str], now: datetime) -> Mapping[str, datetime]:
        """Return when each instance was first seen."""
        return {id_: self._seen.setdefault((target, id_), now) for id_ in ids}

    @alone
    def reserve(self, target: Target, day: date, count: int, limit: int) -> bool:
        """Reserve actions of the day's budget, all or none."""
        account = (target.provider, target.account, day)
        if self._spent[account] + count > limit:
            return False
        self._spent[account] += count
        return True

    @alone
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
        return unsettled(self._chains[target])

    def round(self, schedule: str) -> Round | None:
        """Return the last run of a schedule, or None."""
        return self._rounds.get(schedule)

    @alone
    def begin(self, round_: Round, *, after: Round | None) -> bool:
        """Begin a run of a schedule. False if another began first."""
        if self._rounds.get(round_.schedule) != after:
            return False
        self._rounds[round_.schedule] = round_
        return True

    def covered(self, schedule: str, window: datetime) -> frozenset[Target]:
        """Return the targets that have completed the window, or a later one."""
        return frozenset(
            target
            for (target, _, name), mark in self._watermarks.items()
            if schedule and name == schedule and mark.scheduled_at and mark.scheduled_at >= window
        )

    def watermark(self, target: Target, policy: str, schedule: str = "") -> Watermark | None:
        """Return the last complete sweep, or the last one of a schedule."""
        return self._watermarks.get((target, policy, schedule))

    @alone
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
