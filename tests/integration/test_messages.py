"""The SweepFunction continues deferred work message by message, on moto."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import time_machine
from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws

from curfew import bootstrap
from curfew.app import App
from curfew.config.settings import SHIPPED_POLICIES
from curfew.core.access import Caller
from curfew.core.errors import QueueError
from curfew.core.lease import Fleet, Phase
from curfew.fleets import launcher
from curfew.handlers.sweep import handler
from curfew.ledger.records import Key, PlanPhase, StoredPlan
from curfew.orchestration import launches, plans
from curfew.orchestration.queueing import MOST_AT_ONCE
from curfew.orchestration.terminations import terminate
from curfew.providers.base import Provider
from curfew.schemas.messages import Job
from curfew.sweep.run_state import SHELF_LIFE
from demo import world
from demo.__main__ import Context

KIM = Caller(id="kim")
DONE: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Yield a stack in act mode with an empty account and a queue for deferred work."""
    monkeypatch.setenv("CURFEW_MODE", "act")
    monkeypatch.setenv("CURFEW_TABLE", world.TABLE)
    with mock_aws():
        world.make_table()
        queue = boto3.client("sqs", world.REGION).create_queue(QueueName="work")
        monkeypatch.setenv("CURFEW_QUEUE", queue["QueueUrl"])
        yield bootstrap.app()


def put_off() -> list[str]:
    """Return the messages that were sent."""
    sqs = boto3.client("sqs", world.REGION)
    url = sqs.get_queue_url(QueueName="work")["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def delivered(*bodies: str, context: LambdaContext | None = None) -> dict[str, Any]:
    """Return the function's response to messages from Lambda."""
    records = [
        {
            "messageId": f"m-{number}",
            "receiptHandle": "r",
            "body": body,
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{world.REGION}:123456789012:work",
            "awsRegion": world.REGION,
        }
        for number, body in enumerate(bodies, 1)
    ]
    return handler({"Records": records}, context or Context())


def failures(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def a_fleet(app: App, name: str = "lab", *, count: int = 2) -> Fleet:
    entry = app.policies.fleet("t2-pair")
    spec = launches.fleet_spec(
        app,
        "t2-pair",
        name=name,
        owner=KIM.id,
        count=count,
        expires_at=app.now() + timedelta(hours=8),
        key=Key(scope=name, body=""),
    )
    large = entry.model_copy(update={"count": entry.count.model_copy(update={"max": 100})})
    return app.fleets(app.provider(world.REGION), app.clock()).begin(replace(spec, entry=large))


def launched(app: App, begun: Fleet) -> Fleet:
    return launcher.continue_launch(
        begun,
        worker="test",
        provider=app.provider(world.REGION),
        ledger=app.ledger,
        clock=app.clock(),
    )


def running() -> int:
    answer = boto3.client("ec2", world.REGION).describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["running", "pending"]}]
    )
    return sum(len(reservation["Instances"]) for reservation in answer["Reservations"])


def a_plan(app: App, policy: str = "nightly") -> StoredPlan:
    now = app.now()
    record = StoredPlan(
        id=app.new_id(),
        policy=policy,
        policy_version=app.policies.version,
        target=app.provider(world.REGION).target,
        asked_by=KIM.id,
        made_at=now,
        expires_at=now + SHELF_LIFE,
    )
    app.ledger.plans.open(record)
    return record


def test_deferred_launch_is_continued(app: App) -> None:
    begun = a_fleet(app)
    out_of_time = app.now()

    unfinished = launches.launch(app, begun, deadline=out_of_time)
    (message,) = put_off()

    assert unfinished.phase is Phase.LAUNCHING
    assert running() == 0
    assert delivered(message) == DONE
    assert running() == 2
    assert app.ledger.fleets.get("lab") == replace(begun, phase=Phase.LAUNCHED)


def test_launch_message_delivered_twice_launches_once(app: App) -> None:
    launches.launch(app, a_fleet(app), deadline=app.now())
    (message,) = put_off()

    assert delivered(message) == delivered(message) == DONE

    assert running() == 2


def test_large_fleet_is_terminated_later_and_once(app: App) -> None:
    lab = launched(app, a_fleet(app, count=MOST_AT_ONCE + 1))
    assert lab.phase is Phase.LAUNCHED

    sweep_id, report = terminate(app, lab, caller=KIM, deadline=None)
    (message,) = put_off()

    assert report is None
    assert json.loads(message) == {"work": "terminate", "id": sweep_id, "fleet": "lab"}
    assert running() == 21
    assert delivered(message) == DONE
    assert running() == 0
    ended = app.ledger.fleets.get("lab")
    assert ended is not None
    assert ended.ended_at is not None
    assert delivered(message) == DONE


