"""DynamoDB's queries, transactions and reads, as its reference has them.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any

import pytest

from curfew_simulator.cloud.faults import Fault, FaultKind
from curfew_simulator.cloud.history import Change
from tests.simulator.asking import code, refusal
from tests.simulator.conftest import Reach
from tests.simulator.items import KEY, Shop, bound, item, plain


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
    def test_key_conditions_select_items(
        self, db: Any, key: str, values: dict[str, str], expected: int
    ) -> None:
        self.fill(db)
        given = {name: {"S": value} for name, value in values.items()}
        assert self.ask(db, key, values=given)["Count"] == expected

    @pytest.mark.parametrize(
        "key",
        ["sk = :p", "pk > :p", "pk = :p OR sk = :p", "pk = :p AND contains(sk, :p)", "pk <> :p"],
    )
    def test_other_key_conditions_are_refused(self, db: Any, key: str) -> None:
        assert code(partial(self.ask, db, key)) == "ValidationException"

    @pytest.mark.parametrize(
        "key", ["pk = :p", "sk < :p", "attribute_exists(sk)", "even = :no OR (NOT #sk IN (:p))"]
    )
    def test_a_filter_on_a_key_attribute_is_refused(self, db: Any, key: str) -> None:
        self.fill(db)
        values = {":no": {"BOOL": False}} if ":no" in key else {}
        names: Any = {"ExpressionAttributeNames": {"#sk": "sk"}} if "#sk" in key else {}
        answer = refusal(partial(self.ask, db, FilterExpression=key, values=values, **names))
        assert answer[0] == "ValidationException"
        assert answer[1].startswith(
            "Filter Expression can only contain non-primary key attributes: Primary key attribute:"
        )

    def test_a_scan_may_filter_on_a_key_attribute(self, db: Any) -> None:
        self.fill(db)
        found = db.scan(TableName="t", FilterExpression="pk = :p", **bound({"p": "p"}))
        assert found["Count"] == 7

    @pytest.mark.parametrize("type_", ["S", "N", "B"])
    def test_a_key_condition_finds_what_the_same_filter_of_a_scan_finds(
        self, cloud: Reach, type_: str
    ) -> None:
        cloud.world.tables().make("k", sk=type_)
        db, rng = cloud.client("dynamodb"), Random(type_)  # noqa: S311  the same keys each time

        def a_key() -> dict[str, Any]:
            if type_ == "N":
                return {"N": str(rng.randint(-9, 9))}
            text = "".join(rng.choices("ab\xff", k=rng.randint(1, 3)))
            return {"S": text} if type_ == "S" else {"B": text.encode("latin-1")}

        conditions = [f"sk {operator} :a" for operator in ("=", "<", "<=", ">", ">=")]
        conditions += ["sk BETWEEN :a AND :b"] + ["begins_with(sk, :a)"] * (type_ != "N")
        for _ in range(40):
            key = {"pk": {"S": "p"}, "sk": a_key()}
            if rng.random() < 0.3:
                db.delete_item(TableName="k", Key=key)
            else:
                db.put_item(TableName="k", Item=key)
            for condition in conditions:
                low, high = sorted(
                    (a_key(), a_key()), key=lambda v: float(v["N"]) if "N" in v else [*v.values()]
                )
                values = {":a": low} | ({":b": high} if ":b" in condition else {})
                scanned = db.scan(
                    TableName="k", FilterExpression=condition, ExpressionAttributeValues=values
                )
                queried = db.query(
                    TableName="k",
                    KeyConditionExpression=f"pk = :p AND {condition}",
                    ExpressionAttributeValues={":p": {"S": "p"}, **values},
                )
                assert queried["Items"] == scanned["Items"]

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

    def test_a_query_shows_only_the_requested_attributes(self, db: Any) -> None:
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

    def test_a_transaction_is_all_or_nothing_with_a_reason_for_each_action(
        self, both: Reach
    ) -> None:
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

    def test_a_transaction_may_delete(self, cloud: Reach, db: Any) -> None:
        Shop(db)
        db.transact_write_items(
            TransactItems=[{"Delete": {"TableName": "t", "Key": KEY}}, self.put("c")]
        )
        assert cloud.world.history.of(Change.DELETED) == {"t/a/b": 1}
        assert cloud.world.history.of(Change.WRITTEN) == {"t/a/b": 1, "t/a/c": 1}

    def test_the_same_token_runs_a_transaction_once_within_ten_minutes(
        self, cloud: Reach, db: Any
    ) -> None:
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

    def test_a_transaction_with_one_item_twice_or_more_than_100_is_refused(self, db: Any) -> None:
        twice = partial(db.transact_write_items, TransactItems=[self.put("x"), self.put("x")])
        assert "multiple operations on one item" in refusal(twice)[1]
        many = partial(
            db.transact_write_items, TransactItems=[self.put(str(n)) for n in range(101)]
        )
        assert code(many) == "ValidationException"
        db.transact_write_items(TransactItems=[self.put(str(n)) for n in range(100)])

    def test_a_conflict_is_a_reason_of_its_own(self, cloud: Reach, db: Any) -> None:
        cloud.world.fail("TransactWriteItems", Fault(kind=FaultKind.CONFLICT))
        with pytest.raises(db.exceptions.TransactionCanceledException) as cancelled:
            db.transact_write_items(TransactItems=[self.put("x")])
        (reason,) = cancelled.value.response["CancellationReasons"]
        assert reason["Code"] == "TransactionConflict"
        cloud.world.fail("PutItem", Fault(kind=FaultKind.CONFLICT))
        single = partial(db.put_item, TableName="t", Item=KEY)
        assert code(single) == "TransactionConflictException"


def test_one_of_many_concurrent_writers_wins(both: Reach) -> None:
    both.world.tables().make("t")
    db = both.client("dynamodb")

    def claim(number: int) -> bool:
        mine = {"ConditionExpression": "attribute_not_exists(pk)"}
        try:
            db.put_item(TableName="t", Item=item(by=number), **mine)
        except db.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(40)))
    assert won.count(True) == 1
    assert db.get_item(TableName="t", Key=KEY)["Item"] == item(by=won.index(True))
    assert len(both.world.history.made("PutItem")) == 40


class TestReads:
    def test_a_consistent_read_is_never_stale(self, cloud: Reach, db: Any) -> None:
        Shop(db, n=1)
        cloud.world.clock.sleep(10)
        Shop(db, n=2)
        stale = Fault(kind=FaultKind.STALE, seconds=5)
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

    def test_batch_get_may_leave_keys_unprocessed(self, cloud: Reach, db: Any) -> None:
        Shop(db)
        cloud.world.fail("BatchGetItem", Fault(kind=FaultKind.UNPROCESSED))
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
    def test_invalid_keys_are_refused(self, db: Any, keys: list[Any], message: str) -> None:
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
    def test_invalid_items_are_refused(self, db: Any, bad: dict[str, Any]) -> None:
        assert code(partial(db.put_item, TableName="t", Item=bad)) == "ValidationException"

    def test_a_missing_table_and_a_second_create_are_errors(self, db: Any) -> None:
        nowhere = partial(db.get_item, TableName="missing", Key=KEY)
        assert code(nowhere) == "ResourceNotFoundException"
        again = partial(
            db.create_table, TableName="t", BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )  # fmt: skip
        assert code(again) == "ResourceInUseException"

    def test_return_values_that_only_an_update_has_are_refused_before_a_write(
        self, db: Any
    ) -> None:
        put = partial(db.put_item, TableName="t", Item=KEY, ReturnValues="ALL_NEW")
        assert code(put) == "ValidationException"
        assert db.scan(TableName="t")["Count"] == 0

    def test_a_hash_key_alone_is_a_key(self, cloud: Reach) -> None:
        cloud.world.tables().make("h", range_key=None)
        db = cloud.client("dynamodb")
        db.put_item(TableName="h", Item={"pk": {"S": "x"}, "n": {"N": "1"}})
        assert db.get_item(TableName="h", Key={"pk": {"S": "x"}})["Item"]["n"] == {"N": "1"}
        found = db.query(TableName="h", KeyConditionExpression="pk = :p", **bound({"p": "x"}))
        assert found["Count"] == 1
