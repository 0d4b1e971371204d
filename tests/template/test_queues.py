"""What outlasts a request is handed on by those who may, done once at a time, and kept when it fails."""

import json

import pytest

from tests.template.reading import ROOT, Template

TEMPLATE = Template.read(ROOT / "template.yaml")
QUEUES = TEMPLATE.of_type("AWS::SQS::Queue")
WORK, LETTERS = QUEUES["WorkQueue"], QUEUES["DeadLetterQueue"]
DAY = 24 * 3600


def roles_that_may(action: str) -> set[str]:
    """The roles that may do something with work."""
    return {
        role
        for role, one in TEMPLATE.allowing(action)
        if {"Fn::GetAtt": "WorkQueue.Arn"} in one.resources
    }


@pytest.mark.parametrize("queue", sorted(QUEUES))
def test_a_queue_is_encrypted(queue: str) -> None:
    assert QUEUES[queue]["SqsManagedSseEnabled"] is True


def test_dead_letters_are_kept_for_fourteen_days_and_longer_than_work() -> None:
    assert LETTERS["MessageRetentionPeriod"] == 14 * DAY
    assert WORK["MessageRetentionPeriod"] == 4 * DAY


def test_work_that_fails_again_and_again_becomes_a_dead_letter() -> None:
    assert WORK["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": "DeadLetterQueue.Arn"},
        "maxReceiveCount": 4,
    }


def test_work_stays_hidden_for_six_times_as_long_as_it_may_take() -> None:
    sweep = TEMPLATE.functions["SweepFunction"]

    assert WORK["VisibilityTimeout"] == 6 * sweep.get("Timeout", TEMPLATE.shared["Timeout"])


def test_work_is_taken_up_one_by_one_and_only_what_failed_comes_back() -> None:
    readers = {
        name: event["Properties"]
        for name, function in TEMPLATE.functions.items()
        for event in function.get("Events", {}).values()
        if event["Type"] == "SQS"
    }

    assert readers == {
        "SweepFunction": {
            "Queue": {"Fn::GetAtt": "WorkQueue.Arn"},
            "BatchSize": 1,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 2},
        }
    }


def test_only_the_known_functions_send_work() -> None:
    assert roles_that_may("sqs:SendMessage") == {
        "FleetsFunctionRole",
        "LaunchFunctionRole",
        "SweepFunctionRole",
    }
    assert TEMPLATE.of_type("AWS::SQS::QueuePolicy") == {}


@pytest.mark.parametrize(
    "action", ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
)
def test_only_the_sweep_takes_work(action: str) -> None:
    assert roles_that_may(action) == {"SweepFunctionRole"}


def test_every_right_on_a_queue_names_it() -> None:
    ours = [{"Fn::GetAtt": f"{queue}.Arn"} for queue in QUEUES]

    for role in TEMPLATE.of_type("AWS::IAM::Role"):
        for one in TEMPLATE.statements(role):
            if any(action.startswith("sqs:") for action in one.actions):
                assert all(resource in ours for resource in one.resources)


def test_every_function_knows_the_queue_and_a_local_one_does_without_it() -> None:
    local = json.loads((ROOT / "local" / "env.json").read_text(encoding="utf-8"))["Parameters"]

    assert TEMPLATE.shared["Environment"]["Variables"]["CURFEW_QUEUE"] == {"Ref": "WorkQueue"}
    assert local["CURFEW_QUEUE"] == ""
