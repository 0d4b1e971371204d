"""The reduced model of EC2: it has the calls of the allow-list, and all members of responses that the code reads."""

import ast
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser

from curfew.aws import session
from curfew.aws.allowed_calls import CHANGES, READS
from curfew.aws.errors import QUOTAS
from tests.answers import Everything
from tools import trim

PROVIDERS = Path(trim.__file__).parents[1] / "functions" / "curfew" / "providers"
LISTED = sorted(call.operation for call in (*READS, *CHANGES) if call.service == "ec2")
SMALL: Any = session.session("eu-central-1").get_service_model("ec2")
WHOLE: Any = botocore.session.get_session().get_service_model("ec2")


def test_the_model_that_ships_is_the_one_that_the_installed_sdk_gives() -> None:
    assert trim.main(["--check", str(session.MODELS)]) == 0


def test_stale_model_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trim.main([str(tmp_path)])
    (place,) = tmp_path.rglob("service-2.json")
    place.write_text(place.read_text().replace("instanceState", "instanceStatus"))

    assert trim.main(["--check", str(tmp_path)]) == 1
    assert f"{place} is stale: run `make lock`" in capsys.readouterr().err


def test_model_has_exactly_the_calls_of_the_allow_list() -> None:
    assert sorted(SMALL.operation_names) == LISTED == sorted(trim.OPERATIONS)


def test_a_path_that_the_sdk_does_not_have_is_an_error() -> None:
    model = {"operations": {"A": {"output": {"shape": "S"}}}, "shapes": {"S": {"type": "string"}}}
    with pytest.raises(KeyError, match="S has no Name"):
        trim.trimmed(model, {"A": trim.Wanted(reads=("Name",))})


@pytest.mark.parametrize("operation", LISTED)
def test_what_is_required_can_be_sent(operation: str) -> None:
    def check(shape: Any) -> None:
        if shape.type_name == "list":
            check(shape.member)
        if shape.type_name == "structure":
            assert set(shape.required_members) <= set(shape.members)
            for part in shape.members.values():
                check(part)

    check(SMALL.operation_model(operation).input_shape)


@pytest.mark.parametrize("operation", LISTED)
def test_it_reads_in_an_answer_what_the_whole_model_reads(operation: str) -> None:
    shape = WHOLE.operation_model(operation).output_shape
    if shape is None:
        assert not trim.OPERATIONS[operation].reads
        return
    body = Everything().say(shape, f"{operation}Response").encode()
    answer = {"status_code": 200, "headers": {}, "body": body}

    small = create_parser("ec2").parse(answer, SMALL.operation_model(operation).output_shape)
    whole = create_parser("ec2").parse(answer, shape)

    for path in trim.OPERATIONS[operation].reads:
        found = values(whole, path.split("."))
        assert found
        assert values(small, path.split(".")) == found
    assert within(small, whole)


def values(parsed: Any, path: list[str]) -> list[Any]:
    """Return the values at a path, through every list on the way."""
    if isinstance(parsed, list):
        return [value for item in parsed for value in values(item, path)]
    return values(parsed[path[0]], path[1:]) if path else [parsed]


def within(small: Any, whole: Any) -> bool:
    """Return whether all values in ``small`` are in ``whole`` at the same place."""
    if isinstance(small, dict):
        return all(within(value, whole[key]) for key, value in small.items())
    if isinstance(small, list):
        return len(small) == len(whole) and all(map(within, small, whole))
    return bool(small == whole)


def test_every_member_that_the_code_names_is_in_the_model() -> None:
    """This includes members that the code reads with ``get``, which would not fail without them."""
    known: set[str] = set()

    def learn(shape: Any) -> None:
        if shape is not None and shape.type_name == "list":
            learn(shape.member)
        elif shape is not None and shape.type_name == "structure":
            known.update(shape.members)
            for part in shape.members.values():
                learn(part)

    for operation in LISTED:
        learn(SMALL.operation_model(operation).input_shape)
        learn(SMALL.operation_model(operation).output_shape)

    assert named() - known <= ELSEWHERE


# Of errors, of the calls of other services, and of the paginator.
ELSEWHERE = {
    "AccessKeyId", "Account", "Accounts", "Action", "Arn", "AssumeRole", "Condition", "Credentials", "DurationSeconds",
    "Effect", "Expiration", "ExternalId", "Id", "OrganizationalUnits", "ParentId", "Policy", "Resource", "RoleArn",
    "RoleSessionName", "SecretAccessKey", "SessionToken", "SourceIdentity", "Statement", "Status", "StringEquals",
    "Version", "Code", "Error", "HTTPStatusCode", "PageSize", "PaginationConfig", "Parameter", "RequestId",
    "ResponseMetadata",
}  # fmt: skip


def named() -> set[str]:
    """Return each string by which the EC2 providers read a response, and each key or argument of a request."""
    found: set[str] = set()
    for module in PROVIDERS.glob("ec2*.py"):
        for part in ast.walk(ast.parse(module.read_text("utf-8"))):
            match part:
                case ast.Subscript(slice=ast.Constant(value=str(word))):
                    found.add(word)
                case ast.Call(
                    func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(word)), *_]
                ):
                    found.add(word)
                case ast.Dict(keys=keys):
                    found |= {str(k.value) for k in keys if isinstance(k, ast.Constant)}
                case ast.keyword(arg=str(word)):
                    found.add(word)
                case _:
                    pass
    return {word for word in found if word[:1].isupper()} - set(QUOTAS)
