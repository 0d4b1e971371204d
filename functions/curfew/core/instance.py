"""An instance, as every stage of the pipeline sees it.

All instants are aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .lease import Lease
from .target import Target


class State(StrEnum):
    """The life of an instance, in EC2's words; what Curfew does not know is ``UNKNOWN``.

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
    """What may be done to an instance."""

    TERMINATE = "terminate"
    STOP = "stop"
    SHELVE = "shelve"

    @property
    def ends(self) -> frozenset[State]:
        """The states in which the action has taken hold."""
        match self:
            case ActionKind.TERMINATE:
                return frozenset({State.SHUTTING_DOWN, State.TERMINATED})
            case ActionKind.STOP | ActionKind.SHELVE:
                return frozenset({State.STOPPING, State.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A disk of an instance; one with ``delete_on_termination`` dies with it."""

    id: str
    device: str
    delete_on_termination: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One virtual machine as it was last described.

    ``launched_at`` is the last start, not the creation: EC2 resets it whenever the instance is started.
    ``first_seen_at`` is the ledger's own record and stays. Either may be missing. ``lease`` is the ledger's too: what
    a tag says about one counts for nothing. ``launching`` is the fleet that the tag of a launch stands for, if the
    ledger knows that this launch has not come to an end, and does not know the instance yet. ``ambiguous`` are the tag
    keys of which the cloud shows several values, on a cloud that can; ``locked`` is a lock that the cloud shows with
    the instance.
    """

    id: str
    target: Target
    zone: str
    state: State
    instance_type: str
    image: str = ""
    launched_at: datetime | None = None
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
        """The ``Name`` tag, which people know it by; empty without one."""
        return self.tags.get("Name", "")

    @property
    def proof_of_life(self) -> datetime | None:
        """The oldest instant at which the instance is known to have existed."""
        known = [at for at in (self.first_seen_at, self.launched_at) if at is not None]
        return min(known, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Protections that no listing carries: they are read one instance at a time."""

    termination_protected: bool
    stop_protected: bool