def test_large_fleet_is_terminated_at_once_if_the_queue_fails(app: App) -> None:
    def broken(_work: Any) -> None:
        raise QueueError("the queue cannot be used")

    lab = launched(app, a_fleet(app, count=MOST_AT_ONCE + 1))

    _, report = terminate(replace(app, enqueue=broken), lab, caller=KIM, deadline=None)

    assert report is not None
    assert running() == 0


def test_termination_is_accepted_before_the_cloud_is_asked(app: App) -> None:
    def unreachable(region: str, account: str = "") -> Provider:
        raise AssertionError(f"asked for {account} {region}")

    sent: list[Job] = []
    lab = launched(app, a_fleet(app, count=MOST_AT_ONCE + 1))
    away = replace(app, provider=unreachable, enqueue=sent.append)

    sweep_id, report = terminate(away, lab, caller=KIM, deadline=None)

    assert report is None
    assert [job.id for job in sent] == [sweep_id]
    claimed = app.ledger.fleets.get(lab.name)
    assert claimed is not None
    assert claimed.claimed_by == sweep_id


def test_lease_sweep_covers_every_region_with_a_fleet(app: App) -> None:
    abroad = "eu-west-1"
    spec = launches.fleet_spec(
        app,
        "t2-pair",
        name="abroad",
        owner=KIM.id,
        expires_at=app.now() + timedelta(hours=1),
        key=Key(scope="abroad", body=""),
    )
    begun = app.fleets(app.provider(abroad), app.clock()).begin(spec)
    assert launches.launch(app, begun, deadline=None).phase is Phase.LAUNCHED

    with time_machine.travel(app.now() + timedelta(hours=2)):
        answer = handler({"policy": "leases"}, Context())

    assert [(one["region"], one["verified"]) for one in answer["sweeps"]] == [
        (world.REGION, 0),
        (abroad, 2),
    ]


def test_a_small_fleet_is_ended_at_once(app: App) -> None:
    lab = launched(app, a_fleet(app))

    _, report = terminate(app, lab, caller=KIM, deadline=None)

    assert report is not None
    assert put_off() == []
    assert running() == 0


def test_message_delivered_twice_concurrently_is_one_sweep(app: App) -> None:
    """The second delivery arrives just before the first one's order. It must neither order nor release the claim."""
    lab = launched(app, a_fleet(app, count=MOST_AT_ONCE + 1))
    terminate(app, lab, caller=KIM, deadline=None)
    (message,) = put_off()
    orders: list[str] = []
    claims: list[str] = []
    client = app.provider(world.REGION)._act  # type: ignore[attr-defined]

    def again(**_: Any) -> None:
        orders.append("order")
        if len(orders) == 1:
            assert delivered(message) == DONE
            there = app.ledger.fleets.get("lab")
            claims.append(there.claimed_by if there else "")

    client.meta.events.register("before-call.ec2.TerminateInstances", again)

    assert delivered(message) == DONE

    assert running() == 0
    assert len(orders) == 2  # one for each batch of the one sweep
    assert claims != [""]


def test_message_terminates_no_fleet_without_a_terminate_request(app: App) -> None:
    launched(app, a_fleet(app))

    answer = delivered(
        json.dumps({"work": "terminate", "id": "20260304T020000Z-1", "fleet": "lab"})
    )

    assert answer == DONE
    assert running() == 2


def test_message_older_than_its_claim_terminates_nothing(app: App) -> None:
    lab = launched(app, a_fleet(app, count=MOST_AT_ONCE + 1))
    terminate(app, lab, caller=KIM, deadline=None)
    (message,) = put_off()

    with time_machine.travel(app.now() + timedelta(minutes=21)):
        assert delivered(message) == DONE

    assert running() == 21


def test_deferred_plan_is_created(app: App) -> None:
    launched(app, a_fleet(app))
    record = a_plan(app)

    unmade = plans.make_plan(app, record, deadline=app.now() - timedelta(seconds=1))
    (message,) = put_off()

    assert unmade.phase is PlanPhase.PLANNING
    assert delivered(message) == DONE
    made = app.ledger.plans.get(record.id)
    assert made is not None
    assert made.phase is PlanPhase.PLANNED
    assert made.summary["kept"] == 2


