"""What must survive a sweep: who was first seen when, what was meant and what came of it, how much a day has cost.

The ledger is Curfew's memory and its conscience. If it cannot be read or written, nothing is done: every method
raises ``LedgerError`` when the store does not answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from ..core.audit import Draft, Entry
from ..core.launch import Attempt, Order
from ..core.lease import Fleet, Lease, Member, Step
from ..core.report import Report
from ..core.target import Target
from .records import Key, Page, Pause, PlanRecord, Round, Verdict, Watermark


class Fleets(Protocol):
    """The register of fleets: who launched what, until when it may run, and which instances came of it.

    Whoever works at a launch holds its lock, and whoever ends a fleet holds its claim; both run out by themselves.
    Every method raises LedgerError when the store does not answer. A change that somebody else's stands against
    answers False and changes nothing.
    """

    def open(self, fleet: Fleet, order: Order, key: Key) -> Fleet:
        """Write a fleet and its frozen order down, at once and whole, and return it.

        If the key came before with the same body, nothing is written, and the fleet that it stands for is returned as
        it is now. Raises ReusedKeyError if the key came with another body, ConflictError if the name is held by a
        fleet that has not ended, or if the fleet of the key has ended and its name is another's.
        """

    def recall(self, key: Key) -> Fleet | None:
        """The fleet that the key stands for, as it is now; none if the key is new. Raises as ``open``."""

    def get(self, name: str) -> Fleet | None:
        """The fleet that holds the name, ended or not."""

    def page(self, *, limit: int, after: str = "", ended: bool = False) -> Page[Fleet]:
        """Fleets in the order of their names; those that have ended only if asked for."""

    def unfinished(self) -> Iterator[Fleet]:
        """The fleets whose launch has not come to an end."""

    def order(self, operation: str) -> Order:
        """The frozen order of a launch."""

    def attempts(self, operation: str) -> tuple[Attempt, ...]:
        """The calls of a launch so far, in their order."""

    def members(self, operation: str) -> tuple[Member, ...]:
        """The instances that came of a launch, in the order of their ids."""

    def lock(self, fleet: Fleet, worker: str, *, now: datetime, until: datetime) -> bool:
        """Take the launch in hand, or keep it. False while another worker's lock runs, and once it is finished."""

    def attempt(self, fleet: Fleet, worker: str, attempt: Attempt, *, now: datetime) -> bool:
        """Write a new attempt down, before its call. False if the lock is lost, if the fleet is claimed, or if an
        attempt of that number is there.
        """

    def record(self, fleet: Fleet, instance_ids: Sequence[str], *, now: datetime) -> None:
        """Write down which instances were born: from here on they have the fleet's lease. Again changes nothing."""

    def settle(self, fleet: Fleet, attempt: Attempt) -> None:
        """Write down what came of an attempt that was open. One that was settled before stays as it is."""

    def advance(self, fleet: Fleet, worker: str, step: Step, problem: str = "") -> bool:
        """Move the launch to a step and let go of the lock. False if the lock is another's."""

    def renew(self, fleet: Fleet, expires_at: datetime, *, now: datetime) -> bool:
        """Set the end of the lease. False once a sweep has claimed the fleet, or it has ended: then it is too late."""

    def claim(self, fleet: str, operation: str, by: str, *, now: datetime, expired: bool) -> bool:
        """Take the fleet in hand to end it, or keep it: from here on no renewal and no new attempt succeeds.

        With ``expired``, only if the lease has run out. False also while another sweep's claim runs.
        """

    def hand_over(self, fleet: str, operation: str, by: str, to: str, *, now: datetime) -> bool:
        """Pass a claim that runs on to whoever carries the work on. False if it is another's, or has run out.

        Of two that come with the same claim, one has it.
        """

    def unclaim(self, fleet: str, operation: str, by: str) -> None:
        """Let go of one's own claim."""

    def leases(self, target: Target, ids: Sequence[str]) -> Mapping[str, Lease]:
        """The lease of each instance that has one."""

    def end(self, target: Target, ids: Sequence[str], *, now: datetime) -> None:
        """Write down that instances have ended; a finished fleet all of whose instances have, has ended too."""

    def close(self, fleet: Fleet, *, now: datetime) -> bool:
        """Write down that a finished fleet without any instance has ended: somebody has looked. False for any other."""


class Plans(Protocol):
    """The plans that were asked for over HTTP, one item per verdict. Every method may raise LedgerError."""

    def open(self, record: PlanRecord) -> None:
        """Write down that a plan is being made."""

    def get(self, id_: str) -> PlanRecord | None:
        """A plan without its verdicts."""

    def save(self, record: PlanRecord, report: Report) -> None:
        """Write the verdicts, and then the record as it is given."""

    def verdicts(self, record: PlanRecord, *, limit: int, after: str = "") -> Page[Verdict]:
        """The verdicts in the order of the instances' ids."""

    def begin(self, record: PlanRecord, by: str) -> bool:
        """Go from planned to applying. False if the plan is not planned any more: somebody else was first."""

    def finish(self, record: PlanRecord, report: Report) -> None:
        """Write down what became of each action, and then the record as it is given."""


class Ledger(Protocol):
    """The store. Reads are consistent: what was written is what is read."""

    @property
    def fleets(self) -> Fleets:
        """The register of fleets and leases."""

    @property
    def plans(self) -> Plans:
        """The plans that were asked for."""

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

    def round(self, schedule: str) -> Round | None:
        """The last round of a schedule."""

    def begin(self, round_: Round, *, after: Round | None) -> bool:
        """Begin a round. False if another has been begun since ``after``, which was the last."""

    def covered(self, schedule: str, window: datetime) -> frozenset[Target]:
        """The targets that have completed the window, or a later one."""

    def watermark(self, target: Target, policy: str, schedule: str = "") -> Watermark | None:
        """The last complete sweep, or the last one that the schedule started."""

    def complete(self, target: Target, policy: str, watermark: Watermark) -> None:
        """Record a complete sweep, as the last one and as its schedule's last one. A later one that is there stays."""
