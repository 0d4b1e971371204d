"""What EC2 keeps of an instance and of a Spot request. Nothing is changed in place: a change is a new version."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from ..clock import DAWN

GROUP_TAG = "aws:autoscaling:groupName"


class State(StrEnum):
    """An instance's states.

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
        """The number beside the name."""
        return CODES[self]

    @property
    def ended(self) -> bool:
        """Whether there is no way back."""
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
    """A disk of an instance."""

    id: str
    device: str = "/dev/xvda"
    delete_on_termination: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One instance, at one moment. ``doomed`` is one that dies while it is pending."""

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
        """The Auto Scaling group that it is a member of."""
        return self.tags.get(GROUP_TAG, "")

    @property
    def protected(self) -> bool:
        """Whether it may not be terminated by API: stop protection is in the way of that, too.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
        """
        return self.termination_protected or self.stop_protected


class SpotState(StrEnum):
    """A Spot request's states.

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
    """A Spot request; ``blueprint`` is what a persistent one launches when its instance is gone."""

    id: str
    blueprint: Machine
    created_at: datetime
    instance: str = ""
    persistent: bool = False
    state: SpotState = SpotState.ACTIVE
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The status code that goes with the state, as far as it is modelled."""
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
        """The request in another state."""
        return replace(self, state=state)
