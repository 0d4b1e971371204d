"""A small EC2 at the client's HTTP level: boto3 signs, serialises and parses as ever, only the wire is missing.

It is right where moto is not, in what decides who dies:

- one bad id fails the whole call, and nothing happens;
- one protected instance fails its whole zone, the other zones go on, and the call still fails;
- stop protection blocks termination;
- terminating the instance of a persistent Spot request launches a new one;
- pages end where they like, even empty, and a page or a call can fail before or after its effect.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from mypy_boto3_ec2.client import EC2Client

from curfew.providers.ec2 import Ec2Provider
from tests.builders import HERE, NOW, an_id

XMLNS = "http://ec2.amazonaws.com/doc/2016-11-15/"
ORDERS = frozenset({"TerminateInstances", "StopInstances", "CancelSpotInstanceRequests"})


@dataclass(slots=True, kw_only=True)
class Machine:
    """One instance as EC2 keeps it."""

    id: str
    zone: str = "eu-central-1a"
    state: str = "running"
    type: str = "t2.micro"
    tags: dict[str, str] = field(default_factory=lambda: {"env": "dev"})
    launched_at: datetime | None = NOW - timedelta(hours=9)
    termination_protected: bool = False
    stop_protected: bool = False
    lifecycle: str = ""
    spot_request: str = ""
    managed_by: str = ""
    root_device: str = "ebs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a call goes wrong: with this code, or with no answer at all; with its effect, or without."""

    code: str = ""
    status: int = 400
    after_effect: bool = False


