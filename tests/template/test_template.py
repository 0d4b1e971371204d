import importlib.util
import json
from typing import Any

import pytest

from tests.template.reading import ROOT, Statement, Template

TEMPLATE = Template.read(ROOT / "template.yaml")
FUNCTIONS = sorted(TEMPLATE.functions)
ROLES = sorted(TEMPLATE.of_type("AWS::IAM::Role"))
STATEMENTS = [statement for role in ROLES for statement in TEMPLATE.statements(role)]

# What changes or ends something outside this stack.
ACTING = {"ec2:CancelSpotInstanceRequests", "ec2:StopInstances", "ec2:TerminateInstances"}
DESTROYING = {"ec2:StopInstances", "ec2:TerminateInstances"}
# What would lift a protection, or reach further than an instance.
NEVER = {
    "ec2:CancelSpotFleetRequests",
    "ec2:CreateTags",
    "ec2:DeleteFleets",
    "ec2:DeleteTags",
    "ec2:DeleteVolume",
    "ec2:ModifyInstanceAttribute",
    "ec2:RunInstances",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
    "iam:PassRole",
}
READS = ("ec2:Describe", "dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")


def allowed(statements: list[Statement]) -> set[str]:
    return {action for one in statements if one.effect == "Allow" for action in one.actions}


def denials() -> list[Statement]:
    return [one for one in STATEMENTS if one.effect == "Deny"]


def queue_of(reference: dict[str, str]) -> dict[str, Any]:
    """The queue that an ARN in the template stands for."""
    return TEMPLATE.of_type("AWS::SQS::Queue")[reference["Fn::GetAtt"].removesuffix(".Arn")]


def test_report_is_the_default_mode() -> None:
    mode = TEMPLATE.body["Parameters"]["Mode"]

    assert mode["Default"] == "report"
    assert mode["AllowedValues"] == ["report", "act"]
    assert TEMPLATE.shared["Environment"]["Variables"]["CURFEW_MODE"] == {"Ref": "Mode"}


def test_no_policy_has_a_wildcard_action() -> None:
    assert STATEMENTS
    assert [one for one in STATEMENTS for action in one.actions if "*" in action] == []


