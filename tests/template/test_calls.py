"""The allow-list, the code and the roles are the same set: a new call fails here, whether or not a test reaches it."""

import ast
import shutil
from pathlib import Path

import botocore.session
import pytest

from curfew.aws.allowed_calls import CHANGES, CLIENT_SCOPES, READS, Call, ClientScope
from tests.template.test_rights import (
    BY_LAMBDA,
    NEEDS,
    SOURCE,
    WITH_SCOPED_CREDENTIALS,
    WITHOUT_RIGHT,
    allowed,
    calls,
)

LIST = "calls.py"
LISTED = {str(call) for call in (*READS, *CHANGES)}
SERVICES = sorted({scope.service for scope in CLIENT_SCOPES})
LOOKING = ("BatchGet", "Describe", "Get", "List", "Query")
# What makes a client, in boto3 and in botocore.
MAKERS = {"client", "create_client", "resource"}
# What could make one under another name, or reach a cloud without one; what only names the SDK's errors could not.
WAYS_OUT = (
    "aiohttp", "boto3", "botocore", "http.client", "httpx", "keystoneauth1", "openstack", "requests",
    "socket", "subprocess", "urllib.request",
    "urllib3",
)  # fmt: skip
HARMLESS = {"botocore.exceptions", "botocore.parsers"}


def code(source: Path = SOURCE) -> set[str]:
    """The operations that the code names, without the list itself."""
    return set[str]().union(*(calls(service, source) for service in SERVICES))


def makers(source: Path = SOURCE) -> list[tuple[str, str]]:
    """Where a client is made: the module, and the way."""
    return [
        (module.relative_to(source).as_posix(), part.func.attr)
        for module in sorted(source.rglob("*.py"))
        for part in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr in MAKERS
    ]


def ways_out(source: Path = SOURCE) -> set[tuple[str, str]]:
    """The modules that import what could reach a cloud, and what they import."""
    found: set[tuple[str, str]] = set()
    for module in source.rglob("*.py"):
        for part in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            match part:
                case ast.Import(names=imported):
                    named = {one.name for one in imported}
                case ast.ImportFrom(module=str(package), names=imported, level=0):
                    named = {package} | {f"{package}.{one.name}" for one in imported}
                case _:
                    continue
            found |= {
                (module.relative_to(source).as_posix(), name)
                for name in named
                if not any(f"{name}.".startswith(f"{good}.") for good in HARMLESS)
                and any(f"{name}.".startswith(f"{way}.") for way in WAYS_OUT)
            }
    return found


def test_the_list_is_what_the_code_calls() -> None:
    assert code() == LISTED


def test_the_list_is_what_the_roles_allow() -> None:
    needed = set[str]().union(*(NEEDS.get(call, {call}) for call in LISTED - WITHOUT_RIGHT))
    assert allowed() - BY_LAMBDA - WITH_SCOPED_CREDENTIALS == needed


@pytest.mark.parametrize("scope", CLIENT_SCOPES, ids=lambda purpose: purpose.name)
def test_every_call_is_the_services_own_and_has_its_reason(scope: ClientScope) -> None:
    model = botocore.session.get_session().get_service_model(scope.service)
    for call in (*scope.reads, *scope.changes):
        assert call.service == scope.service
        assert call.operation in model.operation_names
        assert call.why


@pytest.mark.parametrize("call", READS, ids=str)
def test_what_counts_as_a_read_looks_and_does_no_more(call: Call) -> None:
    assert call.operation.startswith(LOOKING)


@pytest.mark.parametrize("call", CHANGES, ids=str)
def test_what_changes_something_does_not_pass_for_a_read(call: Call) -> None:
    assert not call.operation.startswith(LOOKING)


def test_no_client_both_looks_at_machines_and_changes_them() -> None:
    mixed = [scope.name for scope in CLIENT_SCOPES if scope.reads and scope.changes]
    assert mixed == ["ledger"]


def test_every_client_is_made_in_one_place_which_guards_it() -> None:
    assert makers() == [("aws/clients.py", "create_client")]
    assert {module for module, _ in ways_out()} == {
        "aws/clients.py",
        "aws/roles.py",  # the read role's session, which scoped_credentials had
        "aws/session.py",
        "providers/ec2/factory.py",  # a type alone
        "providers/ec2/scoped_credentials.py",
        "providers/openstack/allowed_calls.py",
        "providers/openstack/connection.py",  # the one connection, by the guarded session
        "providers/openstack/errors.py",
        "providers/openstack/provider.py",
    }


@pytest.mark.parametrize(
    ("line", "stray"),
    [
        ("client.modify_instance_attribute(InstanceId=id_)", "ec2:ModifyInstanceAttribute"),
        ("getattr(client, 'delete_tags')(Resources=[])", "ec2:DeleteTags"),
        ("client.get_paginator('scan')", "dynamodb:Scan"),
        ("order = client.purge_queue", "sqs:PurgeQueue"),
        ("sts.get_session_token()", "sts:GetSessionToken"),
    ],
)
def test_a_new_call_that_no_test_reaches_fails_the_build(
    tmp_path: Path, line: str, stray: str
) -> None:
    (tmp_path / "new.py").write_text(f"def never(client, sts, id_, arn):\n    {line}\n")

    assert code(tmp_path) - LISTED == {stray}


def test_a_call_that_is_gone_from_the_code_fails_the_build(tmp_path: Path) -> None:
    """A list that has more than is needed allows more than is needed."""
    source = tmp_path / "curfew"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "aws" / "queue.py").unlink()

    assert LISTED - code(source) == {"sqs:SendMessage", "sqs:SendMessageBatch"}


@pytest.mark.parametrize(
    "line",
    [
        "import boto3",
        "from boto3 import client as sns",
        "from botocore import session",
        "import urllib.request",
        "from urllib import request",
    ],
)
def test_a_way_round_the_guarded_clients_fails_the_build(tmp_path: Path, line: str) -> None:
    (tmp_path / "new.py").write_text(line)

    assert {module for module, _ in ways_out(tmp_path)} == {"new.py"}


def test_a_client_that_is_made_elsewhere_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("def mine(session):\n    return session.client('sns')\n")

    assert makers(tmp_path) == [("new.py", "client")]