GARBLED = (
    "<reservationSet><item><instancesSet><item><launchTime>never</launchTime></item></instancesSet>"
    "</item></reservationSet><instancesSet><item><currentState>?</currentState></item></instancesSet>"
)


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class StubEc2:
    """The cloud. Give it machines; ask it afterwards what still runs and which calls were made."""

    def __init__(self, *machines: Machine, page_size: int = 1_000) -> None:
        self.machines = {machine.id: machine for machine in machines}
        self.spot_requests: dict[str, dict[str, str]] = {}
        self.page_size = page_size
        self.empty_pages: set[int] = set()
        self.denied: set[str] = set()  # by IAM, which judges each instance and refuses the call
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self._faults: dict[tuple[str, int], Fault] = {}
        self._before: dict[tuple[str, int], Callable[[], object]] = {}
        self.idle = False  # agrees to every order and does nothing
        self.unnamed: set[str] = set()  # left out of every answer to an order
        self.twice = False  # lists everything once more
        self._garbled: set[tuple[str, int]] = set()
        self._launched: dict[str, list[str]] = {}
        self._made: Counter[str] = Counter()

    def fail(self, action: str, fault: Fault, *, on: int = 1, times: int = 1) -> None:
        """Make the ``on``-th call of an action go wrong, and the ones after it up to ``times``."""
        for nth in range(on, on + times):
            self._faults[action, nth] = fault

    def garble(self, action: str, *, on: int) -> None:
        """Answer the ``on``-th call of an action with a time that is none, after its effect."""
        self._garbled.add((action, on))

    def before(self, action: str, change: Callable[[], object], *, on: int = 1) -> None:
        """Change the world just before the ``on``-th call of an action."""
        self._before[action, on] = change

    def client(self, *, attempts: int = 1) -> EC2Client:
        """A boto3 client that talks to this cloud."""
        config = Config(retries={"mode": "standard", "total_max_attempts": attempts})
        client = boto3.client("ec2", HERE.region, config=config)
        events: Any = client.meta.events
        events.register_first("before-send.ec2", self._answer)
        return client

    def provider(self) -> Ec2Provider:
        """The real provider on this cloud."""
        return Ec2Provider(target=HERE, read=self.client(), act=self.client())

    def ids(self, state: str) -> set[str]:
        """Which machines are in a state."""
        return {machine.id for machine in self.machines.values() if machine.state == state}

    @property
    def orders(self) -> list[tuple[str, tuple[str, ...]]]:
        """The calls that meant to change something."""
        return [call for call in self.calls if call[0] in ORDERS]

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body = request.body
        text = body.decode() if isinstance(body, bytes | bytearray) else str(body)
        asked = {key: values[0] for key, values in parse_qs(text, keep_blank_values=True).items()}
        action = asked["Action"]
        self._made[action] += 1
        nth = self._made[action]
        if change := self._before.get((action, nth)):
            change()
        self.calls.append((action, tuple(_numbered(asked, "InstanceId"))))
        fault = self._faults.get((action, nth))
        try:
            if fault and not fault.after_effect:
                raise self._broken(fault, request)
            status, content = 200, getattr(self, f"_{_snake(action)}")(asked)
            if fault:
                raise self._broken(fault, request)
        except _RefusedError as refused:
            status, content = refused.status, _error(refused)
            return _response(request, status, content)
        if (action, nth) in self._garbled:
            content = GARBLED
        return _response(request, status, _document(action, content))

    @staticmethod
    def _broken(fault: Fault, request: AWSPreparedRequest) -> Exception:
        if not fault.code:
            return ReadTimeoutError(endpoint_url=request.url)
        return _RefusedError(fault.code, "made to fail", fault.status)

    def _describe_instances(self, asked: dict[str, str]) -> str:
        wanted = list(_filters(asked))
        found = [m for m in self.machines.values() if all(_matches(m, *f) for f in wanted)]
        found *= 2 if self.twice else 1
        start, page = map(int, asked.get("NextToken", "0:1").split(":"))
        shown = [] if page in self.empty_pages else found[start : start + self.page_size]
        end = start if page in self.empty_pages else start + self.page_size
        token = f"<nextToken>{end}:{page + 1}</nextToken>" if end < len(found) else ""
        machines = "".join(map(_machine, shown))
        items = f"<item><instancesSet>{machines}</instancesSet></item>" if machines else ""
        return f"<reservationSet>{items}</reservationSet>{token}"

    def _describe_instance_attribute(self, asked: dict[str, str]) -> str:
        id_, name = asked["InstanceId"], asked["Attribute"]
        machine = self._known([id_])[0]
        value = {
            "disableApiTermination": machine.termination_protected,
            "disableApiStop": machine.stop_protected,
        }[name]
        shown = f"<{name}><value>{str(value).lower()}</value></{name}>"
        return f"<instanceId>{id_}</instanceId>{shown}"

    def _terminate_instances(self, asked: dict[str, str]) -> str:
        return self._order(
            asked, "terminated", lambda m: m.termination_protected or m.stop_protected
        )

    def _stop_instances(self, asked: dict[str, str]) -> str:
        return self._order(asked, "stopped", lambda m: m.stop_protected)

    def _order(self, asked: dict[str, str], end: str, shielded: Callable[[Machine], bool]) -> str:
        machines = self._known(_numbered(asked, "InstanceId"))
        if self.denied & {machine.id for machine in machines}:
            raise _RefusedError("UnauthorizedOperation", "You are not authorized. Encoded", 403)
        closed = {machine.zone for machine in machines if shielded(machine)}
        changes = ""
        for machine in machines:
            if machine.zone in closed:
                continue
            changes += (
                ""
                if machine.id in self.unnamed
                else (
                    f"<item><instanceId>{machine.id}</instanceId>"
                    f"<currentState><name>{end}</name></currentState>"
                    f"<previousState><name>{machine.state}</name></previousState></item>"
                )
            )
            if not self.idle:
                machine.state = end
                self._relaunch(machine, end)
        if closed:
            raise _RefusedError("OperationNotPermitted", "The instance may not be terminated.")
        return f"<instancesSet>{changes}</instancesSet>"

    def _relaunch(self, machine: Machine, end: str) -> None:
        request = self.spot_requests.get(machine.spot_request, {})
        if (
            end == "terminated"
            and request.get("type") == "persistent"
            and request["state"] == "active"
        ):
            new = Machine(id=an_id(9_000 + len(self.machines)), spot_request=machine.spot_request)
            self.machines[new.id] = new

    def _run_instances(self, asked: dict[str, str]) -> str:
        token = asked["ClientToken"]
        if token not in self._launched:
            tags = {
                asked[f"TagSpecification.1.Tag.{n}.Key"]: asked[f"TagSpecification.1.Tag.{n}.Value"]
                for n in range(1, 51)
                if f"TagSpecification.1.Tag.{n}.Key" in asked
            }
            zone = asked.get("Placement.AvailabilityZone", "eu-central-1a")
            first = 5_000 + len(self.machines)
            ids = [an_id(first + n) for n in range(int(asked["MaxCount"]))]
            self.machines |= {id_: Machine(id=id_, zone=zone, tags=dict(tags)) for id_ in ids}
            self._launched[token] = ids
        machines = "".join(_machine(self.machines[id_]) for id_ in self._launched[token])
        return f"<instancesSet>{machines}</instancesSet>"

    def _describe_spot_instance_requests(self, asked: dict[str, str]) -> str:
        ((_, ids),) = _filters(asked)
        items = "".join(
            f"<item><spotInstanceRequestId>{id_}</spotInstanceRequestId><state>{r['state']}</state>"
            f"<type>{r['type']}</type></item>"
            for id_, r in self.spot_requests.items()
            if id_ in ids
        )
        return f"<spotInstanceRequestSet>{items}</spotInstanceRequestSet>"

    def _cancel_spot_instance_requests(self, asked: dict[str, str]) -> str:
        items = ""
        for id_ in _numbered(asked, "SpotInstanceRequestId"):
            if not self.idle:
                self._cancel(id_)
            state = self.spot_requests[id_]["state"]
            items += f"<item><spotInstanceRequestId>{id_}</spotInstanceRequestId><state>{state}</state></item>"
        return f"<spotInstanceRequestSet>{items}</spotInstanceRequestSet>"

    def _cancel(self, id_: str) -> None:
        request = self.spot_requests[id_]
        for machine in self.machines.values():
            if machine.spot_request == id_ and request["state"] == "disabled":
                machine.state = "terminated"
        request["state"] = "cancelled"

    def _known(self, ids: list[str]) -> list[Machine]:
        if missing := [id_ for id_ in ids if id_ not in self.machines]:
            raise _RefusedError("InvalidInstanceID.NotFound", f"no such ids: {missing}")
        return [self.machines[id_] for id_ in ids]


