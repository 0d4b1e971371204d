"""The expression engine beside moto's, on items and expressions by chance: where moto is right, they agree.
And a few tests of the ledger's contract on moto.

moto is not asked about what it is known to get wrong: operands of a type that can never fit, the size of a number,
and updates of a path in something that is not there.
"""

import string
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from moto import mock_aws
from moto.core.models import botocore_stubber

from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew_simulator.cloud.world import World
from demo.world import TABLE, make_table
from tests.contract import test_fleets, test_ledgers, test_plans
from tests.simulator.items import KEY, plain
from tests.simulator.test_curfew import expectations

NAMES = ["a", "b", "c", "d"]
PATHS = [*NAMES, "d.x", "d.y", "c[0]", "c[1]", "#n", "d.#n"]
COMPARATORS = ["=", "<>", "<", "<=", ">", ">="]

texts = st.text(string.ascii_lowercase[:3], max_size=3)
numbers = st.integers(-20, 20)
scalars = st.one_of(texts, numbers)
items = st.fixed_dictionaries(
    {},
    optional={
        "a": scalars,
        "b": st.one_of(scalars, st.booleans(), st.none()),
        "c": st.lists(scalars, max_size=3),
        "d": st.fixed_dictionaries({}, optional={"x": scalars, "y": numbers, "a": texts}),
    },
)
paths = st.sampled_from(PATHS)
ordered = st.sampled_from([":s", ":t", ":i", ":j"])


@st.composite
def conditions(draw: Any, depth: int = 3) -> str:
    """A condition on the names, with the values ``:s``, ``:t`` (texts), ``:i`` and ``:j`` (numbers)."""
    kind = draw(st.integers(0, 8 if depth else 5))
    path = draw(paths)
    match kind:
        case 0:
            return f"{path} {draw(st.sampled_from(COMPARATORS))} {draw(ordered)}"
        case 1:
            return f"attribute_exists({path})"
        case 2:
            return f"attribute_not_exists({path})"
        case 3:
            return f"begins_with({path}, :s)"
        case 4:
            return f"contains({path}, {draw(ordered)})"
        case 5:
            return f"{path} IN ({draw(ordered)}, {draw(ordered)})"
    left, right = draw(conditions(depth - 1)), draw(conditions(depth - 1))
    match kind:
        case 6:
            return f"({left}) AND {right}"
        case 7:
            return f"{left} OR {right}"
        case _:
            return f"NOT ({left})"


@st.composite
def updates(draw: Any) -> str:
    """An update of some of the names, each at most once."""
    sets = {
        "a": ["a = :s", "a = if_not_exists(a, :i)", "a = if_not_exists(b, :j)"],
        "b": ["b = :i", "b = if_not_exists(missed, :i) + :j", "b = :i - :j"],
        "c": ["c = list_append(if_not_exists(c, :l), :l)", "c = :l"],
    }
    chosen = [draw(st.sampled_from(sets[n])) for n in draw(st.sets(st.sampled_from("abc")))]
    clauses = [f"SET {', '.join(chosen)}"] if chosen else []
    if draw(st.booleans()) or not clauses:
        clauses.append(draw(st.sampled_from(["REMOVE d", "ADD e :i", "REMOVE d, e"])))
    return " ".join(draw(st.permutations(clauses)))


def ours(at: Any) -> Any:
    """A client of a fresh world that moto, which listens to every client, does not answer as well."""
    client = at(World()).client("dynamodb")
    client.meta.events.unregister("before-send", botocore_stubber)
    return make(client)


def make(client: Any) -> Any:
    """The table ``t``."""
    client.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    return client


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    with mock_aws():
        yield make(
            boto3.client(
                "dynamodb", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
            )
        )


def used(expression: str, values: dict[str, Any]) -> dict[str, Any]:
    """The placeholders that an expression has."""
    given: dict[str, Any] = {}
    if found := {name: plain(v) for name, v in values.items() if name in expression}:
        given["ExpressionAttributeValues"] = found
    if "#n" in expression:
        given["ExpressionAttributeNames"] = {"#n": "x"}
    return given


