"""What must survive a sweep: who was first seen when, what was meant and what came of it, how much a day has cost.

The ledger is Curfew's memory and its conscience. If it cannot be read or written, nothing is done: every method
raises ``LedgerError`` when the store does not answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from ..core.audit import Draft, Entry
from ..core.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The pause switch, thrown: by whom, since when, and why."""

    since: datetime
    by: str
    reason: str

    def __str__(self) -> str:
        return f"paused since {self.since:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """A complete sweep of a policy over a target. Without a schedule, somebody asked for it directly."""

    sweep_id: str
    completed_at: datetime
    listed: int
    schedule: str = ""
    scheduled_at: datetime | None = None


class Ledger(Protocol):
    """The store. Reads are consistent: what was written is what is read."""

    def paused(self) -> Pause | None:
        """The pause switch, if it is thrown."""

    def pause(self, pause: Pause) -> None:
        """Throw the pause switch: no batch begins from now on."""

    def resume(self) -> None:
        """Release the pause switch."""

    def witness(self, target: Target, ids: Sequence[str], now: datetime) -> Mapping[str, datetime]:
        """When each instance was first seen: now, unless an earlier sweep saw it. Only the first word counts."""

    def reserve(self, target: Target, day: date, count: int, limit: int) -> bool:
        """Take ``count`` actions from the account's ``limit`` of that day, whole or not at all.

        Atomic among all sweeps of the account. What was taken is never given back: after a doubtful call nobody
        could say how much.
        """

    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        """Add entries to the target's audit chain, in this order."""

    def entries(self, target: Target, *, after: int = 0) -> Iterator[Entry]:
        """The target's audit chain from the entry that follows number ``after``."""

    def open_intents(self, target: Target) -> tuple[Entry, ...]:
        """The intents of which no outcome is known."""

    def watermark(self, target: Target, policy: str, schedule: str = "") -> Watermark | None:
        """The last complete sweep, or the last one that the schedule started."""

    def complete(self, target: Target, policy: str, watermark: Watermark) -> None:
        """Record a complete sweep, as the last one and as its schedule's last one."""
