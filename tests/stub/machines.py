"""An instance as the stub keeps it, how it is filtered, and how it is described."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from tests.builders import NOW


@dataclass(slots=True, kw_only=True)
class Machine:
    """One instance as EC2 keeps it.

    ``unseen`` more listings leave it out; with ``doom``, the next one finds it terminated for that reason. ``token``
    and ``asked`` are of the call that launched it.
    """

    id: str
    zone: str = "eu-central-1a"
    state: str = "running"
    type: str = "t2.micro"
    image: str = "ami-08111162"
    tags: dict[str, str] = field(default_factory=lambda: {"env": "dev"})
    launched_at: datetime | None = NOW - timedelta(hours=9)
    termination_protected: bool = False
    stop_protected: bool = False
    lifecycle: str = ""
    spot_request: str = ""
    managed_by: str = ""
    root_device: str = "ebs"
    state_reason: str = ""
    token: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    unseen: int = 0
    doom: str = ""

    def look(self) -> bool:
        """A listing comes by: time passes, and the answer is whether the machine is shown."""
        if self.doom:
            self.state, self.state_reason, self.doom = "terminated", self.doom, ""
        elif self.state == "pending" and self.token:
            self.state = "running"
        if self.unseen:
            self.unseen -= 1
            return False
        return True


def matches(machine: Machine, name: str, patterns: list[str]) -> bool:
    """Whether one of a filter's values fits the machine."""
    values: list[str]
    match name.partition(":"):
        case ("instance-state-name", _, _):
            values = [machine.state]
        case ("instance-id", _, _):
            values = [machine.id]
        case ("instance-type", _, _):
            values = [machine.type]
        case ("client-token", _, _):
            values = [machine.token]
        case ("tag-key", _, _):
            values = list(machine.tags)
        case ("tag", _, key):
            values = [machine.tags[key]] if key in machine.tags else []
        case _:
            raise AssertionError(f"the stub knows no filter {name}")
    return any(_pattern(pattern).fullmatch(value) for pattern in patterns for value in values)


def _pattern(text: str) -> re.Pattern[str]:
    """EC2's own wildcards: ``*``, ``?``, and a backslash before either takes its meaning away."""
    parts = re.findall(r"\\.|.", text, re.DOTALL)
    special = {"*": ".*", "?": "."}
    return re.compile("".join(special.get(p) or re.escape(p[-1]) for p in parts), re.DOTALL)


def described(machine: Machine) -> str:
    """The machine in EC2's XML."""
    tags = "".join(
        f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>"
        for key, value in machine.tags.items()
    )
    spot = machine.spot_request
    lifecycle = machine.lifecycle or ("spot" if spot else "")
    reason = escape(machine.state_reason)
    return "".join(
        [
            f"<item><instanceId>{machine.id}</instanceId><imageId>{machine.image}</imageId>",
            f"<instanceState><code>0</code><name>{machine.state}</name></instanceState>",
            f"<stateReason><message>{reason}</message></stateReason>" if reason else "",
            f"<clientToken>{escape(machine.token)}</clientToken>",
            f"<instanceType>{machine.type}</instanceType>",
            f"<launchTime>{machine.launched_at:%Y-%m-%dT%H:%M:%S}.000Z</launchTime>"
            if machine.launched_at
            else "",
            f"<placement><availabilityZone>{machine.zone}</availabilityZone></placement>",
            f"<rootDeviceType>{machine.root_device}</rootDeviceType>",
            f"<instanceLifecycle>{lifecycle}</instanceLifecycle>" if lifecycle else "",
            f"<spotInstanceRequestId>{spot}</spotInstanceRequestId>" if spot else "",
            "<operator><managed>true</managed>"
            f"<principal>{machine.managed_by.strip()}</principal></operator>"
            if machine.managed_by
            else "",
            f"<tagSet>{tags}</tagSet>" if tags else "",
            "</item>",
        ]
    )
