"""EC2 for the tests: the simulator behind the real clients and the real provider, with immediate state changes.

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
YEARS = (10**9, 10**9)  # terminated instances stay in the listings, so that a test can read them
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

LOST = Fault(kind=FaultKind.CUT_AFTER)  # an effect without a response
NOTHING = Fault(kind=FaultKind.CUT)  # no effect and no response
THROTTLED = Fault(kind=FaultKind.ERROR, code="RequestLimitExceeded", status=503)
BROKEN = Fault(kind=FaultKind.ERROR, code="InternalError", status=500)
UNSEEN = Fault(kind=FaultKind.STALE, seconds=10**6)  # listings omit recent launches


def refusal(code: str, status: int = 400) -> Fault:
    """Return the fault of a call that the service refuses."""
    return Fault(kind=FaultKind.ERROR, code=code, status=status, message="made to fail")


def a_machine(*, id: str, **more: Any) -> Machine:  # noqa: A002  the name of its field
    """Return a sandbox that has run for nine hours. One with a Spot request is a Spot Instance."""
    ordinary: dict[str, Any] = {
        "zone": "eu-central-1a",
        "tags": {"env": "dev"},
        "started_at": NOW - timedelta(hours=9),
        "lifecycle": "spot" if "spot_request" in more else "",
    }
    return Machine(id=id, **ordinary | more | {"state": State(more.get("state", "running"))})


class SimulatedEc2:
    """One simulated region, with the machines in it and the calls that arrived.

    The world's clock follows ``now``. EC2 chooses the first zone if a launch names none.
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
        """Return the present version of each instance, by id."""
        self._catch_up()
        return self.region.machines

    @property
    def capacity(self) -> dict[tuple[str, str], int]:
        """Return the number of instances that EC2 has left by type and zone. No entry means no limit."""
        return self.region.limits.capacity

    @property
    def spot_requests(self) -> dict[str, SpotRequest]:
        """Return the Spot requests by id."""
        return self.region.spot_requests

    def add(self, *machines: Machine) -> None:
        """Add machines that exist since their start time."""
        for machine in machines:
            self.region.put(machine, since=machine.started_at)

    def change(self, id_: str, **fields: Any) -> None:
        """Change an instance as another principal would."""
        if "state" in fields:
            fields["state"] = State(fields["state"])
        self.region.change(id_, **fields)

    def tag(self, id_: str, **tags: str) -> None:
        """Add tags to an instance as another principal would; ``__`` in a key means a colon."""
        self.region.tag(id_, **{key.replace("__", ":"): value for key, value in tags.items()})

    def request_spot(
        self, id_: str, machine: str, *, persistent: bool = True, state: str = "active"
    ) -> None:
        """Create the Spot request of an existing instance."""
        blueprint = self.machines[machine]
        self.region.spot_requests[id_] = SpotRequest(
            id=id_, blueprint=blueprint, created_at=blueprint.started_at, instance=machine,
            persistent=persistent, state=SpotState(state),
        )  # fmt: skip

    def deny(self, *ids: str) -> None:
        """Make IAM deny the termination and stop of exactly these instances."""
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
        """Run ``change`` just before the ``on``-th call of an action."""
        self.world.before(action, lambda _: change(), on=on)

    def always(self, kind: FaultKind, *actions: str, **more: Any) -> None:
        """Add a fault to every call of the given actions."""
        for action in actions:
            self.fail(action, Fault(kind=kind, **more), times=ALWAYS)

    def client(
        self, scope: ClientScope = allowed_calls.LOOK, *, attempts: int = 1, session: Any = None
    ) -> EC2Client:
        """Return a client of this cloud, restricted to a scope as in Curfew."""
        client: EC2Client = self._client("ec2", scope, session, attempts)
        if scope is allowed_calls.LOOK:
            page_parser.install_page_parser(client)
        return client

    def provider(self, mode: Mode = Mode.ACT) -> Ec2Provider:
        """Return the real provider on this cloud, with the clients for the mode."""
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
        """Return a client that may read parameters."""
        client: SSMClient = self._client("ssm", allowed_calls.PARAMETERS)
        return client

    def adopt(self, client: Any) -> None:
        """Connect a client to this cloud, and let the cloud's clock follow the test's at each call."""
        self._wire.adopt(client)
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"before-send.{name}", self._catch_up)

    def ids(self, state: str) -> set[str]:
        """Return the ids of the instances in a state."""
        self._catch_up()
        return self.region.ids(state)

    @property
    def calls(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the calls of EC2 and Systems Manager that arrived, each with the names in it."""
        journal = self.world.history.calls
        arrived = [call for call in journal if call.service in {"ec2", "ssm"} and call.account]
        return [(call.operation, _about(call.arguments)) for call in arrived]

    @property
    def orders(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the calls that request a change."""
        return [call for call in self.calls if call[0] in ORDERS]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Return the arguments of each RunInstances call, with any result."""
        return [dict(call.arguments) for call in self.made("RunInstances") if call.account]

    @property
    def credential_requests(self) -> list[dict[str, Any]]:
        """Return the arguments of the successful AssumeRole calls."""
        return [dict(call.arguments) for call in self.made("AssumeRole") if not call.code]

    @property
    def policies(self) -> list[dict[str, Any]]:
        """Return the session policies of the scoped credentials."""
        return [json.loads(request["Policy"]) for request in self.credential_requests]

    def named(self, token: str) -> set[str]:
        """Return the ids in the session policy of the scoped credentials with this session token."""
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
        """Advance the world's clock to the test's, and run everything that is due."""
        with self.world.lock:
            self.world.clock.advance(max(self.now() - self.world.clock.now(), timedelta()))


def reply(request: AWSPreparedRequest, status: int, body: bytes) -> AWSResponse:
    """Return a response to any botocore request."""
    headers = {"content-type": "text/xml"}
    return transport.answered(request, Response(status=status, headers=headers, body=body))


def asked(request: AWSPreparedRequest) -> dict[str, Any]:
    """Return the arguments of a signed request."""
    return protocols.read(transport.received(request)).arguments


def tags_of(launch: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the tags in a launch call, by type of resource."""
    return {
        one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tag"]}
        for one in launch.get("TagSpecification", ())
    }


def _about(arguments: Any) -> tuple[str, ...]:
    """Return the names in a call: its instances, its client token, or the parameter that it reads."""
    named: str | Iterable[str] = next(
        (arguments[name] for name in ("InstanceId", "ResourceId", "ClientToken", "Name") if name in arguments), ()
    )  # fmt: skip
    return (named,) if isinstance(named, str) else tuple(named)


@cache
def _session() -> Any:
    return sdk.session(HERE.region)
