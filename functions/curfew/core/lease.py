"""Fleets and leases: who owns a fleet and until when its instances may run.

A lease belongs to a fleet and is stored in the ledger. Tags only repeat it for people: editing a tag neither shortens
nor extends a lease.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from .target import Target

FLEET_TAG = "curfew:fleet"
OWNER_TAG = "curfew:owner"
LEASE_TAG = "curfew:lease"
LAUNCH_ID_TAG = "curfew:launch-id"
TAG_VALUE_LENGTH = 256

# No invocation runs for so long: an older claim belongs to a sweep that has ended.
CLAIM = timedelta(minutes=20)


class Phase(StrEnum):
    """The phase of a fleet's launch."""

    LAUNCHING = "launching"  # recorded; calls are being made, or will be
    LAUNCHED = "launched"  # every requested instance was launched
    PARTIAL = "partial"  # some were launched; no pool has more
    FAILED = "failed"  # none was launched
    ATTENTION = "needs-attention"  # what was launched is recorded; an operator has to look

    @property
    def finished(self) -> bool:
        """Whether the launch makes no more calls."""
        return self is not Phase.LAUNCHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Instances launched together, as recorded in the ledger. ``launch_id`` is the id of the launch and never changes.

    ``longest`` is the maximum remaining time of a lease; ``ended_at`` is set when every instance is seen to have ended.
    While a sweep that began at ``claimed_at`` has claimed the fleet, its lease cannot be renewed.
    """

    name: str
    launch_id: str
    template: str
    target: Target
    owner: str
    count: int
    created_at: datetime
    expires_at: datetime
    longest: timedelta
    phase: Phase = Phase.LAUNCHING
    problem: str = ""
    claimed_by: str = ""
    claimed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def lease(self) -> "Lease":
        """The lease of each instance of the fleet."""
        return Lease(
            fleet=self.name, launch_id=self.launch_id, owner=self.owner, expires_at=self.expires_at
        )

    def claimed(self, now: datetime) -> bool:
        """Return whether a sweep holds a claim on the fleet, to end it."""
        return self.claimed_at is not None and now - self.claimed_at <= CLAIM


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One instance that Curfew launched for a fleet; ``ended_at`` is when Curfew saw that it had ended."""

    instance_id: str
    launched_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of an instance to run until ``expires_at``, as recorded in the ledger."""

    fleet: str
    launch_id: str
    owner: str
    expires_at: datetime

    def is_active(self, now: datetime) -> bool:
        """Return whether the lease has not expired. At ``expires_at`` exactly, it has."""
        return now < self.expires_at


def instant_of(clock: time, zone: ZoneInfo, after: datetime) -> datetime:
    """Return the next instant, in UTC, at which the clocks of the zone show this time.

    If a clock change skips the time or shows it twice, the later instant counts: a lease never ends earlier than the
    local clock shows.
    """
    there = after.astimezone(zone)
    for days in (0, 1, 2):
        wall = datetime.combine(there.date() + timedelta(days=days), clock)
        instants = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        if max(instants) > after:
            return max(instants)
    raise AssertionError("a day has every time at least every other day")


def tags_of(fleet: Fleet) -> dict[str, str]:
    """Return the tags that Curfew launches a fleet's instances with: fleet, owner, end of the lease, launch id."""
    return {
        FLEET_TAG: fleet.name,
        OWNER_TAG: fleet.owner[:TAG_VALUE_LENGTH],
        LEASE_TAG: format_utc(fleet.expires_at),
        LAUNCH_ID_TAG: fleet.launch_id,
    }


def format_utc(at: datetime) -> str:
    """Return an instant for people, in UTC with whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
