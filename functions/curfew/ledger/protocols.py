"""The ledger's interface: everything that must survive a sweep.

The ledger has first-seen times, audit entries, daily budgets, fleets, plans and continuations. Every method raises
LedgerError if the store does not answer; Curfew then stops.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from ..core.audit import Draft, Entry
from ..core.launch import Attempt, LaunchSpec
from ..core.lease import Fleet, Lease, Member, Phase
from ..core.plan import Action
from ..core.report import Report
from ..core.target import Target
from .records import Continuation, Key, Page, Pause, ScheduleRun, StoredPlan, Verdict, Watermark


class Fleets(Protocol):
    """The register of fleets: owners, leases, launches and the instances that each launch made.

    A worker that executes a launch holds its lock; a sweep that ends a fleet holds its claim. Both expire by
    themselves. Every method raises LedgerError if the store does not answer. A change that conflicts with another
    writer's returns False and changes nothing.
    """

    def open(self, fleet: Fleet, spec: LaunchSpec, key: Key) -> Fleet:
        """Record a fleet and its frozen launch spec atomically, and return the fleet.

        If the key is already recorded with the same body, nothing is written; the key's fleet is returned as it is
        now. Raises ReusedKeyError if the key is recorded with another body, ConflictError if a fleet that has not
        ended has the name, or if the key's fleet has ended and another fleet has its name.
        """

    def recall(self, key: Key) -> Fleet | None:
        """Return the key's fleet as it is now, or None if the key is new. Raises as ``open``."""

    def get(self, name: str) -> Fleet | None:
        """Return the fleet of this name, ended or not."""

    def page(self, *, limit: int, after: str = "", ended: bool = False) -> Page[Fleet]:
        """Return a page of fleets in the order of their names; with ``ended``, those that have ended, too."""

    def unfinished(self) -> Iterator[Fleet]:
        """Yield the fleets whose launch is unfinished."""

    def launch_spec(self, launch_id: str) -> LaunchSpec:
        """Return the frozen spec of a launch."""

    def attempts(self, launch_id: str) -> tuple[Attempt, ...]:
        """Return the attempts of a launch so far, in order."""

    def members(self, launch_id: str) -> tuple[Member, ...]:
        """Return the instances of a launch, in the order of their ids."""

    def lock(self, fleet: Fleet, worker: str, *, now: datetime, until: datetime) -> bool:
        """Take or extend the lock of a launch. False while another worker holds it, and for a finished launch."""

    def begin_attempt(self, fleet: Fleet, worker: str, attempt: Attempt, *, now: datetime) -> bool:
        """Record a new attempt before its call.

        False if the lock is lost, the fleet is claimed, or an attempt of that number is already recorded.
        """

    def record(self, fleet: Fleet, instance_ids: Sequence[str], *, now: datetime) -> None:
        """Record launched instances, which have the fleet's lease from now on. Idempotent."""

    def finish_attempt(self, fleet: Fleet, attempt: Attempt) -> None:
        """Record the result of an open attempt. An attempt that has a result keeps it."""

    def advance(self, fleet: Fleet, worker: str, phase: Phase, problem: str = "") -> bool:
        """Set the phase of the launch and release the lock. False if another worker holds the lock."""

    def renew(self, fleet: Fleet, expires_at: datetime, *, now: datetime) -> bool:
        """Set the end of the lease. False if a sweep has claimed the fleet, or if the fleet has ended."""

    def claim(self, fleet: str, launch_id: str, by: str, *, now: datetime, expired: bool) -> bool:
        """Claim the fleet to end it, or extend the claim: from now on no renewal and no new attempt succeeds.

        With ``expired``, False unless the lease has expired. False while another sweep holds a claim.
        """

    def hand_over(self, fleet: str, launch_id: str, by: str, to: str, *, now: datetime) -> bool:
        """Transfer an active claim to ``to``. False if another sweep holds it, or if it has expired.

        If two callers transfer the same claim, one succeeds.
        """

    def unclaim(self, fleet: str, launch_id: str, by: str) -> None:
        """Release the claim that ``by`` holds."""

    def leases(self, target: Target, ids: Sequence[str]) -> Mapping[str, Lease]:
        """Return the lease of each instance that has one."""

    def end(self, target: Target, ids: Sequence[str], *, now: datetime) -> None:
        """Record that instances have ended. A fleet with a finished launch ends with its last instance."""

    def close(self, fleet: Fleet, *, now: datetime) -> bool:
        """Record that a fleet with a finished launch and no instance has ended. False for any other fleet.

        The caller must have checked that the cloud has no instance of it.
        """