def outcome(client: Any, item: dict[str, Any], **asked: Any) -> Any:
    """What comes of an update of that item: its new state, or the error's code."""
    client.put_item(TableName="t", Item={**KEY, **{k: plain(v) for k, v in item.items()}})
    try:
        answer = client.update_item(TableName="t", Key=KEY, ReturnValues="ALL_NEW", **asked)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except TypeError:
        reject()  # moto itself cannot put a list before a text
    return answer["Attributes"]


CAREFULLY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@CAREFULLY
@given(
    item=items,
    condition=conditions(),
    values=st.fixed_dictionaries(
        {":s": texts.filter(bool), ":t": texts, ":i": numbers, ":j": numbers}
    ),
)
def test_conditions_hold_for_the_same_items(
    moto: Any, at: Any, item: dict[str, Any], condition: str, values: dict[str, Any]
) -> None:
    asked = {
        "ConditionExpression": condition,
        "UpdateExpression": "REMOVE e",
        **used(condition, values),
    }
    assert outcome(ours(at), item, **asked) == outcome(moto, item, **asked)


@CAREFULLY
@given(
    item=items,
    update=updates(),
    values=st.fixed_dictionaries(
        {":s": texts, ":i": numbers, ":j": numbers, ":l": st.lists(scalars, max_size=2)}
    ),
)
def test_updates_leave_the_same_items(
    moto: Any, at: Any, item: dict[str, Any], update: str, values: dict[str, Any]
) -> None:
    asked = {"UpdateExpression": update, **used(update, values)}
    assert outcome(ours(at), item, **asked) == outcome(moto, item, **asked)


@CAREFULLY
@given(
    places=st.sets(st.text(string.ascii_lowercase[:4], min_size=1, max_size=3), max_size=8),
    bounds=st.tuples(texts.filter(bool), texts.filter(bool)).map(sorted),
    key=st.sampled_from(
        [
            "",
            "sk = :a",
            "sk > :a",
            "sk >= :a",
            "sk < :b",
            "sk <= :b",
            "begins_with(sk, :a)",
            "sk BETWEEN :a AND :b",
        ]
    ),
    forward=st.booleans(),
    limit=st.integers(1, 9),
)
def test_queries_give_the_same_pages(
    moto: Any, at: Any, places: set[str], bounds: list[str], key: str, *, forward: bool, limit: int
) -> None:
    condition = f"pk = :p AND {key}" if key else "pk = :p"
    partition = f"p{sorted(places)}{bounds}{key}{forward}{limit}"
    values = {":p": partition, ":a": bounds[0], ":b": bounds[1]}
    pages: list[Any] = []
    for client in (ours(at), moto):
        for place in places:
            client.put_item(TableName="t", Item={"pk": plain(partition), "sk": plain(place)})
        pages.append([])
        start: dict[str, Any] = {}
        while start is not None:
            page = client.query(
                TableName="t", KeyConditionExpression=condition, Limit=limit,
                ScanIndexForward=forward, **used(condition, values), **start,
            )  # fmt: skip
            pages[-1] += [item["sk"]["S"] for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert pages[0] == pages[1]


def one_of_each_kind() -> list[Any]:
    """The first test of each class of the ledger's contract."""
    found = {
        param.id.partition(":")[0]: param
        for module in (test_ledgers, test_fleets, test_plans)
        for param in reversed(expectations(module, "ledger"))
    }
    return [*found.values()]


@pytest.mark.parametrize("expectation", one_of_each_kind())
def test_the_ledger_keeps_its_contract_on_moto(
    moto: Any, expectation: Callable[[DynamoLedger], None]
) -> None:
    make_table()
    try:
        expectation(DynamoLedger(moto, TABLE))
    finally:
        moto.delete_table(TableName=TABLE)
