"""DynamoDB: conditions, updates, queries and transactions, as its reference has them.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html and the pages below it,
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hostile import Change, Fault, Kind
from tests.hostile.asking import code, refusal
from tests.hostile.conftest import Reach

KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


def plain(value: Any) -> Any:
    """A value as an attribute value."""
    match value:
        case bool():
            return {"BOOL": value}
        case None:
            return {"NULL": True}
        case int() | float():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case list():
            return {"L": [plain(member) for member in value]}
        case set():
            kind = "NS" if all(isinstance(m, int) for m in value) else "SS"
            return {kind: sorted(str(member) for member in value)}
        case Mapping():
            return {"M": {name: plain(member) for name, member in value.items()}}
    raise TypeError(value)


def item(**attributes: Any) -> dict[str, Any]:
    """An item of the table ``t``."""
    return {**KEY, **{name: plain(value) for name, value in attributes.items()}}


def bound(values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Placeholders and what they stand for."""
    given: dict[str, Any] = {}
    if values:
        given["ExpressionAttributeValues"] = {f":{name}": plain(v) for name, v in values.items()}
    if names:
        given["ExpressionAttributeNames"] = {f"#{name}": real for name, real in names.items()}
    return given


class Shop:
    """The table ``t`` with one item in it, and short ways to ask."""

    def __init__(self, db: Any, **attributes: Any) -> None:
        self.db = db
        db.put_item(TableName="t", Item=item(**attributes))

    def holds(self, condition: str, **values: Any) -> bool:
        """Whether a condition holds."""
        try:
            self.db.update_item(
                TableName="t", Key=KEY, ConditionExpression=condition, **bound(values)
            )
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"  # noqa: PT017
            return False
        return True

    def after(self, update: str, **values: Any) -> dict[str, Any]:
        """The item after an update, without its key."""
        answer = self.db.update_item(
            TableName="t", Key=KEY, UpdateExpression=update, ReturnValues="ALL_NEW", **bound(values)
        )
        return {k: v for k, v in answer["Attributes"].items() if k not in KEY}


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "values", "expected"),
        [
            ("attribute_exists(n)", {}, True),
            ("attribute_not_exists(nowhere)", {}, True),
            ("attribute_exists(m.deep[1])", {}, True),
            ("attribute_exists(m.deep[9])", {}, False),
            ("attribute_type(n, :t)", {"t": "N"}, True),
            ("n = :v", {"v": 5}, True),
            ("n = :v", {"v": "5"}, False),
            ("n <> :v", {"v": "5"}, True),
            ("nowhere <> :v", {"v": 1}, True),
            ("nowhere = :v", {"v": 1}, False),
            ("nowhere < :v", {"v": 1}, False),
            ("NOT nowhere < :v", {"v": 1}, True),
            ("n < :v", {"v": 10}, True),
            ("n < :v", {"v": "9"}, False),
            ("n BETWEEN :a AND :b", {"a": 5, "b": 6}, True),
            ("n between :a and :b AND n > :a", {"a": 5, "b": 6}, False),
            ("n IN (:a, :b)", {"a": 4, "b": 5}, True),
            ("begins_with(s, :v)", {"v": "he"}, True),
            ("contains(s, :v)", {"v": "ell"}, True),
            ("contains(l, :v)", {"v": "x"}, True),
            ("contains(tags, :v)", {"v": "x"}, True),
            ("contains(tags, :v)", {"v": "xy"}, False),
            ("size(s) = :v", {"v": 5}, True),
            ("size(l) > :v", {"v": 2}, False),
            ("size(n) > :v", {"v": 0}, False),
            ("n = :a OR s = :b AND s = :c", {"a": 5, "b": "x", "c": "y"}, True),
            ("(n = :a OR s = :b) AND s = :c", {"a": 5, "b": "x", "c": "y"}, False),
            ("NOT (n = :a AND s = :b)", {"a": 5, "b": "x"}, True),
            ("m.deep[0] = n", {}, False),
            ("m.deep[1] = s", {}, True),
        ],
    )
    def test_they_mean_what_the_guide_says(
        self, db: Any, condition: str, values: dict[str, Any], *, expected: bool
    ) -> None:
        shop = Shop(db, n=5, s="hello", l=["x", 1], tags={"x", "y"}, m={"deep": [0, "hello"]})
        assert shop.holds(condition, **values) is expected

    def test_numbers_are_equal_however_they_are_written(self, db: Any) -> None:
        shop = Shop(db, n=1)
        db.put_item(TableName="t", Item={**KEY, "n": {"N": "100.50"}})
        assert db.get_item(TableName="t", Key=KEY)["Item"]["n"] == {"N": "100.5"}
        assert shop.holds("n = :v", v=100.5)
        values = {":v": {"N": "1.005E2"}}
        db.update_item(
            TableName="t", Key=KEY, ConditionExpression="n = :v", ExpressionAttributeValues=values
        )

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"ConditionExpression": "n ="}, 'Syntax error; token: "<EOF>"'),
            ({"ConditionExpression": "n == n"}, "Syntax error"),
            ({"ConditionExpression": "status = status"}, "reserved keyword: status"),
            ({"ConditionExpression": "exists(n)"}, "Invalid function name; function: exists"),
            ({"ConditionExpression": "contains(n)"}, "Incorrect number of operands"),
            ({"ConditionExpression": "n = :missing"}, "attribute value: :missing"),
            ({"ConditionExpression": "#n = #n"}, "attribute name: #n"),
            (
                {"ConditionExpression": "n = n", **bound({"x": 1})},
                "unused in expressions: keys: {:x}",
            ),
            ({"ConditionExpression": "n = n", **bound({}, {"x": "y"})}, "keys: {#x}"),
            ({"ConditionExpression": "n < :t", **bound({"t": True})}, "operand type: BOOL"),
            (
                {"ConditionExpression": "n BETWEEN :a AND :b", **bound({"a": 2, "b": 1})},
                "upper bound",
            ),
            ({"UpdateExpression": "SET pk = :v", **bound({"v": "x"})}, "part of the key"),
            ({"UpdateExpression": "SET a.b = :v", **bound({"v": 1})}, "document path"),
            ({"UpdateExpression": "SET a = :v, a = :v", **bound({"v": 1})}, "overlap"),
            ({"UpdateExpression": "SET a = :v SET b = :v", **bound({"v": 1})}, "only be used once"),
            ({"UpdateExpression": "SET a = nowhere"}, "does not exist in the item"),
            ({"UpdateExpression": "SET a = s + :v", **bound({"v": 1})}, "incorrect data type"),
            ({"UpdateExpression": "ADD a :v", **bound({"v": "x"})}, "operand type: S"),
            ({"UpdateExpression": "ADD s :v", **bound({"v": 1})}, "incorrect data type"),
            ({"UpdateExpression": ""}, "can not be empty"),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_a_validation_error_that_says_why(
        self, db: Any, wrong: dict[str, Any], message: str
    ) -> None:
        Shop(db, n=5, s="x")
        said, why, _ = refusal(partial(db.update_item, TableName="t", Key=KEY, **wrong))
        assert said == "ValidationException"
        assert message in why

    def test_a_failed_condition_shows_the_item_if_it_is_asked_to(self, both: Reach) -> None:
        """Source: API_PutItem.html, ReturnValuesOnConditionCheckFailure."""
        both.world.tables().make("t")
        db = both.client("dynamodb")
        Shop(db, n=5)
        put = partial(
            db.put_item, TableName="t", Item=KEY, ConditionExpression="attribute_not_exists(pk)"
        )
        with pytest.raises(db.exceptions.ConditionalCheckFailedException) as failed:
            put(ReturnValuesOnConditionCheckFailure="ALL_OLD")
        assert failed.value.response["Item"] == item(n=5)
        with pytest.raises(db.exceptions.ConditionalCheckFailedException) as bare:
            put()
        assert "Item" not in bare.value.response
        assert bare.value.response["Error"]["Message"] == "The conditional request failed"


