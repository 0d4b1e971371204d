"""The roles and the code, held against each other: no right that is not used, no call without its right."""

import ast
from pathlib import Path

import botocore.session
from botocore import xform_name

from tests.template.reading import ROOT, Template

SOURCE = ROOT / "functions" / "curfew"
TEMPLATE = Template.read(ROOT / "template.yaml")
SPOKE = Template.read(ROOT / "spoke.yaml")
SERVICES = ("dynamodb", "ec2", "organizations", "secretsmanager", "sqs", "ssm", "sts")

# The rights that a call needs where they are not one of the same name.
NEEDS = {
    "dynamodb:TransactWriteItems": {
        "dynamodb:ConditionCheckItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    },
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
    "ec2:RunInstances": {"ec2:CreateTags", "ec2:RunInstances"},  # tags are set at the launch
}
# What Lambda itself calls, as the role: it reads the queue, and writes dead letters.
BY_LAMBDA = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
# A source identity is set with each scoped call, and no caller can be denied to ask for its own.
WITH_SCOPED_CREDENTIALS = {"sts:SetSourceIdentity"}
WITHOUT_RIGHT = {"sts:GetCallerIdentity"}
DEAD_LETTERS = {"Fn::GetAtt": "DeadLetterQueue.Arn"}


def names(module: Path) -> set[str]:
    """Every attribute and text in a module: a client's methods and paginators are among them."""
    named: set[str] = set()
    for part in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match part:
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                named.add(name)
    return named


def calls(service: str, source: Path = SOURCE) -> set[str]:
    """The operations of a service that the code calls, wherever it does."""
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name): name for name in model.operation_names}
    named = set[str]().union(*(names(module) for module in source.rglob("*.py")))
    return {f"{service}:{operations[name]}" for name in named & operations.keys()}


def allowed() -> set[str]:
    """Return what the functions may do by themselves, and through the roles that they assume."""
    return {
        action
        for template in (TEMPLATE, SPOKE)
        for role in template.of_type("AWS::IAM::Role")
        for statement in template.statements(role)
        if statement.effect == "Allow" and statement.resources != (DEAD_LETTERS,)
        for action in statement.actions
        if action.startswith(tuple(f"{service}:" for service in SERVICES))
    }


def test_the_functions_are_allowed_exactly_what_their_code_calls() -> None:
    called = set[str]().union(*(calls(service) for service in SERVICES))

    needed = set[str]().union(*(NEEDS.get(call, {call}) for call in called - WITHOUT_RIGHT))
    assert needed == allowed() - BY_LAMBDA - WITH_SCOPED_CREDENTIALS
