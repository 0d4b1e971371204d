import importlib.util
import json
from datetime import timedelta
from typing import Any

import pytest

from curfew.config import policy_file
from tests.template.reading import ROOT, Statement, Template

TEMPLATE = Template.read(ROOT / "template.yaml")
FUNCTIONS = sorted(TEMPLATE.functions)
ROLES = sorted(TEMPLATE.of_type("AWS::IAM::Role"))
STATEMENTS = [statement for role in ROLES for statement in TEMPLATE.statements(role)]
SCHEDULES = {
    name: event["Properties"]
    for function in TEMPLATE.functions.values()
    for name, event in function.get("Events", {}).items()
    if event["Type"] == "ScheduleV2"
}
SCHEDULED = sorted(
    name
    for name, function in TEMPLATE.functions.items()
    if any(event["Type"] == "ScheduleV2" for event in function.get("Events", {}).values())
)

# What changes something outside this stack: an assumed role allows it, and no function's own.
ACTING = {
    "ec2:CancelSpotInstanceRequests",
    "ec2:CreateTags",
    "ec2:RunInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
    "iam:PassRole",
}
READS = (
    "ec2:Describe",
    "organizations:List",
    "dynamodb:BatchGetItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "sqs:GetQueueAttributes",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameter",
)


def allowed(statements: list[Statement]) -> set[str]:
    return {action for one in statements if one.effect == "Allow" for action in one.actions}


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
    everywhere = allowed([one for one in STATEMENTS if "*" in one.resources])

    assert {action for action in everywhere if not action.startswith("ec2:Describe")} == {
        "organizations:ListAccountsForParent",
        "organizations:ListOrganizationalUnitsForParent",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_every_function_has_a_role_of_its_own() -> None:
    roles = [TEMPLATE.role_of(function) for function in FUNCTIONS]

    assert sorted(roles) == sorted(set(roles))
    assert not {"Role", "Policies"} & set(TEMPLATE.shared)
    assert all("Policies" not in TEMPLATE.functions[function] for function in FUNCTIONS)


def test_roles_have_rights_inline_or_from_unnamed_managed_policies() -> None:
    kinds = {resource["Type"] for resource in TEMPLATE.body["Resources"].values()}

    assert {kind for kind in kinds if kind.startswith("AWS::IAM::")} == {
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
    }
    for policy in TEMPLATE.of_type("AWS::IAM::ManagedPolicy").values():
        assert set(policy) == {"Description", "PolicyDocument"}
    for role in ROLES:
        assert "RoleName" not in TEMPLATE.of_type("AWS::IAM::Role")[role]


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


def test_acting_roles_can_be_assumed_only_in_act_mode() -> None:
    assert not allowed(STATEMENTS) & ACTING
    for _, one in TEMPLATE.allowing("sts:AssumeRole"):
        reading = one.resources[0]["Fn::Sub"].endswith("-read")
        assert reading or "ActMode" in one.only_if
    assert TEMPLATE.body["Conditions"]["ActMode"] == {"Fn::Equals": [{"Ref": "Mode"}, "act"]}


def test_every_right_that_writes_is_one_we_know() -> None:
    writes = {action for action in allowed(STATEMENTS) if not action.startswith(READS)}

    assert writes == {
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:DeleteMessage",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "sts:AssumeRole",
        "sts:SetSourceIdentity",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_schedule_stops_retrying_in_time_and_leaves_a_dead_letter() -> None:
    tries = {name: schedule["RetryPolicy"] for name, schedule in SCHEDULES.items()}

    assert tries == {
        "Tick": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 300},  # the next one comes
        "Morning": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
    }
    for schedule in SCHEDULES.values():
        assert queue_of(schedule["DeadLetterConfig"]["Arn"])


def test_tick_event_has_no_other_content() -> None:
    assert json.loads(SCHEDULES["Tick"]["Input"]) == {"tick": True}


def test_a_launch_says_which_schedule_it_is_and_when_it_was_due() -> None:
    assert json.loads(SCHEDULES["Morning"]["Input"]) == {
        "template": "t2-pair",
        "fleet": "morning",
        "until": "18:00",
        "schedule": "<aws.scheduler.schedule-arn>",
        "scheduled_at": "<aws.scheduler.scheduled-time>",
    }


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_schedule_has_the_stacks_name(name: str) -> None:
    schedule = SCHEDULES[name]

    assert schedule["Name"] == {"Fn::Sub": f"${{AWS::StackName}}-{name.lower()}"}
    assert schedule["ScheduleExpression"] == {"Ref": f"{name}Schedule"}
    assert sorted(SCHEDULES) == ["Morning", "Tick"]
    assert SCHEDULES["Morning"]["ScheduleExpressionTimezone"] == {"Ref": "ScheduleTimezone"}


def test_scheduled_launch_is_off_by_default() -> None:
    states = {name: schedule.get("State", "ENABLED") for name, schedule in SCHEDULES.items()}

    assert states == {"Tick": "ENABLED", "Morning": {"Ref": "MorningState"}}
    assert TEMPLATE.body["Parameters"]["MorningState"]["Default"] == "DISABLED"
    assert set(TEMPLATE.functions["LaunchFunction"]["Events"]) == {"Morning"}


def test_every_schedule_of_the_policy_file_has_an_alarm_that_knows_its_interval() -> None:
    shipped = policy_file.load(ROOT / "functions" / "curfew.yaml")
    periods = {
        alarm["Dimensions"][0]["Value"]: alarm["Period"]
        for name, alarm in TEMPLATE.of_type("AWS::CloudWatch::Alarm").items()
        if name.endswith("Missing")
    }

    assert periods == {
        one.policy: int((one.every or timedelta(days=1)).total_seconds())
        for one in shipped.schedules()
    }


@pytest.mark.parametrize("function", SCHEDULED)
def test_a_failed_invocation_is_kept_and_not_repeated(function: str) -> None:
    config = TEMPLATE.functions[function]["EventInvokeConfig"]

    assert config["MaximumRetryAttempts"] == 0
    assert queue_of(config["DestinationConfig"]["OnFailure"]["Destination"])


def test_what_answers_requests_is_started_by_nothing_else() -> None:
    assert set(FUNCTIONS) - set(SCHEDULED) == {"FleetsFunction", "TargetFunction"}
    assert set(TEMPLATE.functions["TargetFunction"]["Events"]) == {"Targets"}
    assert "Events" not in TEMPLATE.functions["FleetsFunction"]


def test_a_sweep_waits_for_no_other() -> None:
    sweep = TEMPLATE.functions["SweepFunction"]
    ticks = 2  # one may last longer than it is until the next
    from_the_queue = sweep["Events"]["Work"]["Properties"]["ScalingConfig"]["MaximumConcurrency"]

    reserved = TEMPLATE.body["Parameters"]["ReservedConcurrency"]["Default"]
    assert reserved == ticks + from_the_queue


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
    local = json.loads((ROOT / "demo" / "env.json").read_text(encoding="utf-8"))["Parameters"]

    assert set(local) <= set(TEMPLATE.shared["Environment"]["Variables"])
    assert "AWS_ENDPOINT_URL" in local


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_have_a_group_of_their_own_and_end(function: str) -> None:
    group = TEMPLATE.functions[function]["LoggingConfig"]["LogGroup"]["Ref"]
    written = [
        one.resources
        for role, one in TEMPLATE.allowing("logs:PutLogEvents")
        if role == TEMPLATE.role_of(function)
    ]

    assert group == f"{function}LogGroup"
    assert written == [({"Fn::GetAtt": f"{group}.Arn"},)]
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
