"""The right to run: who owns a fleet, until when, and who may change that.

A lease is the fleet's. It stands in the ledger; the tags only repeat it for people, so that what somebody writes
into a tag can neither shorten nor extend anything.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from .target import Target

FLEET_TAG = "curfew:fleet"
OWNER_TAG = "curfew:owner"
LEASE_TAG = "curfew:lease"
OPERATION_TAG = "curfew:operation"
TAG_VALUE_LENGTH = 256

# A claim that is older than any invocation can last belongs to a sweep that has ended.
CLAIM = timedelta(minutes=20)


class Step(StrEnum):
    """At which step the launch of a fleet stands."""

    LAUNCHING = "launching"  # written down; the cloud is being asked, or will be
    LAUNCHED = "launched"  # all that were asked for were launched
    PARTIAL = "partial"  # some were; there is no more to be had
    FAILED = "failed"  # none was
    ATTENTION = "needs-attention"  # what was launched is recorded, and somebody has to look

    @property
    def finished(self) -> bool:
        """Whether nothing more will be asked of the cloud."""
        return self is not Step.LAUNCHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Instances launched together, as the ledger knows them. ``operation`` identifies the launch, for good.

    ``longest`` bounds every lease, counted from now; ``ended_at`` is set once each instance was seen to have ended.
    While ``claimed_by`` a sweep, which began at ``claimed_at``, the lease cannot be renewed.
    """

    name: str
    operation: str
    template: str
    target: Target
    owner: str
    count: int
    created_at: datetime
    expires_at: datetime
    longest: timedelta
    step: Step = Step.LAUNCHING
    problem: str = ""
    claimed_by: str = ""
    claimed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def lease(self) -> "Lease":
        """The right to run that each instance of the fleet has."""
        return Lease(
            fleet=self.name, operation=self.operation, owner=self.owner, expires_at=self.expires_at
        )

    def claimed(self, now: datetime) -> bool:
        """Whether a sweep is ending the fleet."""
        return self.claimed_at is not None and now - self.claimed_at <= CLAIM


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One instance that Curfew launched for a fleet; ``ended_at`` is when it was seen to have ended."""

    instance_id: str
    born_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of an instance to run until ``expires_at``, as the ledger has it."""

    fleet: str
    operation: str
    owner: str
    expires_at: datetime

    def runs(self, now: datetime) -> bool:
        """Whether the lease still holds. At the very instant at which it runs out, it does not."""
        return now < self.expires_at


def instant_of(clock: time, zone: ZoneInfo, after: datetime) -> datetime:
    """The next instant, in UTC, at which the clocks of the zone show this time.

    Where a change of the clocks skips the time or shows it twice, the later instant counts: nobody's lease ends
    earlier than the clock on the wall says.
    """
    there = after.astimezone(zone)
    for days in (0, 1, 2):
        wall = datetime.combine(there.date() + timedelta(days=days), clock)
        instants = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        if max(instants) > after:
            return max(instants)
    raise AssertionError("a day has every time at least every other day")


def tags_of(fleet: Fleet) -> dict[str, str]:
    """What the instances of a fleet carry from birth: whose they are, until when, and from which launch."""
    return {
        FLEET_TAG: fleet.name,
        OWNER_TAG: fleet.owner[:TAG_VALUE_LENGTH],
        LEASE_TAG: told(fleet.expires_at),
        OPERATION_TAG: fleet.operation,
    }


def told(at: datetime) -> str:
    """An instant for people, in UTC and to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