def _filters(asked: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    for number in count(1):
        if not (name := asked.get(f"Filter.{number}.Name")):
            return
        yield name, _numbered(asked, f"Filter.{number}.Value")


def _matches(machine: Machine, name: str, patterns: list[str]) -> bool:
    values: list[str]
    match name.partition(":"):
        case ("instance-state-name", _, _):
            values = [machine.state]
        case ("instance-id", _, _):
            values = [machine.id]
        case ("instance-type", _, _):
            values = [machine.type]
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


def _machine(machine: Machine) -> str:
    tags = "".join(
        f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>"
        for key, value in machine.tags.items()
    )
    spot = machine.spot_request
    lifecycle = machine.lifecycle or ("spot" if spot else "")
    return "".join(
        [
            f"<item><instanceId>{machine.id}</instanceId><imageId>ami-08111162</imageId>",
            f"<instanceState><code>0</code><name>{machine.state}</name></instanceState>",
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


def _numbered(asked: dict[str, str], name: str) -> list[str]:
    found: list[str] = []
    for number in count(1):
        value = asked.get(f"{name}.{number}")
        if value is None:
            return found
        found.append(value)
    return found


def _snake(action: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()


def _document(action: str, content: str) -> str:
    return (
        f'<{action}Response xmlns="{XMLNS}"><requestId>stub</requestId>{content}</{action}Response>'
    )


def _error(refused: _RefusedError) -> str:
    said = f"<Code>{refused.code}</Code><Message>{escape(str(refused))}</Message>"
    return f"<Response><Errors><Error>{said}</Error></Errors><RequestID>stub</RequestID></Response>"


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _response(request: AWSPreparedRequest, status: int, content: str) -> AWSResponse:
    headers: Any = {"content-type": "text/xml"}
    return AWSResponse(request.url, status, headers, _Raw(content.encode()))