def test_deferred_plan_is_created_in_report_mode(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    record = a_plan(app)
    monkeypatch.setenv("CURFEW_MODE", "report")
    bootstrap.app.cache_clear()

    assert delivered(json.dumps({"work": "plan", "id": record.id})) == DONE

    made = app.ledger.plans.get(record.id)
    assert made is not None
    assert made.phase is PlanPhase.PLANNED


def test_a_large_plan_is_applied_later_and_once(app: App) -> None:
    launched(app, a_fleet(app, count=MOST_AT_ONCE + 1))
    with time_machine.travel(app.now() + timedelta(hours=9)):
        made = plans.make_plan(app, a_plan(app, "leases"), deadline=None)
        assert made.phase is PlanPhase.PLANNED

        taken, report = plans.apply_plan(
            app, made, caller=Caller(id="root_sweep_id"), deadline=None
        )
        (message,) = put_off()

        assert (taken.phase, report) == (PlanPhase.APPLYING, None)
        assert running() == 21
        assert delivered(message) == DONE
        assert running() == 0
        assert delivered(message) == DONE
    applied = app.ledger.plans.get(made.id)
    assert applied is not None
    assert (applied.phase, applied.summary["verified"]) == (PlanPhase.ENDED, 21)


def test_waiting_plan_is_not_applied_after_the_policies_change(
    app: App, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launched(app, a_fleet(app, count=MOST_AT_ONCE + 1))
    with time_machine.travel(app.now() + timedelta(hours=9)):
        made = plans.make_plan(app, a_plan(app, "leases"), deadline=None)
        plans.apply_plan(app, made, caller=Caller(id="root_sweep_id"), deadline=None)
        (message,) = put_off()
        changed = tmp_path / "curfew.yaml"
        changed.write_text(SHIPPED_POLICIES.read_text() + "# another version\n")
        monkeypatch.setenv("CURFEW_POLICIES", str(changed))
        bootstrap.app.cache_clear()

        assert failures(delivered(message)) == ["m-1"]

    assert running() == 21


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "poison",
    [
        "not json",
        "[]",
        '"launch"',
        "{}",
        json.dumps({"work": "terminate", "id": "x"}),
        json.dumps({"work": "launch", "id": "x", "fleet": "nowhere"}),
        json.dumps({"work": "apply", "id": "nowhere"}),
        json.dumps({"work": "terminate", "id": "x", "fleet": "lab", "ids": ["i-1"]}),
        json.dumps({"policy": "nightly"}),
    ],
)
def test_poison_message_fails_alone(poison: str) -> None:
    assert failures(delivered(poison)) == ["m-1"]


def test_failed_message_does_not_affect_another(app: App) -> None:
    launches.launch(app, a_fleet(app), deadline=app.now())
    (message,) = put_off()

    answer = delivered("poison", message, "poison")

    assert failures(answer) == ["m-1", "m-3"]
    assert running() == 2


def test_message_is_not_executed_in_report_mode(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    launches.launch(app, a_fleet(app), deadline=app.now())
    (message,) = put_off()
    monkeypatch.setenv("CURFEW_MODE", "report")
    bootstrap.app.cache_clear()

    assert failures(delivered(message)) == ["m-1"]
    assert running() == 0


def test_lease_sweep_resumes_an_interrupted_launch(app: App) -> None:
    a_fleet(app)

    with time_machine.travel(app.now() + timedelta(minutes=15)):
        answer = handler({"policy": "leases"}, Context())

    assert answer["sweeps"][0]["status"] == "completed"
    assert running() == 2


def test_other_sweeps_resume_no_launch(app: App) -> None:
    a_fleet(app)

    with time_machine.travel(app.now() + timedelta(minutes=15)):
        handler({"policy": "nightly"}, Context())

    assert running() == 0


def test_fleet_ended_by_others_is_closed_when_its_lease_expires(app: App) -> None:
    lab = launched(app, a_fleet(app))
    ids = [member.instance_id for member in app.ledger.fleets.members(lab.launch_id)]
    boto3.client("ec2", world.REGION).terminate_instances(InstanceIds=ids)

    with time_machine.travel(app.now() + timedelta(hours=9)):
        handler({"policy": "leases"}, Context())

    ended = app.ledger.fleets.get("lab")
    assert ended is not None
    assert ended.ended_at is not None
