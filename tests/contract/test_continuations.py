"""The contract of every ledger for the continuations of sweeps, in memory and in DynamoDB."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.core.errors import LedgerError
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import Continuation, ContinuationPhase
from demo.world import TABLE
from tests.builders import HERE, NOW, an_id
from tests.contract.dynamo import client_of, lose_the_first_answer, overtake
from tests.contract.test_plans import an_action

type Pair = tuple[DynamoLedger, DynamoLedger]


def a_continuation(id_: str = "s-attempt-1", **more: Any) -> Continuation:
    ordinary: dict[str, Any] = {
        "id": id_,
        "root_sweep_id": "s",
        "sweep_id": "s",
        "attempt": 1,
        "policy": "nightly",
        "policy_version": "abc",
        "target": HERE,
        "made_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "listed": 60,
    }
    return Continuation(**(ordinary | more))


def saved(ledger: Ledger, *numbers: int) -> Continuation:
    continuation = a_continuation()
    ledger.continuations.save(continuation, [an_action(number) for number in numbers])
    return continuation


def read(ledger: Ledger, continuation: Continuation) -> None:
    ledger.continuations.get(continuation.id)
    ledger.continuations.actions(continuation)


class TestRecord:
    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"schedule": "nightly", "scheduled_at": NOW - timedelta(microseconds=1)},
            {"attempt": 8, "sweep_id": "t", "troubled": True, "listed": 0},
            {"phase": ContinuationPhase.RESUMED, "resumed_by": "t"},
        ],
    )
    def test_continuation_is_read_back_unchanged(
        self, ledger: Ledger, more: dict[str, Any]
    ) -> None:
        continuation = a_continuation(**more)
        assert ledger.continuations.get(continuation.id) is None
        ledger.continuations.save(continuation, [])
        assert ledger.continuations.get(continuation.id) == continuation
        assert ledger.continuations.actions(continuation) == ()

    @pytest.mark.parametrize("count", [1, 25, 26, 120])
    def test_actions_are_read_back_in_id_order(self, ledger: Ledger, count: int) -> None:
        continuation = saved(ledger, *reversed(range(count)))
        assert ledger.continuations.actions(continuation) == tuple(map(an_action, range(count)))

    def test_continuation_saved_again_stays_unchanged(self, ledger: Ledger) -> None:
        continuation = saved(ledger, 1)
        assert ledger.continuations.begin(continuation, "t")
        saved(ledger, 1, 2)
        found = ledger.continuations.get(continuation.id)
        assert found == replace(continuation, phase=ContinuationPhase.RESUMED, resumed_by="t")
        assert ledger.continuations.actions(continuation) == (an_action(1),)

    def test_actions_of_continuations_do_not_mix(self, ledger: Ledger) -> None:
        continuation = saved(ledger, 1)
        other = a_continuation("s-attempt-11")
        ledger.continuations.save(other, [an_action(2)])
        assert ledger.continuations.actions(continuation) == (an_action(1),)
        assert ledger.continuations.actions(other) == (an_action(2),)

    def test_continuation_is_no_plan(self, ledger: Ledger) -> None:
        continuation = saved(ledger, 1)
        assert ledger.plans.get(continuation.id) is None


class TestResuming:
    def test_only_the_first_sweep_begins(self, ledger: Ledger) -> None:
        continuation = saved(ledger, 1)
        assert ledger.continuations.begin(continuation, "t")
        for by in ("t", "u"):
            assert not ledger.continuations.begin(continuation, by)
        assert not ledger.continuations.begin(a_continuation("unknown"), "t")
        assert ledger.continuations.get("unknown") is None

    def test_ended_continuation_cannot_begin_again(self, ledger: Ledger) -> None:
        continuation = saved(ledger, 1)
        assert ledger.continuations.begin(continuation, "t")
        ledger.continuations.end(continuation)
        found = ledger.continuations.get(continuation.id)
        assert found == replace(continuation, phase=ContinuationPhase.ENDED, resumed_by="t")
        assert not ledger.continuations.begin(continuation, "u")

    def test_end_of_an_unknown_continuation_records_nothing(self, ledger: Ledger) -> None:
        ledger.continuations.end(a_continuation("unknown"))
        assert ledger.continuations.get("unknown") is None


class TestDynamoDb:
    """Cases that occur only with a real table."""

    def test_one_of_two_concurrent_sweeps_begins(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        continuation = saved(mine, 1)
        begun = overtake(mine, "UpdateItem", lambda: theirs.continuations.begin(continuation, "t"))
        assert not mine.continuations.begin(continuation, "t")
        assert begun

    def test_lost_response_to_begin_still_begins_once(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        continuation = saved(mine, 1)
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.continuations.begin(continuation, "t")
        assert lost
        assert not mine.continuations.begin(continuation, "t")

    @pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems"])
    def test_lost_response_to_save_still_saves(self, ledger_pair: Pair, operation: str) -> None:
        mine, _ = ledger_pair
        lost = lose_the_first_answer(mine, operation)
        continuation = saved(mine, 1)
        assert lost
        assert mine.continuations.get(continuation.id) == continuation
        assert mine.continuations.actions(continuation) == (an_action(1),)

    def test_continuation_is_stored_after_all_its_actions(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        steps: list[Continuation | None] = []

        def look(**_: object) -> None:
            steps.append(theirs.continuations.get("s-attempt-1"))

        client_of(mine).meta.events.register("before-call.dynamodb.TransactWriteItems", look)
        saved(mine, *range(120))
        assert steps == [None] * 5

    def test_every_item_expires_after_thirty_days(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        continuation = saved(mine, 1, 2)
        mine.continuations.begin(continuation, "t")
        mine.continuations.end(continuation)
        items = client_of(mine).scan(TableName=TABLE)["Items"]
        thirty_days = str(int((NOW + timedelta(days=30)).timestamp()))
        assert [item["expires"]["N"] for item in items] == [thirty_days] * 3

    @pytest.mark.parametrize(
        ("sk", "name", "value"),
        [
            ("continuation", "phase", {"S": "flying"}),
            ("continuation", "made_at", {"S": "now"}),
            ("continuation", "attempt", {"S": "1"}),
            (f"action#{an_id(1)}", "instance", {"S": "{"}),
            (f"action#{an_id(1)}", "action", {"S": "dance"}),
        ],
    )
    def test_manually_changed_item_is_a_ledger_error(
        self, ledger_pair: Pair, sk: str, name: str, value: Any
    ) -> None:
        mine, _ = ledger_pair
        continuation = saved(mine, 1)
        client_of(mine).update_item(
            TableName=TABLE,
            Key={"pk": {"S": f"continuation#{continuation.id}"}, "sk": {"S": sk}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": value},
        )
        with pytest.raises(LedgerError, match=TABLE):
            read(mine, continuation)
