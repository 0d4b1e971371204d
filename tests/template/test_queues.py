"""Work that outlasts a request is sent by permitted functions, done once at a time, and kept when it fails."""

import json

import pytest

from curfew.reporting.telemetry import NAMESPACE
from tests.template.reading import ROOT, Template

TEMPLATE = Template.read(ROOT / "template.yaml")
QUEUES = TEMPLATE.of_type("AWS::SQS::Queue")
WORK, TARGETS = QUEUES["WorkQueue"], QUEUES["TargetQueue"]
# Each queue with its reader, its dead letters, and how often a message is tried.
READ = {
    "WorkQueue": ("SweepFunction", "DeadLetterQueue", 4, 2),
    "TargetQueue": ("TargetFunction", "TargetDeadLetterQueue", 3, {"Ref": "SweepConcurrency"}),
}
ALARMS = TEMPLATE.of_type("AWS::CloudWatch::Alarm")
DAY = 24 * 3600


def roles_that_may(action: str, queue: str = "WorkQueue") -> set[str]:
    """The roles that may do something with a queue."""
    return {
        role
        for role, one in TEMPLATE.allowing(action)
        if {"Fn::GetAtt": f"{queue}.Arn"} in one.resources
    }


@pytest.mark.parametrize("queue", sorted(QUEUES))
def test_a_queue_is_encrypted(queue: str) -> None:
    assert QUEUES[queue]["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("queue", READ)
def test_dead_letters_are_kept_for_fourteen_days_and_longer_than_work(queue: str) -> None:
    _, letters, _, _ = READ[queue]
    assert QUEUES[letters]["MessageRetentionPeriod"] == 14 * DAY
    assert QUEUES[queue]["MessageRetentionPeriod"] == 4 * DAY


@pytest.mark.parametrize("queue", READ)
def test_work_that_fails_again_and_again_becomes_a_dead_letter(queue: str) -> None:
    _, letters, tries, _ = READ[queue]
    assert QUEUES[queue]["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": f"{letters}.Arn"},
        "maxReceiveCount": tries,
    }


@pytest.mark.parametrize("queue", READ)
def test_work_stays_hidden_for_six_times_as_long_as_it_may_take(queue: str) -> None:
    reader = TEMPLATE.functions[READ[queue][0]]

    timeout = reader.get("Timeout", TEMPLATE.shared["Timeout"])
    assert QUEUES[queue]["VisibilityTimeout"] == 6 * timeout


def test_work_is_taken_up_one_by_one_and_only_what_failed_comes_back() -> None:
    readers = {
        name: event["Properties"]
        for name, function in TEMPLATE.functions.items()
        for event in function.get("Events", {}).values()
        if event["Type"] == "SQS"
    }

    assert readers == {
        reader: {
            "Queue": {"Fn::GetAtt": f"{queue}.Arn"},
            "BatchSize": 1,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": most},
        }
        for queue, (reader, _, _, most) in READ.items()
    }


def test_every_queue_is_read_or_is_one_of_dead_letters_with_an_alarm() -> None:
    letters = {letters for _, letters, _, _ in READ.values()}
    watched = {
        one["Dimensions"][0]["Value"]["Fn::GetAtt"].removesuffix(".QueueName")
        for one in ALARMS.values()
        if one["Namespace"] == "AWS/SQS"
    }

    assert set(QUEUES) == set(READ) | letters
    assert watched == letters
    for one in ALARMS.values():
        if one["Namespace"] == "AWS/SQS":
            assert one["MetricName"] == "ApproximateNumberOfMessagesVisible"
            assert (one["Threshold"], one["ComparisonOperator"]) == (0, "GreaterThanThreshold")


def test_every_alarm_notifies_the_topic() -> None:
    assert len(ALARMS) == 6
    assert all(one["AlarmActions"] == [{"Ref": "Alarms"}] for one in ALARMS.values())
    mail = TEMPLATE.body["Resources"]["AlarmsByEmail"]
    assert mail["Condition"] == "HasAlarmEmail"
    assert mail["Properties"]["TopicArn"] == {"Ref": "Alarms"}


@pytest.mark.parametrize(("policy", "period"), [("nightly", 86_400), ("leases", 900)])
def test_no_sweep_completed_in_two_intervals_is_an_alarm(policy: str, period: int) -> None:
    missing = ALARMS[f"{policy.capitalize()}Missing"]

    assert missing["Namespace"] == NAMESPACE
    assert missing["MetricName"] == "Completed"
    assert missing["Dimensions"] == [{"Name": "policy", "Value": policy}]
    assert (missing["Period"], missing["EvaluationPeriods"]) == (period, 2)
    assert missing["DatapointsToAlarm"] == 2
    assert missing["TreatMissingData"] == "breaching"
    assert (missing["Threshold"], missing["ComparisonOperator"]) == (1, "LessThanThreshold")


@pytest.mark.parametrize("policy", ["nightly", "leases"])
def test_a_sweep_in_trouble_is_an_alarm(policy: str) -> None:
    trouble = ALARMS[f"{policy.capitalize()}InTrouble"]

    assert (trouble["Namespace"], trouble["MetricName"]) == (NAMESPACE, "Troubled")
    assert trouble["Dimensions"] == [{"Name": "policy", "Value": policy}]
    assert (trouble["Threshold"], trouble["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert trouble["TreatMissingData"] == "notBreaching"


def test_only_the_known_functions_send_work() -> None:
    assert roles_that_may("sqs:SendMessage") == {
        "FleetsFunctionRole",
        "LaunchFunctionRole",
        "SweepFunctionRole",
        "TargetFunctionRole",
    }
    assert roles_that_may("sqs:SendMessage", "TargetQueue") == {"SweepFunctionRole"}
    assert TEMPLATE.of_type("AWS::SQS::QueuePolicy") == {}


@pytest.mark.parametrize(
    "action", ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
)
def test_only_the_reader_of_a_queue_receives_from_it(action: str) -> None:
    for queue, (reader, _, _, _) in READ.items():
        assert roles_that_may(action, queue) == {TEMPLATE.role_of(reader)}


def test_every_right_on_a_queue_names_it() -> None:
    ours = [{"Fn::GetAtt": f"{queue}.Arn"} for queue in QUEUES]

    for role in TEMPLATE.of_type("AWS::IAM::Role"):
        for one in TEMPLATE.statements(role):
            if any(action.startswith("sqs:") for action in one.actions):
                assert all(resource in ours for resource in one.resources)


def test_every_function_knows_the_queue_and_a_local_one_does_without_it() -> None:
    local = json.loads((ROOT / "demo" / "env.json").read_text(encoding="utf-8"))["Parameters"]

    assert TEMPLATE.shared["Environment"]["Variables"]["CURFEW_QUEUE"] == {"Ref": "WorkQueue"}
    assert TEMPLATE.shared["Environment"]["Variables"]["CURFEW_TARGETS"] == {"Ref": "TargetQueue"}
    assert local["CURFEW_QUEUE"] == local["CURFEW_TARGETS"] == ""