class TestUpdates:
    @pytest.mark.parametrize(
        ("update", "values", "expected"),
        [
            ("SET n = n + :v", {"v": 2}, {"n": 7}),
            ("SET n = n - :v", {"v": 0.5}, {"n": 4.5}),
            ("SET n = if_not_exists(n, :v), x = if_not_exists(x, :v)", {"v": 1}, {"x": 1}),
            ("SET x = if_not_exists(x, :zero) + :v", {"v": 1, "zero": 0}, {"x": 1}),
            ("SET l = list_append(l, :v)", {"v": ["z"]}, {"l": ["a", "b", "c", "z"]}),
            ("SET l = list_append(:v, l)", {"v": ["z"]}, {"l": ["z", "a", "b", "c"]}),
            ("SET l[1] = :v", {"v": "B"}, {"l": ["a", "B", "c"]}),
            ("SET l[9] = :v", {"v": "z"}, {"l": ["a", "b", "c", "z"]}),
            ("SET m.x = n, n = m.y", {}, {"m": {"x": 5, "y": 1}, "n": 1}),
            ("REMOVE l[0], l[2]", {}, {"l": ["b"]}),
            ("REMOVE nowhere, l", {}, {"l": None}),
            ("REMOVE m.y", {}, {"m": {}}),
            ("ADD n :v, x :v", {"v": 2}, {"n": 7, "x": 2}),
            ("ADD tags :v", {"v": {"y", "z"}}, {"tags": {"x", "y", "z"}}),
            ("DELETE tags :v", {"v": {"y"}}, {"tags": {"x"}}),
            ("DELETE tags :v", {"v": {"x", "y"}}, {"tags": None}),
            ("SET x = :v REMOVE l ADD n :v DELETE tags :s", {"v": 1, "s": {"x"}},
             {"x": 1, "l": None, "n": 6, "tags": {"y"}}),
        ],
    )  # fmt: skip
    def test_they_do_what_the_guide_says(
        self, db: Any, update: str, values: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        start = {"n": 5, "l": ["a", "b", "c"], "m": {"y": 1}, "tags": {"x", "y"}}
        after = Shop(db, **start).after(update, **values)
        wanted = {name: plain(v) for name, v in (start | expected).items() if v is not None}
        for there in (after, wanted):
            if "tags" in there:
                there["tags"] = {"SS": sorted(there["tags"]["SS"])}
        assert after == wanted

    def test_what_is_not_there_is_made(self, db: Any) -> None:
        db.update_item(TableName="t", Key=KEY, UpdateExpression="ADD n :v", **bound({"v": 1}))
        assert db.get_item(TableName="t", Key=KEY)["Item"] == item(n=1)

    def test_the_answer_has_what_was_asked_for(self, db: Any) -> None:
        Shop(db, n=1, s="x")
        update = {"UpdateExpression": "SET n = n + :v", **bound({"v": 1})}
        answers = {
            wanted: db.update_item(TableName="t", Key=KEY, ReturnValues=wanted, **update).get("Attributes")
            for wanted in ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
        }  # fmt: skip
        assert answers == {
            "NONE": None,
            "ALL_OLD": item(n=2, s="x"),
            "ALL_NEW": item(n=4, s="x"),
            "UPDATED_OLD": {"n": {"N": "4"}},
            "UPDATED_NEW": {"n": {"N": "6"}},
        }
        deleted = db.delete_item(TableName="t", Key=KEY, ReturnValues="ALL_OLD")
        assert deleted["Attributes"] == item(n=6, s="x")

    def test_sums_are_exact_to_38_digits(self, db: Any) -> None:
        big = "9" * 37 + "8"
        db.put_item(TableName="t", Item={**KEY, "n": {"N": big}})
        after = Shop.after
        shop = Shop.__new__(Shop)
        shop.db = db
        assert after(shop, "ADD n :v", v=1) == {"n": {"N": "9" * 38}}


class TestQueries:
    def fill(self, db: Any, count: int = 7) -> None:
        for n in range(count):
            key = {"pk": {"S": "p"}, "sk": {"S": f"{n:03}"}}
            db.put_item(TableName="t", Item={**key, "even": {"BOOL": n % 2 == 0}})
        db.put_item(TableName="t", Item={"pk": {"S": "q"}, "sk": {"S": "000"}})

    def ask(self, db: Any, key: str = "pk = :p", **more: Any) -> Any:
        values = {":p": {"S": "p"}, **more.pop("values", {})}
        return db.query(
            TableName="t", KeyConditionExpression=key, ExpressionAttributeValues=values, **more
        )

    @pytest.mark.parametrize(
        ("key", "values", "expected"),
        [
            ("pk = :p", {}, 7),
            ("pk = :p AND sk = :a", {":a": "003"}, 1),
            ("sk > :a AND pk = :p", {":a": "003"}, 3),
            ("pk = :p AND sk BETWEEN :a AND :b", {":a": "001", ":b": "004"}, 4),
            ("pk = :p AND begins_with(sk, :a)", {":a": "00"}, 7),
        ],
    )
    def test_key_conditions(self, db: Any, key: str, values: dict[str, str], expected: int) -> None:
        self.fill(db)
        given = {name: {"S": value} for name, value in values.items()}
        assert self.ask(db, key, values=given)["Count"] == expected

    @pytest.mark.parametrize(
        "key",
        ["sk = :p", "pk > :p", "pk = :p OR sk = :p", "pk = :p AND contains(sk, :p)", "pk <> :p"],
    )
    def test_other_key_conditions_are_refused(self, db: Any, key: str) -> None:
        assert code(partial(self.ask, db, key)) == "ValidationException"

    def test_pages_follow_the_last_key_in_either_direction(self, both: Reach) -> None:
        both.world.tables().make("t")
        db = both.client("dynamodb")
        self.fill(db)
        for forward in (True, False):
            seen: list[str] = []
            start: dict[str, Any] = {}
            pages = 0
            while True:
                page = self.ask(db, Limit=3, ScanIndexForward=forward, **start)
                seen += [found["sk"]["S"] for found in page["Items"]]
                pages += 1
                if "LastEvaluatedKey" not in page:
                    break
                start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
            assert seen == sorted(seen, reverse=not forward)
            assert (len(seen), pages) == (7, 3)

    def test_the_filter_comes_after_the_limit(self, db: Any) -> None:
        """The reference: Limit is the number of items to evaluate, not of those that match."""
        self.fill(db)
        page = self.ask(db, Limit=2, FilterExpression="even = :no", values={":no": {"BOOL": False}})
        assert (page["Count"], page["ScannedCount"]) == (1, 2)
        assert page["LastEvaluatedKey"]["sk"] == {"S": "001"}

    def test_a_full_last_page_still_has_a_key(self, db: Any) -> None:
        self.fill(db, 3)
        page = self.ask(db, Limit=3)
        assert "LastEvaluatedKey" in page
        last = self.ask(db, Limit=3, ExclusiveStartKey=page["LastEvaluatedKey"])
        assert (last["Count"], "LastEvaluatedKey" in last) == (0, False)

    def test_a_page_holds_one_megabyte(self, db: Any) -> None:
        for n in range(4):
            key = {"pk": {"S": "p"}, "sk": {"S": str(n)}}
            db.put_item(TableName="t", Item={**key, "x": {"S": "x" * 390_000}})
        page = self.ask(db)
        assert page["Count"] == 3
        assert page["LastEvaluatedKey"]["sk"] == {"S": "2"}

    def test_numbers_sort_as_numbers(self, cloud: Reach) -> None:
        cloud.world.tables().make("n", sk="N")
        db = cloud.client("dynamodb")
        for n in ("10", "9", "-1", "9.5"):
            db.put_item(TableName="n", Item={"pk": {"S": "p"}, "sk": {"N": n}})
        answer = db.query(TableName="n", KeyConditionExpression="pk = :p", **bound({"p": "p"}))
        assert [found["sk"]["N"] for found in answer["Items"]] == ["-1", "9", "9.5", "10"]

    def test_only_what_is_asked_for_is_shown(self, db: Any) -> None:
        Shop(db, m={"a": 1, "b": 2}, l=[0, 1, 2], n=1, s="x")
        names = {"#m": "m"}
        answer = db.get_item(
            TableName="t", Key=KEY, ProjectionExpression="#m.a, l[2], l[0], nowhere",
            ExpressionAttributeNames=names,
        )  # fmt: skip
        assert answer["Item"] == {"m": plain({"a": 1}), "l": plain([0, 2])}
        assert self.ask(db, values={}, Select="COUNT").get("Items") is None


class TestTransactions:
    """Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

    ABSENT = "attribute_not_exists(pk)"

    def put(self, sk: str, **more: Any) -> dict[str, Any]:
        return {"Put": {"TableName": "t", "Item": {"pk": {"S": "a"}, "sk": {"S": sk}}, **more}}

    def test_all_is_done_or_nothing_and_each_action_has_its_reason(self, both: Reach) -> None:
        both.world.tables().make("t")
        db = both.client("dynamodb")
        Shop(db, n=5)
        actions = [
            self.put("new"),
            {"Update": {
                "TableName": "t", "Key": KEY, "UpdateExpression": "SET n = :v",
                "ConditionExpression": "n < :max", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                **bound({"v": 1, "max": 5}),
            }},
            {"ConditionCheck": {
                "TableName": "t", "Key": {"pk": {"S": "x"}, "sk": {"S": "x"}},
                "ConditionExpression": self.ABSENT,
            }},
        ]  # fmt: skip
        with pytest.raises(db.exceptions.TransactionCanceledException) as cancelled:
            db.transact_write_items(TransactItems=actions)
        assert cancelled.value.response["CancellationReasons"] == [
            {"Code": "None"},
            {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": item(n=5)},
            {"Code": "None"},
        ]  # fmt: skip
        assert cancelled.value.response["Error"]["Message"] == (
            "Transaction cancelled, please refer cancellation reasons for specific reasons "
            "[None, ConditionalCheckFailed, None]"
        )
        assert db.scan(TableName="t")["Count"] == 1

        actions[1]["Update"] |= bound({"v": 1, "max": 6})
        db.transact_write_items(TransactItems=actions)
        assert db.get_item(TableName="t", Key=KEY)["Item"] == item(n=1)
        assert db.scan(TableName="t")["Count"] == 2

    def test_a_delete_is_part_of_it(self, cloud: Reach, db: Any) -> None:
        Shop(db)
        db.transact_write_items(
            TransactItems=[{"Delete": {"TableName": "t", "Key": KEY}}, self.put("c")]
        )
        assert cloud.world.journal.of(Change.DELETED) == {"t/a/b": 1}
        assert cloud.world.journal.of(Change.WRITTEN) == {"t/a/b": 1, "t/a/c": 1}

    def test_the_same_token_does_it_once_within_ten_minutes(self, cloud: Reach, db: Any) -> None:
        add = {
            "Update": {
                "TableName": "t",
                "Key": KEY,
                "UpdateExpression": "ADD n :v",
                **bound({"v": 1}),
            }
        }
        request = {"TransactItems": [add], "ClientRequestToken": "once"}
        db.transact_write_items(**request)
        db.transact_write_items(**request)
        assert db.get_item(TableName="t", Key=KEY)["Item"] == item(n=1)
        other = partial(
            db.transact_write_items, TransactItems=[self.put("x")], ClientRequestToken="once"
        )
        assert code(other) == "IdempotentParameterMismatchException"
        cloud.world.clock.sleep(601)
        db.transact_write_items(**request)
        assert db.get_item(TableName="t", Key=KEY)["Item"] == item(n=2)

    def test_one_item_twice_and_more_than_100_are_refused(self, db: Any) -> None:
        twice = partial(db.transact_write_items, TransactItems=[self.put("x"), self.put("x")])
        assert "multiple operations on one item" in refusal(twice)[1]
        many = partial(
            db.transact_write_items, TransactItems=[self.put(str(n)) for n in range(101)]
        )
        assert code(many) == "ValidationException"
        db.transact_write_items(TransactItems=[self.put(str(n)) for n in range(100)])

    def test_a_conflict_is_a_reason_of_its_own(self, cloud: Reach, db: Any) -> None:
        cloud.world.fail("TransactWriteItems", Fault(kind=Kind.CONFLICT))
        with pytest.raises(db.exceptions.TransactionCanceledException) as cancelled:
            db.transact_write_items(TransactItems=[self.put("x")])
        (reason,) = cancelled.value.response["CancellationReasons"]
        assert reason["Code"] == "TransactionConflict"
        cloud.world.fail("PutItem", Fault(kind=Kind.CONFLICT))
        single = partial(db.put_item, TableName="t", Item=KEY)
        assert code(single) == "TransactionConflictException"


class TestReads:
    def test_a_late_read_is_late_and_a_consistent_one_is_not(self, cloud: Reach, db: Any) -> None:
        Shop(db, n=1)
        cloud.world.clock.sleep(10)
        Shop(db, n=2)
        stale = Fault(kind=Kind.STALE, seconds=5)
        cloud.world.fail("GetItem", stale, times=2)
        cloud.world.fail("Query", stale)
        cloud.world.fail("BatchGetItem", stale, times=2)
        get = partial(db.get_item, TableName="t", Key=KEY)
        assert get()["Item"] == item(n=1)
        assert get(ConsistentRead=True)["Item"] == item(n=2)
        query = db.query(TableName="t", KeyConditionExpression="pk = :p", **bound({"p": "a"}))
        assert query["Items"] == [item(n=1)]
        for consistent, n in ((False, 1), (True, 2)):
            asked = {"t": {"Keys": [KEY], "ConsistentRead": consistent}}
            answer = db.batch_get_item(RequestItems=asked)
            assert answer["Responses"]["t"] == [item(n=n)]

    def test_keys_may_be_left_unread(self, cloud: Reach, db: Any) -> None:
        Shop(db)
        cloud.world.fail("BatchGetItem", Fault(kind=Kind.UNPROCESSED))
        keys = [{"pk": {"S": "a"}, "sk": {"S": str(n)}} for n in range(9)]
        answer = db.batch_get_item(
            RequestItems={"t": {"Keys": [KEY, *keys], "ConsistentRead": True}}
        )
        left = answer["UnprocessedKeys"]["t"]
        assert 1 <= len(left["Keys"]) <= 10
        assert left["ConsistentRead"] is True

    @pytest.mark.parametrize(
        ("keys", "message"),
        [([KEY, KEY], "duplicates"), ([{"pk": {"S": "a"}}], "schema"), ([{**KEY, "sk": {"N": "1"}}], "schema")],
        ids=["twice", "half", "type"],
    )  # fmt: skip
    def test_keys_that_are_none_are_refused(self, db: Any, keys: list[Any], message: str) -> None:
        read = partial(db.batch_get_item, RequestItems={"t": {"Keys": keys}})
        assert message in refusal(read)[1]

    @pytest.mark.parametrize(
        "bad",
        [
            {"pk": {"S": "a"}}, {**KEY, "sk": {"S": ""}}, {**KEY, "x": {"SS": []}}, {**KEY, "x": {"NS": ["1", "1.0"]}},
            {**KEY, "x": {"N": "one"}}, {**KEY, "x": {"N": "1" * 39}}, {**KEY, "x": {"N": "1E126"}},
            {**KEY, "x": {"S": "x" * 410_000}},
        ],
        ids=lambda bad: str(bad)[:60],
    )  # fmt: skip
    def test_items_that_cannot_be_are_refused(self, db: Any, bad: dict[str, Any]) -> None:
        assert code(partial(db.put_item, TableName="t", Item=bad)) == "ValidationException"

    def test_a_table_that_is_not_there_is_an_error_and_one_that_is_cannot_be_made(
        self, db: Any
    ) -> None:
        nowhere = partial(db.get_item, TableName="missing", Key=KEY)
        assert code(nowhere) == "ResourceNotFoundException"
        again = partial(
            db.create_table, TableName="t", BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )  # fmt: skip
        assert code(again) == "ResourceInUseException"

    def test_a_hash_key_alone_is_a_key(self, cloud: Reach) -> None:
        cloud.world.tables().make("h", range_key=None)
        db = cloud.client("dynamodb")
        db.put_item(TableName="h", Item={"pk": {"S": "x"}, "n": {"N": "1"}})
        assert db.get_item(TableName="h", Key={"pk": {"S": "x"}})["Item"]["n"] == {"N": "1"}
        found = db.query(TableName="h", KeyConditionExpression="pk = :p", **bound({"p": "x"}))
        assert found["Count"] == 1