def test_only_what_has_no_arn_of_ours_is_allowed_on_every_resource() -> None:
    everywhere = allowed([one for one in STATEMENTS if one.resource == "*"])

    assert {action for action in everywhere if not action.startswith("ec2:Describe")} == {
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_every_function_has_a_role_of_its_own() -> None:
    roles = [TEMPLATE.role_of(function) for function in FUNCTIONS]

    assert sorted(roles) == sorted(set(roles))
    assert not {"Role", "Policies"} & set(TEMPLATE.shared)
    assert all("Policies" not in TEMPLATE.functions[function] for function in FUNCTIONS)


def test_every_role_can_be_assumed_by_the_service_that_needs_it_alone() -> None:
    for role in ROLES:
        trust = TEMPLATE.of_type("AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]
        assert [one["Principal"] for one in trust["Statement"]] == [
            {"Service": "lambda.amazonaws.com"}
        ]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_names_a_module_that_exists(function: str) -> None:
    module, _, name = TEMPLATE.functions[function]["Handler"].rpartition(".")

    assert importlib.util.find_spec(module) is not None
    assert name == "handler"


def test_acting_rights_are_there_in_act_mode_alone() -> None:
    acting = [one for one in STATEMENTS if one.effect == "Allow" and one.actions & ACTING]

    assert {one.only_if for one in acting} == {"ActMode"}
    assert TEMPLATE.body["Conditions"]["ActMode"] == {"Fn::Equals": [{"Ref": "Mode"}, "act"]}


def test_acting_rights_are_bound_to_this_account() -> None:
    for one in STATEMENTS:
        if one.effect == "Allow" and one.actions & ACTING:
            assert ":${AWS::AccountId}:" in one.resource["Fn::Sub"]


@pytest.mark.parametrize(
    "tag", ["aws:ResourceTag/${ProtectTag}", "aws:ResourceTag/aws:autoscaling:groupName"]
)
def test_a_protecting_tag_with_any_value_denies_stop_and_terminate(tag: str) -> None:
    denying = [one for one in denials() if one.condition == {"Null": {tag: "false"}}]

    assert len(denying) == 1
    assert denying[0].actions == DESTROYING
    assert denying[0].resource == "*"
    assert denying[0].only_if is None


def test_no_function_may_lift_a_protection_or_reach_further_than_an_instance() -> None:
    assert allowed(STATEMENTS) & NEVER == set()


def test_every_right_that_writes_is_one_we_know() -> None:
    writes = {action for action in allowed(STATEMENTS) if not action.startswith(READS)}

    assert writes == ACTING | {
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_a_schedule_gives_up_in_time_and_leaves_a_trace() -> None:
    schedules = {
        name: event["Properties"]
        for function in TEMPLATE.functions.values()
        for name, event in function["Events"].items()
        if event["Type"] == "ScheduleV2"
    }

    assert schedules
    for schedule in schedules.values():
        assert schedule["RetryPolicy"] == {
            "MaximumRetryAttempts": 2,
            "MaximumEventAgeInSeconds": 3600,
        }
        assert queue_of(schedule["DeadLetterConfig"]["Arn"])
        assert "${AWS::StackName}" in schedule["Name"]["Fn::Sub"]


def test_the_nightly_trigger_says_which_schedule_it_is_and_when_it_was_due() -> None:
    nightly = TEMPLATE.functions["SweepFunction"]["Events"]["Nightly"]["Properties"]

    assert json.loads(nightly["Input"]) == {
        "policy": "nightly",
        "schedule": "<aws.scheduler.schedule-arn>",
        "scheduled_at": "<aws.scheduler.scheduled-time>",
    }
    assert nightly["ScheduleExpression"] == {"Ref": "NightlySchedule"}
    assert nightly["ScheduleExpressionTimezone"] == {"Ref": "ScheduleTimezone"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_failed_invocation_is_kept_and_not_repeated(function: str) -> None:
    config = TEMPLATE.functions[function]["EventInvokeConfig"]

    assert config["MaximumRetryAttempts"] == 0
    assert queue_of(config["DestinationConfig"]["OnFailure"]["Destination"])


def test_dead_letters_are_encrypted_and_kept_for_fourteen_days() -> None:
    for queue in TEMPLATE.of_type("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_all_functions_ship_the_same_code() -> None:
    assert TEMPLATE.shared["CodeUri"] == "functions/"
    assert all("CodeUri" not in TEMPLATE.functions[function] for function in FUNCTIONS)


def test_functions_are_traced_and_log_json() -> None:
    assert TEMPLATE.shared["Runtime"] == "python3.13"
    assert TEMPLATE.shared["Tracing"] == "Active"
    assert TEMPLATE.shared["LoggingConfig"]["LogFormat"] == "JSON"


def test_the_endpoint_is_declared_and_unset_in_a_real_deployment() -> None:
    endpoint = TEMPLATE.shared["Environment"]["Variables"]["AWS_ENDPOINT_URL"]

    assert endpoint == {"Fn::If": ["HasEndpoint", {"Ref": "EndpointUrl"}, {"Ref": "AWS::NoValue"}]}
    assert TEMPLATE.body["Parameters"]["EndpointUrl"]["Default"] == ""


def test_every_local_variable_is_one_that_the_template_declares() -> None:
    local = json.loads((ROOT / "local" / "env.json").read_text(encoding="utf-8"))["Parameters"]

    assert set(local) <= set(TEMPLATE.shared["Environment"]["Variables"])
    assert "AWS_ENDPOINT_URL" in local


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_have_a_group_of_their_own_and_end(function: str) -> None:
    group = TEMPLATE.functions[function]["LoggingConfig"]["LogGroup"]["Ref"]

    assert TEMPLATE.of_type("AWS::Logs::LogGroup")[group]["RetentionInDays"] == {
        "Ref": "LogRetentionDays"
    }


def test_the_ledger_outlives_the_stack() -> None:
    table = TEMPLATE.body["Resources"]["LedgerTable"]

    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {
        "PointInTimeRecoveryEnabled": True
    }
    assert table["Properties"]["SSESpecification"] == {"SSEEnabled": True}
    assert table["Properties"]["TimeToLiveSpecification"]["AttributeName"] == "expires"