class StoredPlans(Protocol):
    """The plans that callers requested over HTTP, one item per verdict. Every method may raise LedgerError."""

    def open(self, record: StoredPlan) -> None:
        """Record that a plan is being made."""

    def get(self, id_: str) -> StoredPlan | None:
        """Return a plan without its verdicts."""

    def save(self, record: StoredPlan, report: Report) -> None:
        """Write the verdicts, then the given record."""

    def verdicts(self, record: StoredPlan, *, limit: int, after: str = "") -> Page[Verdict]:
        """Return a page of verdicts in the order of the instances' ids."""

    def begin(self, record: StoredPlan, by: str) -> bool:
        """Set the phase from planned to applying. False if it is not planned: another caller was first."""

    def finish(self, record: StoredPlan, report: Report) -> None:
        """Write the outcome of each action, then the given record."""


class Continuations(Protocol):
    """The continuations of sweeps that ran out of time, one item per action. Every method may raise LedgerError."""

    def save(self, continuation: Continuation, actions: Sequence[Action]) -> None:
        """Write the actions, then the continuation. Never replaces a continuation of the same id."""

    def get(self, id_: str) -> Continuation | None:
        """Return a continuation without its actions."""

    def actions(self, continuation: Continuation) -> tuple[Action, ...]:
        """Return the actions in the order of the instances' ids."""

    def begin(self, continuation: Continuation, by: str) -> bool:
        """Set the phase from waiting to resumed. False if it is not waiting: another sweep was first."""

    def end(self, continuation: Continuation) -> None:
        """Set the phase to ended."""


class Ledger(Protocol):
    """The store. All reads are strongly consistent."""

    @property
    def fleets(self) -> Fleets:
        """The register of fleets and leases."""

    @property
    def plans(self) -> StoredPlans:
        """The stored plans."""

    @property
    def continuations(self) -> Continuations:
        """The continuations of sweeps."""

    def paused(self) -> Pause | None:
        """Return the pause, or None if Curfew is not paused."""

    def pause(self, pause: Pause) -> None:
        """Pause Curfew: no batch begins from now on."""

    def resume(self) -> None:
        """End the pause."""

    def record_first_seen(
        self, target: Target, ids: Sequence[str], now: datetime
    ) -> Mapping[str, datetime]:
        """Return when each instance was first seen, and record ``now`` for those seen for the first time."""

    def reserve(self, target: Target, day: date, count: int, limit: int) -> bool:
        """Reserve ``count`` actions of the account's ``limit`` of that day, all or none.

        Atomic among all sweeps of the account. A reservation is never returned: after an ambiguous call the number of
        actions that took effect is unknown.
        """

    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        """Append entries to the target's audit chain, in this order."""

    def entries(self, target: Target, *, after: int = 0) -> Iterator[Entry]:
        """Yield the target's audit entries that follow number ``after``."""

    def open_intents(self, target: Target) -> tuple[Entry, ...]:
        """Return the intents without an outcome."""

    def schedule_run(self, schedule: str) -> ScheduleRun | None:
        """Return the last run of a schedule, or None."""

    def begin_schedule_run(self, run: ScheduleRun, *, after: ScheduleRun | None) -> bool:
        """Begin a run of a schedule. False if another has begun since ``after``, the last known run."""

    def completed_targets(self, schedule: str, window: datetime) -> frozenset[Target]:
        """Return the targets that have completed the window, or a later one."""

    def watermark(self, target: Target, policy: str, schedule: str = "") -> Watermark | None:
        """Return the last complete sweep, with ``schedule`` the last one that it started; None without one."""

    def complete(self, target: Target, policy: str, watermark: Watermark) -> None:
        """Record a complete sweep as the last one and as its schedule's last one. Never replaces a later one."""
