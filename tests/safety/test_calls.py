"""No client sends a call that is not on its allow-list. A read client sends no change, and in report mode no client
does.

Each of these safeguards holds, and a scenario detects that it is disabled.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from botocore.model import OperationNotFoundError
from botocore.session import Session
from moto import mock_aws

from curfew import bootstrap
from curfew.app import App
from curfew.aws import allowed_calls
from curfew.aws.allowed_calls import (
    ACT,
    CHANGES,
    CLIENT_SCOPES,
    ENDS,
    LABELS,
    LAUNCHES,
    LEDGER,
    READS,
    Call,
)
from curfew.cli import commands
from curfew.config.settings import SHIPPED_POLICIES, Settings
from curfew.core.errors import CurfewError, LedgerError, QueueError, RefusedError
from curfew.core.target import Mode
from curfew.handlers import sweep
from curfew.ledger.records import PlanPhase, StoredPlan
from curfew.orchestration import jobs, plans
from curfew.orchestration.targets import TargetResolver, sweeps
from curfew.providers.base import LaunchCall
from curfew.providers.ec2.provider import Ec2Provider
from curfew.schemas.messages import Job, SweepRequest
from curfew.sweep.run_state import SHELF_LIFE
from curfew_simulator.patching import Patch
from demo import world
from demo.__main__ import Context
from tests.builders import HERE, an_id, an_instance
from tests.calls import Made, strays
from tests.cloud import SimulatedEc2, a_machine, reply
from tests.safety.scenario import Scenario, detected

ONE = an_id(1)
TABLE, QUEUE = "ours", "https://sqs.eu-central-1.amazonaws.com/123456789012/ours"
KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


def parameters(call: Call, *, table: str = TABLE, queue: str = QUEUE) -> dict[str, Any]:
    """Return parameters that the SDK accepts for a call, so that only the guard can refuse it."""
    known: dict[str, dict[str, Any]] = {
        "TerminateInstances": {"InstanceIds": [ONE]},
        "StopInstances": {"InstanceIds": [ONE]},
        "RebootInstances": {"InstanceIds": [ONE]},  # on no list
        "CancelSpotInstanceRequests": {"SpotInstanceRequestIds": ["sir-00000001"]},
        "RunInstances": {"ImageId": "ami-08111162", "MinCount": 1, "MaxCount": 1},
        "CreateTags": {"Resources": [ONE], "Tags": [{"Key": "a", "Value": "b"}]},
        "DescribeInstanceAttribute": {"InstanceId": ONE, "Attribute": "disableApiStop"},
        "PutItem": {"TableName": table, "Item": KEY},
        "UpdateItem": {"TableName": table, "Key": KEY},
        "TransactWriteItems": {"TransactItems": [{"Put": {"TableName": table, "Item": KEY}}]},
        "DeleteItem": {"TableName": table, "Key": KEY},  # on no list
        "GetItem": {"TableName": table, "Key": KEY},
        "BatchGetItem": {"RequestItems": {table: {"Keys": [KEY]}}},
        "Query": {"TableName": table, "KeyConditionExpression": "pk = :a"},
        "SendMessage": {"QueueUrl": queue, "MessageBody": "{}"},
        "GetParameter": {"Name": "a"},
    }
    return known.get(call.operation, {})


class Wire:
    """Records the calls that the clients given to ``on`` send, and responds to each with an error."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def on(self, client: Any) -> Any:
        def answer(request: Any, event_name: str, **_: Any) -> AWSResponse:
            call = event_name.removeprefix("before-send.")
            self.sent.append(call)
            xml = call.startswith(("ec2.", "sts."))
            return reply(request, 400, b"<Response/>" if xml else b"{}")

        client.meta.events.register_first("before-send", answer)
        return client


def ask(client: Any, call: Call, **places: str) -> None:
    """Make a call, and ignore the error response of the wire."""
    with suppress(ClientError):
        client._make_api_call(call.operation, parameters(call, **places))


@contextmanager
def session(wire: Wire) -> Iterator[pytest.MonkeyPatch]:
    """Connect every client that the block creates to the wire."""
    with pytest.MonkeyPatch.context() as patch:
        make = Session.create_client
        patch.setattr(
            Session, "create_client", lambda self, *args, **more: wire.on(make(self, *args, **more))
        )
        patch.setattr("curfew.aws.account.identity_of", lambda _sts: ("aws", HERE.account))
        yield patch


def build(mode: Mode) -> App:
    return bootstrap.build(Settings(region=HERE.region, mode=mode, table=TABLE, queue=QUEUE))


def provider(app: App) -> Ec2Provider:
    made = app.provider(HERE.region)
    assert isinstance(made, Ec2Provider)
    return made


