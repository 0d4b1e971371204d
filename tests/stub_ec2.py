"""A small EC2 at the client's HTTP level: boto3 signs, serialises and parses as ever, only the wire is missing.

It is right where moto is not, in what decides who dies:

- one bad id fails the whole call, and nothing happens;
- one protected instance fails its whole zone, the other zones go on, and the call still fails;
- stop protection blocks termination;
- terminating the instance of a persistent Spot request launches a new one;
- pages end where they like, even empty, and a page or a call can fail before or after its effect;
- what it launches is in ``tests.stub.launches``.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
"""

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from mypy_boto3_ec2.client import EC2Client

from curfew.aws import allowed_calls
from curfew.aws import session as sdk
from curfew.aws.allowed_calls import Purpose
from curfew.core.target import Mode
from curfew.providers.ec2 import page_parser
from curfew.providers.ec2.provider import Ec2Provider
from curfew.providers.ec2.scoped_credentials import borrowing
from tests.builders import HERE, an_id
from tests.stub.bank import Bank
from tests.stub.launches import Launches, check_tags
from tests.stub.machines import Machine, described, matches
from tests.stub.wire import (
    GARBLED,
    CallRefusedError,
    Fault,
    document,
    error,
    filters,
    numbered,
    parameters,
    response,
    snake,
    tag_specifications,
    tags,
    text,
)

if TYPE_CHECKING:
    from mypy_boto3_ssm.client import SSMClient

__all__ = ["Fault", "Machine", "StubEc2", "tag_specifications"]

ORDERS = frozenset(
    {
        "CancelSpotInstanceRequests",
        "CreateTags",
        "RunInstances",
        "StopInstances",
        "TerminateInstances",
    }
)


