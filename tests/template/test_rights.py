"""The role and the code, held against each other: no right that is not used, no call without its right."""

import ast
from pathlib import Path

import botocore.session
from botocore import xform_name

from tests.template.reading import ROOT, Template

SOURCE = ROOT / "functions" / "curfew"
TEMPLATE = Template.read(ROOT / "template.yaml")

# What a transaction of puts asks for, and what only a launch does, which no function may do yet.
MEANS = {"dynamodb:TransactWriteItems": "dynamodb:PutItem"}
NOT_IN_LAMBDA = {"ec2:RunInstances"}


def calls(service: str, module: Path) -> set[str]:
    """The operations of a service that a module calls by a client's method or a paginator."""
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name): name for name in model.operation_names}
    named: set[str] = set()
    for part in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match part:
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                named.add(name)
    return {f"{service}:{operations[name]}" for name in named & operations.keys()}


def test_the_sweep_is_allowed_exactly_what_its_code_calls() -> None:
    called = calls("ec2", SOURCE / "providers" / "ec2.py")
    called |= calls("dynamodb", SOURCE / "ledger" / "dynamodb.py")

    allowed = {
        action
        for statement in TEMPLATE.statements(TEMPLATE.role_of("SweepFunction"))
        if statement.effect == "Allow"
        for action in statement.actions
        if action.startswith(("ec2:", "dynamodb:"))
    }

    assert {MEANS.get(call, call) for call in called} - NOT_IN_LAMBDA == allowed