def clients(app: App) -> dict[str, Any]:
    """Return every client of an application, by its purpose."""
    ec2: Any = provider(app)
    ledger: Any = app.ledger
    found = {"look": ec2._read, "parameters": ec2._ssm(), "ledger": ledger._table._client}
    return found | ({"act": ec2._act_client()} if ec2._act_client else {})


@cache
def built(mode: Mode) -> tuple[dict[str, Any], Wire]:
    """Return an application's clients and the wire behind them. Tests share them, since they are slow to create."""
    wire = Wire()
    with session(wire):
        return clients(build(mode)), wire


# Which client may make which call.


@pytest.mark.parametrize("call", [*CHANGES, *READS], ids=str)
@pytest.mark.parametrize("mode", Mode)
def test_a_client_makes_the_calls_of_its_purpose_and_no_others(mode: Mode, call: Call) -> None:
    found, wire = built(mode)
    for name, client in found.items():
        scope = next(scope for scope in CLIENT_SCOPES if scope.name == name)
        if client.meta.service_model.service_name != call.service:
            continue
        wire.sent.clear()
        if call in (*scope.reads, *scope.changes):
            ask(client, call)
            assert wire.sent
        else:
            with pytest.raises(scope.error, match=f'{call}.*"{name}"'):
                ask(client, call)
            assert wire.sent == []


@pytest.mark.parametrize("call", [*ENDS, *LAUNCHES, *LABELS], ids=str)
def test_no_client_of_report_mode_can_change_an_instance(call: Call) -> None:
    found, wire = built(Mode.REPORT)
    wire.sent.clear()
    (client,) = (one for one in found.values() if one.meta.service_model.service_name == "ec2")

    with pytest.raises(RefusedError, match=f"{call} is not among the calls"):
        ask(client, call)

    assert wire.sent == []


def test_every_change_is_of_an_instance_or_of_curfews_own_resources() -> None:
    """A call that is added to the list has to be covered by the tests above or below."""
    own = {
        call
        for scope in (LEDGER, allowed_calls.QUEUE, allowed_calls.CREDENTIAL_BROKER)
        for call in scope.changes
    }
    assert set(CHANGES) == own | {*ENDS, *LAUNCHES, *LABELS} == own | set(ACT.changes)


@pytest.mark.parametrize("operation", ["ModifyInstanceAttribute", "DeleteTags", "RebootInstances"])
def test_no_client_makes_a_call_that_is_on_no_list(operation: str) -> None:
    """Curfew's own model does not have the call; with the SDK's model, the guard refuses it."""
    found, wire = built(Mode.ACT)
    wire.sent.clear()
    for scope in (allowed_calls.LOOK, ACT):
        with pytest.raises(OperationNotFoundError):
            found[scope.name]._make_api_call(operation, {})
        knowing = wire_client(wire=wire)
        allowed_calls.restrict(knowing, scope)
        with pytest.raises(RefusedError, match="not among the calls"):
            knowing._make_api_call(operation, {})
    assert wire.sent == []


def test_a_call_is_refused_before_its_parameters_are_read() -> None:
    client = SimulatedEc2().client()

    with pytest.raises(RefusedError):
        client.terminate_instances(InstanceIds=7)  # type: ignore[arg-type]
    with pytest.raises(ParamValidationError):
        client.describe_instances(MaxResults="x")  # type: ignore[arg-type]


def test_no_client_signs_an_address_for_an_unlisted_call() -> None:
    client = SimulatedEc2(a_machine(id=ONE)).client()

    with pytest.raises(RefusedError, match="ec2:TerminateInstances"):
        client.generate_presigned_url("terminate_instances", Params={"InstanceIds": [ONE]})


def test_a_paginator_is_guarded_as_well() -> None:
    client = wire_client()
    allowed_calls.restrict(client, allowed_calls.LOOK)

    with pytest.raises(RefusedError, match="ec2:DescribeVolumes"):
        list(client.get_paginator("describe_volumes").paginate())


# Curfew's own table and queue: what report mode may write to.


@pytest.mark.parametrize("call", [*LEDGER.reads, *LEDGER.changes], ids=str)
@pytest.mark.parametrize("mode", Mode)
def test_the_ledgers_client_touches_no_other_table(mode: Mode, call: Call) -> None:
    found, wire = built(mode)
    wire.sent.clear()
    with pytest.raises(LedgerError, match=f"{call} names theirs"):
        ask(found["ledger"], call, table="theirs")
    assert wire.sent == []
    ask(found["ledger"], call)
    assert wire.sent


