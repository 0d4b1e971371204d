"""DynamoDB's conditions and updates, as its guide has them.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html and the pages below it
"""

from functools import partial
from typing import Any

import pytest

from tests.simulator.asking import refusal
from tests.simulator.conftest import Reach
from tests.simulator.items import KEY, Shop, bound, item, plain


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
    def test_condition_expressions_mean_what_the_guide_says(
        self, db: Any, condition: str, values: dict[str, Any], *, expected: bool
    ) -> None:
        shop = Shop(db, n=5, s="hello", l=["x", 1], tags={"x", "y"}, m={"deep": [0, "hello"]})
        assert shop.holds(condition, **values) is expected

    def test_equal_numbers_may_be_written_in_different_ways(self, db: Any) -> None:
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
    def test_an_invalid_expression_is_a_validation_error_with_its_reason(
        self, db: Any, wrong: dict[str, Any], message: str
    ) -> None:
        Shop(db, n=5, s="x")
        said, why, _ = refusal(partial(db.update_item, TableName="t", Key=KEY, **wrong))
        assert said == "ValidationException"
        assert message in why

    def test_a_failed_condition_shows_the_item_on_request(self, both: Reach) -> None:
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
            ("SET n = l[0], x = n", {}, {"n": "a", "x": 5}),
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
    def test_update_expressions_do_what_the_guide_says(
        self, db: Any, update: str, values: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        start = {"n": 5, "l": ["a", "b", "c"], "m": {"y": 1}, "tags": {"x", "y"}}
        after = Shop(db, **start).after(update, **values)
        wanted = {name: plain(v) for name, v in (start | expected).items() if v is not None}
        for there in (after, wanted):
            if "tags" in there:
                there["tags"] = {"SS": sorted(there["tags"]["SS"])}
        assert after == wanted

    def test_an_update_makes_a_missing_item(self, db: Any) -> None:
        db.update_item(TableName="t", Key=KEY, UpdateExpression="ADD n :v", **bound({"v": 1}))
        assert db.get_item(TableName="t", Key=KEY)["Item"] == item(n=1)

    def test_an_update_returns_the_requested_values(self, db: Any) -> None:
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
        one = {"UpdateExpression": "ADD n :v", "ReturnValues": "UPDATED_NEW", **bound({"v": 1})}
        answer = db.update_item(TableName="t", Key=KEY, **one)
        assert answer["Attributes"] == {"n": {"N": "9" * 38}}
