"""EC2 for the tests: the simulator behind the real clients and the real provider, with everything at once and at hand.

cloud = SimulatedEc2(a_machine(id=an_id(1)))
cloud.fail("TerminateInstances", LOST)
cloud.provider().terminate([an_id(1)], by="test")
assert cloud.ids("running") == set()
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from mypy_boto3_ec2.client import EC2Client

from curfew.aws import allowed_calls
from curfew.aws import session as sdk
from curfew.aws.allowed_calls import ClientScope
from curfew.aws.roles import role_arn
from curfew.core.target import Mode
from curfew.providers.ec2 import page_parser
from curfew.providers.ec2.provider import Ec2Provider
from curfew.providers.ec2.scoped_credentials import Arns, CredentialBroker, scoped_session
from curfew_simulator.cloud import protocols, transport
from curfew_simulator.cloud.ec2.machine import Machine, SpotRequest, SpotState, State
from curfew_simulator.cloud.ec2.region import NONE, Pace
from curfew_simulator.cloud.faults import Fault, FaultKind
from curfew_simulator.cloud.protocols import Response
from curfew_simulator.cloud.world import World
from tests.builders import HERE, NOW

if TYPE_CHECKING:
    from mypy_boto3_ssm.client import SSMClient

ROLES, EXTERNAL_ID = "curfew", "between-two"
ALWAYS = 1_000  # more calls than a test makes
YEARS = (10**9, 10**9)  # what is terminated stays in the listings, so that a test can look at it
PACE = Pace(
    pending=NONE, stopping=NONE, shutting_down=NONE, relaunch=NONE, replacement=NONE,
    visible=YEARS, tags_go=YEARS,
)  # fmt: skip
ORDERS = frozenset(
    {
        "CancelSpotInstanceRequests",
        "CreateTags",
        "RunInstances",
        "StopInstances",
        "TerminateInstances",
    }
)

LOST = Fault(kind=FaultKind.CUT_AFTER)  # the effect, and then no answer
NOTHING = Fault(kind=FaultKind.CUT)  # no effect, and no answer
THROTTLED = Fault(kind=FaultKind.ERROR, code="RequestLimitExceeded", status=503)
BROKEN = Fault(kind=FaultKind.ERROR, code="InternalError", status=500)
UNSEEN = Fault(kind=FaultKind.STALE, seconds=10**6)  # what was launched since does not show


def refusal(code: str, status: int = 400) -> Fault:
    """A call that the service refuses."""
    return Fault(kind=FaultKind.ERROR, code=code, status=status, message="made to fail")


def a_machine(*, id: str, **more: Any) -> Machine:  # noqa: A002  its field has this name
    """A running sandbox of nine hours. One with a Spot request is a Spot Instance."""
    ordinary: dict[str, Any] = {
        "zone": "eu-central-1a",
        "tags": {"env": "dev"},
        "started_at": NOW - timedelta(hours=9),
        "lifecycle": "spot" if "spot_request" in more else "",
    }
    return Machine(id=id, **ordinary | more | {"state": State(more.get("state", "running"))})


class SimulatedEc2:
    """One region. Give it machines; ask it afterwards what runs and which calls arrived.

    ``now`` is the time that the world's clock follows. EC2 chooses the first zone if a launch names none.
    """

    def __init__(self, *machines: Machine, page_size: int = 1_000) -> None:
        self.world = World(start=NOW, pace=PACE, account=HERE.account)
        self.now: Callable[[], datetime] = lambda: NOW
        self.region = self.world.region(HERE.account, HERE.region)
        self.region.page_size = page_size
        self.region.subnets = {f"subnet-{letter}": f"{HERE.region}{letter}" for letter in "abc"}
        self.region.zones = (f"{HERE.region}a",)
        self.parameters = self.world.parameters(HERE.account, HERE.region)
        self.fail, self.made = self.world.fail, self.world.history.made
        self._wire = transport.Cloud(self.world)
        self.add(*machines)
        self.deny()

    @property
    def machines(self) -> dict[str, Machine]:
        """The instances by id, each as it is now; a change is a new version."""
        self._catch_up()
        return self.region.machines

    @property
    def capacity(self) -> dict[tuple[str, str], int]:
        """What is left, by type and zone; no entry is plenty."""
        return self.region.limits.capacity

    @property
    def spot_requests(self) -> dict[str, SpotRequest]:
        """The Spot requests by id."""
        return self.region.spot_requests

    def add(self, *machines: Machine) -> None:
        """Put machines there, as if they had long been."""
        for machine in machines:
            self.region.put(machine, since=machine.started_at)

    def change(self, id_: str, **fields: Any) -> None:
        """Change an instance from outside."""
        if "state" in fields:
            fields["state"] = State(fields["state"])
        self.region.change(id_, **fields)

    def tag(self, id_: str, **tags: str) -> None:
        """Give an instance more tags from outside; ``__`` in a key is a colon."""
        self.region.tag(id_, **{key.replace("__", ":"): value for key, value in tags.items()})

    def request_spot(
        self, id_: str, machine: str, *, persistent: bool = True, state: str = "active"
    ) -> None:
        """Make the Spot request of an instance."""
        blueprint = self.machines[machine]
        self.region.spot_requests[id_] = SpotRequest(
            id=id_, blueprint=blueprint, created_at=blueprint.started_at, instance=machine,
            persistent=persistent, state=SpotState(state),
        )  # fmt: skip

    def deny(self, *ids: str) -> None:
        """Let IAM deny the end of these instances, and of no others."""
        allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        denied = {
            "Effect": "Deny",
            "Action": ["ec2:TerminateInstances", "ec2:StopInstances"],
            "Resource": [self.region.arn("instance", id_) for id_ in ids],
        }
        for kind in ("act", "launch"):
            arn = role_arn("aws", HERE.account, ROLES, kind)
            self.world.role(arn, {"Statement": [allowed, denied]}, external_id=EXTERNAL_ID)

    def before(self, action: str, change: Callable[[], object], *, on: int = 1) -> None:
        """Change the world just before the ``on``-th call of an action."""
        self.world.before(action, lambda _: change(), on=on)

    def always(self, kind: FaultKind, *actions: str, **more: Any) -> None:
        """Bend every call of some actions."""
        for action in actions:
            self.fail(action, Fault(kind=kind, **more), times=ALWAYS)

    def client(
        self, scope: ClientScope = allowed_calls.LOOK, *, attempts: int = 1, session: Any = None
    ) -> EC2Client:
        """A client as Curfew makes them, guarded; it talks to this cloud."""
        client: EC2Client = self._client("ec2", scope, session, attempts)
        if scope is allowed_calls.LOOK:
            page_parser.install_page_parser(client)
        return client

    def provider(self, mode: Mode = Mode.ACT) -> Ec2Provider:
        """The real provider on this cloud, with the clients of the mode."""
        if mode is not Mode.ACT:
            return Ec2Provider(target=HERE, read=self.client(), ssm=self.ssm)
        session = scoped_session(HERE.region)
        broker = CredentialBroker(
            sts=self._client("sts", allowed_calls.CREDENTIAL_BROKER),
            verifier=self._client("sts", allowed_calls.ACCOUNT, session),
            arns=Arns(partition="aws", target=HERE),
            roles=ROLES,
            external_id=EXTERNAL_ID,
            now=self._time,
        )
        act = cache(lambda: self.client(allowed_calls.ACT, session=session))
        return Ec2Provider(target=HERE, read=self.client(), act=act, broker=broker, ssm=self.ssm)

    def ssm(self) -> "SSMClient":
        """A client that reads the parameters."""
        client: SSMClient = self._client("ssm", allowed_calls.PARAMETERS)
        return client

    def adopt(self, client: Any) -> None:
        """Take a client into this cloud, whose clock follows the test's at each call."""
        self._wire.adopt(client)
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"before-send.{name}", self._catch_up)

    def ids(self, state: str) -> set[str]:
        """Which instances are in a state."""
        self._catch_up()
        return self.region.ids(state)

    @property
    def calls(self) -> list[tuple[str, tuple[str, ...]]]:
        """The calls of EC2 and Systems Manager that arrived, and what each is about."""
        journal = self.world.history.calls
        arrived = [call for call in journal if call.service in {"ec2", "ssm"} and call.account]
        return [(call.operation, _about(call.arguments)) for call in arrived]

    @property
    def orders(self) -> list[tuple[str, tuple[str, ...]]]:
        """The calls that meant to change something."""
        return [call for call in self.calls if call[0] in ORDERS]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What each RunInstances asked for, whatever came of it."""
        return [dict(call.arguments) for call in self.made("RunInstances") if call.account]

    @property
    def credential_requests(self) -> list[dict[str, Any]]:
        """The requests for scoped credentials that were granted."""
        return [dict(call.arguments) for call in self.made("AssumeRole") if not call.code]

    @property
    def policies(self) -> list[dict[str, Any]]:
        """The session policies of the scoped credentials."""
        return [json.loads(request["Policy"]) for request in self.credential_requests]

    def named(self, token: str) -> set[str]:
        """The ids that the scoped credentials with this session token are for."""
        sessions = self.world.identities.sessions.values()
        (session,) = [session for session in sessions if session.token == token]
        statements = session.session_policy or ()
        return {arn.rpartition("/")[2] for one in statements for arn in one.resources}

    def _client(
        self, service: str, scope: ClientScope, session: Any = None, attempts: int = 1
    ) -> Any:
        retries: Any = {"mode": "standard", "total_max_attempts": attempts}
        config = Config(retries=retries, user_agent_extra="curfew/test")
        client = (session or _session()).create_client(service, config=config)
        allowed_calls.restrict(client, scope)
        self.adopt(client)
        return client

    def _time(self) -> datetime:
        self._catch_up()
        return self.world.clock.now()

    def _catch_up(self, **_: Any) -> None:
        """Let the world's time be the test's, and everything happen that is due."""
        with self.world.lock:
            self.world.clock.advance(max(self.now() - self.world.clock.now(), timedelta()))


def reply(request: AWSPreparedRequest, status: int, body: bytes) -> AWSResponse:
    """An answer to a request of botocore, whatever it asks for."""
    headers = {"content-type": "text/xml"}
    return transport.answered(request, Response(status=status, headers=headers, body=body))


def asked(request: AWSPreparedRequest) -> dict[str, Any]:
    """What a signed request asks for."""
    return protocols.read(transport.received(request)).arguments


def tags_of(launch: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The tags that a launch gives, by the type of the resource."""
    return {
        one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tag"]}
        for one in launch.get("TagSpecification", ())
    }


def _about(arguments: Any) -> tuple[str, ...]:
    """What a call names: its instances, the token that it launches with, or the parameter that it reads."""
    named: str | Iterable[str] = next(
        (arguments[name] for name in ("InstanceId", "ResourceId", "ClientToken", "Name") if name in arguments), ()
    )  # fmt: skip
    return (named,) if isinstance(named, str) else tuple(named)


@cache
def _session() -> Any:
    return sdk.session(HERE.region)