class StubEc2(Launches):
    """The cloud. Give it machines; ask it afterwards what still runs and which calls were made."""

    def __init__(self, *machines: Machine, page_size: int = 1_000) -> None:
        super().__init__()
        self.machines |= {machine.id: machine for machine in machines}
        self.bank = Bank()
        self.parameters: dict[str, str] = {}  # of SSM, by name
        self.page_size = page_size
        self.empty_pages: set[int] = set()
        self.denied: set[str] = set()  # by IAM, which judges each instance and refuses the call
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self._faults: dict[tuple[str, int], Fault] = {}
        self._before: dict[tuple[str, int], Callable[[], object]] = {}
        self.idle = False  # agrees to every order and does nothing
        self.twice = False  # lists everything once more
        self.loose = False  # lists what no filter asks for, too
        self._garbled: set[tuple[str, int]] = set()
        self._made: Counter[str] = Counter()
        self._alone = RLock()  # it answers one call at a time

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

    def client(
        self, purpose: Purpose = allowed_calls.LOOK, *, attempts: int = 1, session: Any = None
    ) -> EC2Client:
        """A client as Curfew makes them, guarded; it talks to this cloud."""
        made = session or _session()
        client: EC2Client = made.create_client("ec2", config=_config(attempts))
        allowed_calls.guard(client, purpose)
        if purpose is allowed_calls.LOOK:
            page_parser.hasten(client)
        events: Any = client.meta.events
        events.register_first("before-send.ec2", self._answer)
        return client

    def provider(self, mode: Mode = Mode.ACT) -> Ec2Provider:
        """The real provider on this cloud, with the clients of the mode."""
        if mode is not Mode.ACT:
            return Ec2Provider(target=HERE, read=self.client(), ssm=self.ssm)
        borrowed = borrowing(HERE.region)
        act = cache(lambda: self.client(allowed_calls.ACT, session=borrowed))
        lender = self.bank.lender(borrowed)
        return Ec2Provider(target=HERE, read=self.client(), act=act, lender=lender, ssm=self.ssm)

    def ssm(self) -> "SSMClient":
        """A client that reads the parameters."""
        client: SSMClient = _session().create_client("ssm", config=_config())
        allowed_calls.guard(client, allowed_calls.PARAMETERS)
        events: Any = client.meta.events
        events.register_first("before-send.ssm", self._answer_ssm)
        return client

    def ids(self, state: str) -> set[str]:
        """Which machines are in a state."""
        return {machine.id for machine in self.machines.values() if machine.state == state}

    @property
    def orders(self) -> list[tuple[str, tuple[str, ...]]]:
        """The calls that meant to change something."""
        return [call for call in self.calls if call[0] in ORDERS]

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        with self._alone:
            return self._answered(request)

    def _answered(self, request: AWSPreparedRequest) -> AWSResponse:
        asked = parameters(request)
        action = asked["Action"]
        self._made[action] += 1
        nth = self._made[action]
        if change := self._before.get((action, nth)):
            change()
        self.calls.append((action, _about(asked)))
        if action == "RunInstances":
            self.asked.append(asked)
        fault = self._faults.get((action, nth))
        try:
            if fault and not fault.after_effect:
                raise self._broken(fault, request)
            status, content = 200, getattr(self, f"_{snake(action)}")(asked)
            if fault:
                raise self._broken(fault, request)
        except CallRefusedError as refused:
            status, content = refused.status, error(refused)
            return response(request, status, content)
        if (action, nth) in self._garbled:
            content = GARBLED
        return response(request, status, document(action, content))

    @staticmethod
    def _broken(fault: Fault, request: AWSPreparedRequest) -> Exception:
        if not fault.code:
            return ReadTimeoutError(endpoint_url=request.url)
        return CallRefusedError(fault.code, "made to fail", fault.status)

    def _answer_ssm(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        name = json.loads(text(request))["Name"]
        self.calls.append(("GetParameter", (name,)))
        if name not in self.parameters:
            body: dict[str, Any] = {"__type": "ParameterNotFound"}
            return response(request, 400, json.dumps(body), "application/x-amz-json-1.1")
        body = {"Parameter": {"Name": name, "Type": "String", "Value": self.parameters[name]}}
        return response(request, 200, json.dumps(body), "application/x-amz-json-1.1")

    def _describe_instances(self, asked: dict[str, str]) -> str:
        wanted = list(filters(asked))
        shown = [machine for machine in self.machines.values() if machine.look()]
        found = [m for m in shown if self.loose or all(matches(m, *f) for f in wanted)]
        found *= 2 if self.twice else 1
        start, page = _position(asked.get("NextToken", "0:1"))
        size = min(self.page_size, int(asked.get("MaxResults", 1_000)))
        end = start if page in self.empty_pages else start + size
        token = f"<nextToken>{end}:{page + 1}</nextToken>" if end < len(found) else ""
        machines = "".join(map(described, found[start:end]))
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
        machines = self._known(numbered(asked, "InstanceId"))
        if self.denied & {machine.id for machine in machines}:
            raise CallRefusedError("UnauthorizedOperation", "You are not authorized. Encoded", 403)
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
            raise CallRefusedError("OperationNotPermitted", "The instance may not be terminated.")
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

    def _create_tags(self, asked: dict[str, str]) -> str:
        machines, given = self._known(numbered(asked, "ResourceId")), tags(asked, "Tag")
        for machine in machines:
            check_tags(machine.tags | given, new=given)
        for machine in machines:
            machine.tags |= given
        return "<return>true</return>"

    def _describe_spot_instance_requests(self, asked: dict[str, str]) -> str:
        ((_, ids),) = filters(asked)
        items = "".join(
            f"<item><spotInstanceRequestId>{id_}</spotInstanceRequestId><state>{r['state']}</state>"
            f"<type>{r['type']}</type></item>"
            for id_, r in self.spot_requests.items()
            if id_ in ids
        )
        return f"<spotInstanceRequestSet>{items}</spotInstanceRequestSet>"

    def _cancel_spot_instance_requests(self, asked: dict[str, str]) -> str:
        items = ""
        for id_ in numbered(asked, "SpotInstanceRequestId"):
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
            raise CallRefusedError("InvalidInstanceID.NotFound", f"no such ids: {missing}")
        return [self.machines[id_] for id_ in ids]


@cache
def _session() -> Any:
    return sdk.session(HERE.region)


def _config(attempts: int = 1) -> Config:
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    return Config(retries=retries, user_agent_extra="curfew/stub")


def _about(asked: dict[str, str]) -> tuple[str, ...]:
    """What a call names: its instances, or the token that it launches with."""
    named = numbered(asked, "InstanceId") or numbered(asked, "ResourceId")
    return tuple(named or ([asked["ClientToken"]] if "ClientToken" in asked else []))


def _position(token: str) -> tuple[int, int]:
    start, _, page = token.partition(":")
    if not start.isdecimal() or not page.isdecimal():
        raise CallRefusedError("InvalidParameterValue", "the NextToken is not valid")
    return int(start), int(page)