def test_a_transaction_with_one_step_elsewhere_is_refused_whole() -> None:
    steps = [{"Put": {"TableName": table, "Item": KEY}} for table in (TABLE, "theirs")]
    found, wire = built(Mode.REPORT)
    wire.sent.clear()
    with pytest.raises(LedgerError, match="names ours, theirs"):
        found["ledger"].transact_write_items(TransactItems=steps)
    assert wire.sent == []


def test_the_queues_client_sends_to_no_other_queue() -> None:
    client = wire_client("sqs")
    allowed_calls.restrict(client, allowed_calls.QUEUE, own=QUEUE)

    with pytest.raises(QueueError, match="names https://elsewhere"):
        client.send_message(QueueUrl="https://elsewhere", MessageBody="{}")


def test_the_queue_of_an_application_is_guarded() -> None:
    wire = Wire()
    with session(wire) as patch:
        made: list[str] = []
        guard = allowed_calls.restrict

        def noted(client: Any, purpose: Any, *, own: str = "") -> None:
            made.append(f"{purpose.name} {own}")
            guard(client, purpose, own=own)

        patch.setattr(allowed_calls, "restrict", noted)
        defer = build(Mode.ACT).enqueue
        assert defer
        with pytest.raises(QueueError):  # the wire responds with an error
            defer(Job(work="plan", id="one"))
    assert f"queue {QUEUE}" in made
    assert wire.sent == ["sqs.SendMessage"]


# The halves of a provider.

