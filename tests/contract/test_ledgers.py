"""What every ledger keeps, in memory or in DynamoDB."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from curfew.core.audit import Draft, EntryKind, broken
from curfew.core.errors import LedgerError
from curfew.core.target import Target
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.dynamodb.table import Table
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import Pause, Round, Watermark
from demo.world import TABLE, make_table
from tests.builders import HERE, NOW, an_id

TODAY = date(2026, 3, 4)
ELSEWHERE = replace(HERE, region="eu-west-1")
OTHER_ACCOUNT = replace(HERE, account="210987654321")


def draft(number: int = 1, kind: EntryKind = EntryKind.INTENT, sweep_id: str = "s") -> Draft:
    body = {"action": "terminate", "tags": {"Name": "ü\n=cmd()", "empty": ""}, "none": None}
    return Draft(kind=kind, sweep_id=sweep_id, instance_id=an_id(number), at=NOW, body=body)


class TestRounds:
    ROUND = Round(schedule="nightly", window=NOW, begun_at=NOW)

    def test_a_round_is_begun_by_whoever_is_first(self, ledger: Ledger) -> None:
        assert ledger.round("nightly") is None
        assert ledger.begin(self.ROUND, after=None)
        assert ledger.round("nightly") == self.ROUND
        assert ledger.round("leases") is None
        other = replace(self.ROUND, begun_at=NOW + timedelta(seconds=1))
        assert not ledger.begin(other, after=None)
        assert ledger.round("nightly") == self.ROUND

    def test_a_further_round_follows_on_the_last_that_its_beginner_knew(
        self, ledger: Ledger
    ) -> None:
        ledger.begin(self.ROUND, after=None)
        again = replace(self.ROUND, begun_at=NOW + timedelta(hours=1), tries=2)
        assert ledger.begin(again, after=self.ROUND)
        assert not ledger.begin(replace(again, tries=3), after=self.ROUND)
        assert ledger.round("nightly") == again

    def test_a_window_is_covered_by_the_targets_that_have_completed_it(
        self, ledger: Ledger
    ) -> None:
        def complete(target: Target, at: datetime, schedule: str = "nightly") -> None:
            mark = Watermark(
                sweep_id="s", completed_at=at, listed=1, schedule=schedule, scheduled_at=at
            )
            ledger.complete(target, "p", mark)

        later = NOW + timedelta(days=1)
        complete(HERE, NOW)
        complete(ELSEWHERE, later)
        complete(OTHER_ACCOUNT, NOW, "leases")
        ledger.complete(OTHER_ACCOUNT, "p", Watermark(sweep_id="s", completed_at=NOW, listed=1))

        assert ledger.covered("nightly", NOW) == {HERE, ELSEWHERE}
        assert ledger.covered("nightly", later) == {ELSEWHERE}
        assert ledger.covered("leases", NOW) == {OTHER_ACCOUNT}
        complete(ELSEWHERE, NOW)  # late: what is there stays
        assert ledger.covered("nightly", later) == {ELSEWHERE}


class TestPause:
    def test_it_is_released_at_first(self, ledger: Ledger) -> None:
        assert ledger.paused() is None

    def test_what_is_thrown_is_read_and_can_be_released_and_thrown_again(
        self, ledger: Ledger
    ) -> None:
        first = Pause(since=NOW, by="kim", reason="exam")
        ledger.pause(first)
        assert ledger.paused() == first
        ledger.resume()
        assert ledger.paused() is None
        ledger.pause(first)
        assert ledger.paused() == first


class TestFirstSeen:
    def test_only_the_first_word_counts(self, ledger: Ledger) -> None:
        later = NOW + timedelta(days=3)
        assert ledger.witness(HERE, [an_id(1)], NOW) == {an_id(1): NOW}
        assert ledger.witness(HERE, [an_id(1), an_id(2)], later) == {an_id(1): NOW, an_id(2): later}

    def test_regions_do_not_mix(self, ledger: Ledger) -> None:
        later = NOW + timedelta(days=3)
        ledger.witness(HERE, [an_id(1)], NOW)
        assert ledger.witness(ELSEWHERE, [an_id(1)], later) == {an_id(1): later}

    def test_more_than_one_read_holds_and_none_at_all(self, ledger: Ledger) -> None:
        ids = [an_id(n) for n in range(250)]
        assert ledger.witness(HERE, ids, NOW) == dict.fromkeys(ids, NOW)
        assert ledger.witness(HERE, ids, NOW + timedelta(1)) == dict.fromkeys(ids, NOW)
        assert ledger.witness(HERE, [], NOW) == {}


class TestDayBudget:
    def test_it_is_spent_to_the_last_and_no_further(self, ledger: Ledger) -> None:
        assert ledger.reserve(HERE, TODAY, 3, 5)
        assert not ledger.reserve(HERE, TODAY, 3, 5)
        assert ledger.reserve(HERE, TODAY, 2, 5)
        assert not ledger.reserve(HERE, TODAY, 1, 5)

    def test_regions_of_an_account_share_it(self, ledger: Ledger) -> None:
        assert ledger.reserve(HERE, TODAY, 5, 5)
        assert not ledger.reserve(ELSEWHERE, TODAY, 1, 5)
        assert ledger.reserve(OTHER_ACCOUNT, TODAY, 5, 5)

    def test_every_day_begins_anew(self, ledger: Ledger) -> None:
        assert ledger.reserve(HERE, TODAY, 5, 5)
        assert ledger.reserve(HERE, TODAY + timedelta(days=1), 5, 5)

    def test_zero_means_none(self, ledger: Ledger) -> None:
        assert not ledger.reserve(HERE, TODAY, 1, 0)

    def test_more_than_the_whole_is_refused_on_an_untouched_day(self, ledger: Ledger) -> None:
        assert not ledger.reserve(HERE, TODAY, 6, 5)
        assert ledger.reserve(HERE, TODAY, 5, 5)


class TestAudit:
    def test_entries_come_back_as_they_were_and_chained(self, ledger: Ledger) -> None:
        ledger.append(HERE, [draft(1), draft(2)])
        ledger.append(HERE, [draft(1, EntryKind.OUTCOME)])

        entries = list(ledger.entries(HERE))

        assert [e.draft for e in entries] == [draft(1), draft(2), draft(1, EntryKind.OUTCOME)]
        assert [e.number for e in entries] == [1, 2, 3]
        assert entries[2].previous == entries[1].hash
        assert broken(entries) is None

    def test_they_can_be_read_from_anywhere(self, ledger: Ledger) -> None:
        ledger.append(HERE, [draft(n) for n in range(1, 5)])
        assert [e.number for e in ledger.entries(HERE, after=2)] == [3, 4]
        assert list(ledger.entries(ELSEWHERE)) == []

    def test_more_than_one_transaction_holds(self, ledger: Ledger) -> None:
        ledger.append(HERE, [draft(n) for n in range(120)])
        entries = list(ledger.entries(HERE))
        assert [e.draft.instance_id for e in entries] == [an_id(n) for n in range(120)]
        assert broken(entries) is None

    def test_an_intent_is_open_until_its_own_outcome_is_there(self, ledger: Ledger) -> None:
        ledger.append(HERE, [draft(1), draft(2), draft(1, sweep_id="other")])
        assert [e.number for e in ledger.open_intents(HERE)] == [1, 2, 3]
        ledger.append(HERE, [draft(1, EntryKind.OUTCOME)])
        assert [e.number for e in ledger.open_intents(HERE)] == [2, 3]
        ledger.append(HERE, [draft(2, EntryKind.OUTCOME)])
        ledger.append(HERE, [draft(1, EntryKind.OUTCOME, sweep_id="other")])
        assert ledger.open_intents(HERE) == ()
        ledger.append(HERE, [draft(3)])
        assert [e.number for e in ledger.open_intents(HERE)] == [7]


class TestWatermark:
    def test_the_last_one_counts(self, ledger: Ledger) -> None:
        assert ledger.watermark(HERE, "nightly") is None
        mark = Watermark(sweep_id="a", completed_at=NOW, listed=3)
        ledger.complete(HERE, "nightly", mark)
        later = replace(mark, sweep_id="b")
        ledger.complete(HERE, "nightly", later)
        assert ledger.watermark(HERE, "nightly") == later
        assert ledger.watermark(HERE, "leases") is None
        assert ledger.watermark(ELSEWHERE, "nightly") is None

    def test_each_schedule_has_its_own_beside_the_last_of_all(self, ledger: Ledger) -> None:
        scheduled = Watermark(
            sweep_id="a", completed_at=NOW, listed=3, schedule="arn:x", scheduled_at=NOW
        )
        direct = Watermark(sweep_id="b", completed_at=NOW, listed=3)
        ledger.complete(HERE, "nightly", scheduled)
        assert ledger.watermark(HERE, "nightly") == scheduled
        ledger.complete(HERE, "nightly", direct)
        assert ledger.watermark(HERE, "nightly") == direct
        assert ledger.watermark(HERE, "nightly", "arn:x") == scheduled
        assert ledger.watermark(HERE, "nightly", "arn:y") is None

    def test_one_that_is_complete_later_and_meant_an_earlier_time_does_not_count(
        self, ledger: Ledger
    ) -> None:
        def mark(id_: str, hours: int, scheduled: int) -> Watermark:
            return Watermark(
                sweep_id=id_,
                completed_at=NOW + timedelta(hours=hours),
                listed=3,
                schedule="arn:x",
                scheduled_at=NOW + timedelta(hours=scheduled),
            )

        second, first = mark("second", 2, 1), mark("first", 3, 0)
        ledger.complete(HERE, "nightly", second)
        ledger.complete(HERE, "nightly", first)

        assert ledger.watermark(HERE, "nightly", "arn:x") == second
        assert ledger.watermark(HERE, "nightly") == first


class TestDynamoDb:
    """What only the real table can get wrong."""

    @mock_aws
    def test_without_its_table_every_call_is_a_ledger_error_that_names_it(self) -> None:
        ledger = DynamoLedger(boto3.client("dynamodb", HERE.region), "missing")
        calls: list[Callable[[], object]] = [
            ledger.paused,
            lambda: ledger.pause(Pause(since=NOW, by="k", reason="r")),
            ledger.resume,
            lambda: ledger.witness(HERE, [an_id(1)], NOW),
            lambda: ledger.reserve(HERE, TODAY, 1, 5),
            lambda: ledger.append(HERE, [draft()]),
            lambda: list(ledger.entries(HERE)),
            lambda: ledger.open_intents(HERE),
            lambda: ledger.watermark(HERE, "nightly"),
        ]
        for call in calls:
            with pytest.raises(LedgerError, match='"missing"'):
                call()

    @mock_aws
    def test_two_who_append_at_once_make_one_chain(self) -> None:
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        mine, theirs = DynamoLedger(client, TABLE), DynamoLedger(client, TABLE)
        overtaken: list[bool] = []

        def overtake(**_: object) -> None:
            if not overtaken:
                overtaken.append(True)
                theirs.append(HERE, [draft(2)])

        client.meta.events.register("before-call.dynamodb.TransactWriteItems", overtake)
        mine.append(HERE, [draft(1)])

        entries = list(mine.entries(HERE))
        assert [e.draft.instance_id for e in entries] == [an_id(2), an_id(1)]
        assert broken(entries) is None

    @mock_aws
    def test_whoever_comes_second_believes_who_saw_first(self) -> None:
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        ledger = DynamoLedger(client, TABLE)
        overtaken: list[bool] = []

        def overtake(**_: object) -> None:
            if not overtaken:
                overtaken.append(True)
                ledger.witness(HERE, [an_id(1)], NOW)

        client.meta.events.register("before-call.dynamodb.PutItem", overtake)
        later = NOW + timedelta(hours=1)

        assert ledger.witness(HERE, [an_id(1)], later) == {an_id(1): NOW}

    @mock_aws
    def test_a_pause_item_that_somebody_wrote_by_hand_pauses_or_stops_but_never_lets_pass(
        self,
    ) -> None:
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        ledger = DynamoLedger(client, TABLE)
        key = {"pk": {"S": "pause"}, "sk": {"S": "pause"}}
        client.put_item(TableName=TABLE, Item={**key, "on": {"S": "yes"}})

        with pytest.raises(LedgerError, match="has an item that cannot be read"):
            ledger.paused()

    @mock_aws
    def test_a_transaction_that_is_refused_for_another_reason_is_not_repeated(self) -> None:
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        tried: list[bool] = []

        def refuse(**_: object) -> None:
            tried.append(True)
            reasons = [{"Code": "ValidationError"}]
            answer: Any = {
                "Error": {"Code": "TransactionCanceledException", "Message": "no"},
                "CancellationReasons": reasons,
            }
            raise client.exceptions.TransactionCanceledException(answer, "TransactWriteItems")

        client.meta.events.register("before-call.dynamodb.TransactWriteItems", refuse)

        with pytest.raises(LedgerError):
            DynamoLedger(client, TABLE).append(HERE, [draft()])
        assert len(tried) == 1

    @mock_aws
    def test_tags_full_of_emoji_stay_far_below_what_a_transaction_may_hold(self) -> None:
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        sizes: list[int] = []

        def measure(params: dict[str, Any], **_: object) -> None:
            puts = [item["Put"]["Item"] for item in params["TransactItems"]]
            sizes.append(sum(len(str(v).encode()) for put in puts for v in put.values()))

        client.meta.events.register("provide-client-params.dynamodb.TransactWriteItems", measure)
        face = "\N{GRINNING FACE}"
        tags = {f"{n:02}" + face * 126: face * 256 for n in range(49)}
        full = replace(draft(), body={"action": "terminate", "tags": tags})

        DynamoLedger(client, TABLE).append(HERE, [full] * 20)

        assert max(sizes) < 2_000_000  # of 4 MB

    @mock_aws
    def test_every_read_is_consistent(self) -> None:
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        read: list[str] = []

        def check(params: dict[str, Any], model: Any, **_: object) -> None:
            asked = params.get("RequestItems", {TABLE: params})[TABLE]
            assert asked["ConsistentRead"] is True
            read.append(model.name)

        for operation in ("GetItem", "BatchGetItem", "Query"):
            client.meta.events.register(f"provide-client-params.dynamodb.{operation}", check)
        ledger = DynamoLedger(client, TABLE)
        ledger.paused()
        ledger.witness(HERE, [an_id(1)], NOW)
        ledger.append(HERE, [draft()])
        ledger.open_intents(HERE)
        ledger.watermark(HERE, "nightly")

        assert set(read) == {"GetItem", "BatchGetItem", "Query"}

    @mock_aws
    @pytest.mark.parametrize("times", [1, 99])
    def test_keys_that_were_left_unread_are_read_again_or_nothing_is_believed(
        self, times: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        ledger = DynamoLedger(client, TABLE)
        ids = [an_id(n) for n in range(5)]
        ledger.witness(HERE, ids, NOW)
        left = [times]

        def busy(parsed: dict[str, Any], **_: object) -> None:
            if left[0]:
                left[0] -= 1
                items = parsed["Responses"][TABLE]
                unread = [{"pk": item["pk"], "sk": item["sk"]} for item in items]
                parsed["Responses"] = {}
                parsed["UnprocessedKeys"] = {TABLE: {"Keys": unread, "ConsistentRead": True}}

        client.meta.events.register("after-call.dynamodb.BatchGetItem", busy)
        later = NOW + timedelta(days=1)

        if times == 1:
            assert ledger.witness(HERE, ids, later) == dict.fromkeys(ids, NOW)
        else:
            with pytest.raises(LedgerError, match="too busy"):
                ledger.witness(HERE, ids, later)

    @mock_aws
    def test_an_append_that_is_always_overtaken_is_given_up_and_said(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        make_table()
        client = boto3.client("dynamodb", HERE.region)
        other = DynamoLedger(boto3.client("dynamodb", HERE.region), TABLE)
        client.meta.events.register(
            "before-call.dynamodb.TransactWriteItems", lambda **_: other.append(HERE, [draft(2)])
        )

        with pytest.raises(LedgerError, match="other sweeps were first"):
            DynamoLedger(client, TABLE).append(HERE, [draft(1)])
        assert all(e.draft == draft(2) for e in other.entries(HERE))
