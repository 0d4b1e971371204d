"""The state of an instance and of a Spot request. Both are immutable: a change makes a new version."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from ..clock import DAWN

GROUP_TAG = "aws:autoscaling:groupName"


class State(StrEnum):
    """The states of an instance.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html
    """

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def code(self) -> int:
        """Return EC2's number for this state."""
        return CODES[self]

    @property
    def ended(self) -> bool:
        """Return whether the instance is terminating or terminated."""
        return self in {State.SHUTTING_DOWN, State.TERMINATED}


CODES = {
    State.PENDING: 0,
    State.RUNNING: 16,
    State.SHUTTING_DOWN: 32,
    State.TERMINATED: 48,
    State.STOPPING: 64,
    State.STOPPED: 80,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume that is attached to an instance."""

    id: str
    device: str = "/dev/xvda"
    delete_on_termination: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One version of an instance. A ``doomed`` instance terminates while it is pending."""

    id: str
    zone: str
    state: State = State.RUNNING
    type: str = "t2.micro"
    image: str = "ami-08111162"
    tags: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime = DAWN
    since: datetime = DAWN
    reason: str = ""
    reservation: str = "r-00000000000000000"
    index: int = 0
    client_token: str = ""
    subnet: str = ""
    termination_protected: bool = False
    stop_protected: bool = False
    lifecycle: str = ""
    spot_request: str = ""
    managed_by: str = ""
    hidden: bool = False
    root_device: str = "ebs"
    volumes: tuple[Volume, ...] = ()
    http_tokens: str = "optional"
    hop_limit: int = 1
    shutdown_behavior: str = "stop"
    doomed: bool = False

    @property
    def group(self) -> str:
        """Return the name of its Auto Scaling group, or an empty text."""
        return self.tags.get(GROUP_TAG, "")

    @property
    def protected(self) -> bool:
        """Return whether EC2 refuses to terminate it: stop protection prevents that, too.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
        """
        return self.termination_protected or self.stop_protected


class SpotState(StrEnum):
    """The states of a Spot request.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
    """

    OPEN = "open"
    ACTIVE = "active"
    CLOSED = "closed"
    DISABLED = "disabled"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotRequest:
    """A Spot request. A persistent one launches ``blueprint`` again after its instance ends."""

    id: str
    blueprint: Machine
    created_at: datetime
    instance: str = ""
    persistent: bool = False
    state: SpotState = SpotState.ACTIVE
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Return the status code for the state. The simulator models one code for most states."""
        match self.state:
            case SpotState.ACTIVE:
                return "fulfilled"
            case SpotState.OPEN:
                return "pending-evaluation"
            case SpotState.CANCELLED:
                return (
                    "request-canceled-and-instance-running"
                    if self.instance
                    else "canceled-before-fulfillment"
                )
            case SpotState.DISABLED:
                return "instance-stopped-by-user"
            case _:
                return "instance-terminated-by-user"

    def of(self, state: SpotState) -> "SpotRequest":
        """Return a copy of the request in another state."""
        return replace(self, state=state)