ORDERS: dict[str, Any] = {
    "terminate": lambda p: p.terminate([ONE], by="test"),
    "stop": lambda p: p.stop([ONE], by="test"),
    "launch": lambda p: p.launch(
        LaunchCall(image="ami-08111162", instance_type="t2.micro", count=1, tags={}, token="t"),
        by="test",
    ),
    "label": lambda p: p.label([ONE], {"curfew:lease": "2026-01-01T00:00:00Z"}, by="test"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_provider_in_report_mode_has_no_client_that_acts(order: str) -> None:
    cloud = SimulatedEc2(a_machine(id=ONE))

    with pytest.raises(RefusedError, match="report mode has no client"):
        ORDERS[order](cloud.provider(Mode.REPORT))

    assert cloud.calls == []


def test_report_mode_cancels_no_spot_request() -> None:
    cloud = SimulatedEc2(a_machine(id=ONE, lifecycle="spot", spot_request="sir-00000001"))
    cloud.request_spot("sir-00000001", ONE)
    spot = an_instance(id=ONE, lifecycle="spot", spot_request="sir-00000001")

    answer = cloud.provider(Mode.REPORT).release([spot], by="test")

    assert isinstance(answer[ONE], RefusedError)
    assert cloud.orders == []
    assert cloud.spot_requests["sir-00000001"].state == "active"


def test_a_stack_that_acts_reports_without_the_means_to_act() -> None:
    with session(Wire()):
        app = build(Mode.ACT)
        assert "act" in clients(app)
        reporting = app.in_report_mode()
        assert reporting.settings.mode is Mode.REPORT
        assert "act" not in clients(reporting)
        assert provider(app)._read is provider(reporting)._read
        request = SweepRequest(policy="nightly")
        (sweep,) = sweeps(reporting, request, TargetResolver(reporting).resolve(request))
        assert sweep.provider is reporting.provider(HERE.region)


# Safeguards.


def wire_client(service: Any = "ec2", wire: Wire | None = None) -> Any:
    config = Config(retries={"mode": "standard", "total_max_attempts": 1})
    client = boto3.client(service, HERE.region, config=config)
    return (wire or Wire()).on(client)


def made_and_asked(mode: Mode, name: str, call: Call, **places: str) -> None:
    """Request a call that a client must not make, and assert that it sends nothing."""
    wire = Wire()
    with session(wire), suppress(CurfewError):
        ask(clients(build(mode))[name], call, **places)
    assert wire.sent == []


def the_eyes_have_no_hands() -> None:
    made_and_asked(Mode.ACT, "look", ENDS[0])


def what_is_on_no_list_is_not_sent() -> None:
    made_and_asked(Mode.ACT, "ledger", Call("dynamodb", "DeleteItem", ""))


def no_other_table_is_written() -> None:
    made_and_asked(Mode.REPORT, "ledger", LEDGER.changes[0], table="theirs")


def report_mode_orders_nothing() -> None:
    """A provider in report mode sends no order, even if faulty code requests one."""
    cloud = SimulatedEc2(a_machine(id=ONE))
    with suppress(RefusedError):
        cloud.provider(Mode.REPORT).terminate([ONE], by="test")
    assert cloud.orders == []


def give_hands(put: Patch) -> None:
    """Give report mode the client of act mode."""
    provider = SimulatedEc2.provider
    put(SimulatedEc2, "provider", lambda self, _mode: provider(self, Mode.ACT))


SCENARIOS = [
    Scenario("read-client", the_eyes_have_no_hands, "allow-list"),
    Scenario("unlisted", what_is_on_no_list_is_not_sent, "allow-list"),
    Scenario("own-table", no_other_table_is_written),
    Scenario("report-hands", report_mode_orders_nothing, give_hands),
]
NAMES = [scenario.name for scenario in SCENARIOS]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_safeguard_holds(scenario: Scenario) -> None:
    scenario.holds()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_disabled_safeguard_is_detected(scenario: Scenario, made: list[Made]) -> None:
    detected(scenario)

    made.clear()  # without the guard, this scenario has strays as expected


# The check of every test's calls.


def test_the_watcher_sees_the_calls_of_the_code(made: list[Made]) -> None:
    cloud = SimulatedEc2(a_machine(id=ONE))
    bare = boto3.client("ec2", HERE.region)  # neither guarded nor marked
    cloud.adopt(bare)

    Ec2Provider(target=HERE, read=bare, act=lambda: bare).describe([ONE])

    assert [call.name for call in made] == ["ec2:DescribeInstances"]
    assert "providers/ec2/provider.py" in made[0].where


def test_the_watcher_ignores_the_calls_of_tests(made: list[Made]) -> None:
    wire = Wire()

    ask(wire_client(wire=wire), Call("ec2", "CreateVpc", ""))
    ask(wire_client(wire=wire), ENDS[0])

    assert wire.sent
    assert made == []


def test_an_unlisted_call_of_the_code_fails_its_test(made: list[Made]) -> None:
    """Curfew calls an operation that is on no list, through one of its clients without its guard."""
    config = Config(user_agent_extra="curfew/0", retries={"total_max_attempts": 1})
    client = Wire().on(boto3.client("ec2", HERE.region, config=config))

    ask(client, Call("ec2", "RebootInstances", ""))
    ask(client, ENDS[0])

    assert [call.name for call in strays(made)] == ["ec2:RebootInstances"]
    made.clear()


# Every way to run a report, in a stack or a terminal that could act.


@pytest.fixture
def purposes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the purposes of the clients created in a stack in act mode with an empty account."""
    made: list[str] = []
    guard = allowed_calls.restrict

    def noted(client: Any, purpose: Any, *, own: str = "") -> None:
        made.append(purpose.name)
        guard(client, purpose, own=own)

    monkeypatch.setattr(allowed_calls, "restrict", noted)
    monkeypatch.setenv("CURFEW_MODE", "act")
    monkeypatch.setenv("CURFEW_TABLE", world.TABLE)
    with mock_aws():
        world.make_table()
        yield made


def by_event(mode: str) -> None:
    sweep.handler({"policy": "nightly", "mode": mode}, Context())


def by_command(*words: str) -> None:
    argv = [
        "sweep",
        "--policy",
        "nightly",
        "--file",
        str(SHIPPED_POLICIES),
        "--table",
        world.TABLE,
        *words,
    ]
    commands.app(argv, standalone_mode=False)


def by_request() -> None:
    """Make a requested plan, by a message and directly."""
    app = bootstrap.app()
    record = StoredPlan(
        id="one",
        policy="nightly",
        policy_version=app.policies.version,
        target=replace(HERE, account="123456789012"),
        asked_by="kim",
        made_at=app.now(),
        expires_at=app.now() + SHELF_LIFE,
        phase=PlanPhase.PLANNING,
    )
    app.ledger.plans.open(record)
    jobs.run_job(app, Job(work="plan", id="one"), deadline=None)
    plans.make_plan(app, record, deadline=None)


REPORTS: dict[str, Callable[[], None]] = {
    "event": lambda: by_event("report"),
    "command": by_command,
    "audit": lambda: commands.app(
        ["audit", "--file", str(SHIPPED_POLICIES)], standalone_mode=False
    ),
    "request": by_request,
}
ACTS: dict[str, Callable[[], None]] = {
    "event": lambda: by_event("act"),
    "command": lambda: by_command("--act", "--yes"),
}


@pytest.mark.parametrize("way", REPORTS)
def test_report_mode_never_makes_a_client_that_acts(way: str, purposes: list[str]) -> None:
    REPORTS[way]()

    assert {"account", "ledger", "look"} == set(purposes)


@pytest.mark.parametrize("way", ACTS)
def test_act_mode_makes_one_acting_client_once_something_is_due(
    way: str, purposes: list[str]
) -> None:
    ACTS[way]()

    assert purposes.count("act") <= 1
    assert {"account", "ledger", "look"} <= set(purposes)
