"""The instance that every stage of the pipeline works on, of any cloud.

All timestamps are timezone-aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .lease import Lease
from .target import Target


class State(StrEnum):
    """The state of an instance, in EC2's terms; a state that Curfew does not know is ``UNKNOWN``.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    UNKNOWN = "unknown"


class ActionKind(StrEnum):
    """What Curfew can do to an instance."""

    TERMINATE = "terminate"
    STOP = "stop"
    SHELVE = "shelve"

    @property
    def ends(self) -> frozenset[State]:
        """The states that show that the action took effect."""
        match self:
            case ActionKind.TERMINATE:
                return frozenset({State.SHUTTING_DOWN, State.TERMINATED})
            case ActionKind.STOP | ActionKind.SHELVE:
                return frozenset({State.STOPPING, State.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A disk of an instance; with ``delete_on_termination``, the cloud deletes it together with the instance."""

    id: str
    device: str
    delete_on_termination: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One virtual machine as last described.

    ``started_at`` is the last start, not the creation: EC2 resets it at each start. ``first_seen_at`` and ``lease``
    come from the ledger; a tag never provides either. Both timestamps may be missing. ``launching`` is the fleet that
    the launch tag names, if the ledger has that launch as unfinished and does not have the instance yet. ``ambiguous``
    has the tag keys with several values, on clouds that allow it; ``locked`` is the cloud's own lock.
    """

    id: str
    target: Target
    zone: str
    state: State
    instance_type: str
    image: str = ""
    started_at: datetime | None = None
    first_seen_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    lifecycle: str = "on-demand"
    spot_request: str = ""
    managed_by: str = ""
    root_device: str = "ebs"
    volumes: tuple[Volume, ...] = ()
    state_reason: str = ""
    ambiguous: tuple[str, ...] = ()
    locked: bool = False
    lease: Lease | None = None
    launching: str = ""

    @property
    def name(self) -> str:
        """The ``Name`` tag; empty without one."""
        return self.tags.get("Name", "")

    @property
    def proof_of_life(self) -> datetime | None:
        """The earliest time at which the instance is known to have existed, or None."""
        seen = [at for at in (self.first_seen_at, self.started_at) if at is not None]
        return min(seen, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Protections that a listing does not contain: they are read one instance at a time."""

    termination_protected: bool
    stop_protected: bool
