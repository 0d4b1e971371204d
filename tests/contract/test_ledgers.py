"""The contract of every ledger, in memory and in DynamoDB."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from curfew.core.audit import Draft, EntryKind, broken
from curfew.core.errors import LedgerError
from curfew.core.target import Target
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.dynamodb.table import Table
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import Pause, ScheduleRun, Watermark
from demo.world import TABLE
from tests.builders import HERE, NOW, an_id

TODAY = date(2026, 3, 4)
ELSEWHERE = replace(HERE, region="eu-west-1")
OTHER_ACCOUNT = replace(HERE, account="210987654321")


def draft(number: int = 1, kind: EntryKind = EntryKind.INTENT, sweep_id: str = "s") -> Draft:
    body = {"action": "terminate", "tags": {"Name": "ü\n=cmd()", "empty": ""}, "none": None}
    return Draft(kind=kind, sweep_id=sweep_id, instance_id=an_id(number), at=NOW, body=body)


class TestScheduleRuns:
    RUN = ScheduleRun(schedule="nightly", window=NOW, begun_at=NOW)

    def test_schedule_run_is_started_by_the_first_caller(self, ledger: Ledger) -> None:
        assert ledger.schedule_run("nightly") is None
        assert ledger.begin_schedule_run(self.RUN, after=None)
        assert ledger.schedule_run("nightly") == self.RUN
        assert ledger.schedule_run("leases") is None
        other = replace(self.RUN, begun_at=NOW + timedelta(seconds=1))
        assert not ledger.begin_schedule_run(other, after=None)
        assert ledger.schedule_run("nightly") == self.RUN

    def test_next_schedule_run_requires_the_latest_known_one(self, ledger: Ledger) -> None:
        ledger.begin_schedule_run(self.RUN, after=None)
        again = replace(self.RUN, begun_at=NOW + timedelta(hours=1), tries=2)
        assert ledger.begin_schedule_run(again, after=self.RUN)
        assert not ledger.begin_schedule_run(replace(again, tries=3), after=self.RUN)
        assert ledger.schedule_run("nightly") == again

    def test_window_is_covered_by_the_targets_that_completed_it(self, ledger: Ledger) -> None:
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

        assert ledger.completed_targets("nightly", NOW) == {HERE, ELSEWHERE}
        assert ledger.completed_targets("nightly", later) == {ELSEWHERE}
        assert ledger.completed_targets("leases", NOW) == {OTHER_ACCOUNT}
        complete(ELSEWHERE, NOW)  # a late call, which changes nothing
        assert ledger.completed_targets("nightly", later) == {ELSEWHERE}


class TestPause:
    def test_pause_switch_is_off_at_first(self, ledger: Ledger) -> None:
        assert ledger.paused() is None

    def test_pause_switch_is_read_back_released_and_set_again(self, ledger: Ledger) -> None:
        first = Pause(since=NOW, by="kim", reason="exam")
        ledger.pause(first)
        assert ledger.paused() == first
        ledger.resume()
        assert ledger.paused() is None
        ledger.pause(first)
        assert ledger.paused() == first


class TestFirstSeen:
    def test_first_seen_time_is_never_overwritten(self, ledger: Ledger) -> None:
        later = NOW + timedelta(days=3)
        assert ledger.record_first_seen(HERE, [an_id(1)], NOW) == {an_id(1): NOW}
        assert ledger.record_first_seen(HERE, [an_id(1), an_id(2)], later) == {
            an_id(1): NOW,
            an_id(2): later,
        }

    def test_first_seen_times_of_regions_do_not_mix(self, ledger: Ledger) -> None:
        later = NOW + timedelta(days=3)
        ledger.record_first_seen(HERE, [an_id(1)], NOW)
        assert ledger.record_first_seen(ELSEWHERE, [an_id(1)], later) == {an_id(1): later}

    def test_first_seen_handles_several_reads_and_an_empty_list(self, ledger: Ledger) -> None:
        ids = [an_id(n) for n in range(250)]
        assert ledger.record_first_seen(HERE, ids, NOW) == dict.fromkeys(ids, NOW)
        assert ledger.record_first_seen(HERE, ids, NOW + timedelta(1)) == dict.fromkeys(ids, NOW)
        assert ledger.record_first_seen(HERE, [], NOW) == {}


class TestDayBudget:
    def test_daily_budget_is_spent_to_the_last_and_no_further(self, ledger: Ledger) -> None:
        assert ledger.reserve(HERE, TODAY, 3, 5)
        assert not ledger.reserve(HERE, TODAY, 3, 5)
        assert ledger.reserve(HERE, TODAY, 2, 5)
        assert not ledger.reserve(HERE, TODAY, 1, 5)

    def test_regions_of_an_account_share_the_daily_budget(self, ledger: Ledger) -> None:
        assert ledger.reserve(HERE, TODAY, 5, 5)
        assert not ledger.reserve(ELSEWHERE, TODAY, 1, 5)
        assert ledger.reserve(OTHER_ACCOUNT, TODAY, 5, 5)

    def test_daily_budget_is_full_every_day(self, ledger: Ledger) -> None:
        assert ledger.reserve(HERE, TODAY, 5, 5)
        assert ledger.reserve(HERE, TODAY + timedelta(days=1), 5, 5)

    def test_daily_budget_of_zero_permits_nothing(self, ledger: Ledger) -> None:
        assert not ledger.reserve(HERE, TODAY, 1, 0)

    def test_more_than_the_daily_budget_is_refused_on_an_unused_day(self, ledger: Ledger) -> None:
        assert not ledger.reserve(HERE, TODAY, 6, 5)
        assert ledger.reserve(HERE, TODAY, 5, 5)


class TestAudit:
    def test_audit_entries_are_read_back_unchanged_and_chained(self, ledger: Ledger) -> None:
        ledger.append(HERE, [draft(1), draft(2)])
        ledger.append(HERE, [draft(1, EntryKind.OUTCOME)])

        entries = list(ledger.entries(HERE))

        assert [e.draft for e in entries] == [draft(1), draft(2), draft(1, EntryKind.OUTCOME)]
        assert [e.number for e in entries] == [1, 2, 3]
        assert entries[2].previous == entries[1].hash
        assert broken(entries) is None

    def test_audit_entries_can_be_read_from_any_number(self, ledger: Ledger) -> None:
        ledger.append(HERE, [draft(n) for n in range(1, 5)])
        assert [e.number for e in ledger.entries(HERE, after=2)] == [3, 4]
        assert list(ledger.entries(ELSEWHERE)) == []

    def test_entries_beyond_one_transaction_are_all_appended(self, ledger: Ledger) -> None:
        ledger.append(HERE, [draft(n) for n in range(120)])
        entries = list(ledger.entries(HERE))
        assert [e.draft.instance_id for e in entries] == [an_id(n) for n in range(120)]
        assert broken(entries) is None

    def test_intent_is_open_until_its_own_outcome_exists(self, ledger: Ledger) -> None:
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
    def test_last_watermark_counts(self, ledger: Ledger) -> None:
        assert ledger.watermark(HERE, "nightly") is None
        mark = Watermark(sweep_id="a", completed_at=NOW, listed=3)
        ledger.complete(HERE, "nightly", mark)
        later = replace(mark, sweep_id="b")
        ledger.complete(HERE, "nightly", later)
        assert ledger.watermark(HERE, "nightly") == later
        assert ledger.watermark(HERE, "leases") is None
        assert ledger.watermark(ELSEWHERE, "nightly") is None

    def test_each_schedule_has_a_watermark_beside_the_last_of_all(self, ledger: Ledger) -> None:
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

    def test_late_watermark_of_an_earlier_scheduled_time_does_not_count(
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
    """Cases that occur only with a real table."""

    def test_missing_table_gives_a_ledger_error_that_names_it(self, client: Any) -> None:
        ledger = DynamoLedger(client, "missing")
        calls: list[Callable[[], object]] = [
            ledger.paused,
            lambda: ledger.pause(Pause(since=NOW, by="k", reason="r")),
            ledger.resume,
            lambda: ledger.record_first_seen(HERE, [an_id(1)], NOW),
            lambda: ledger.reserve(HERE, TODAY, 1, 5),
            lambda: ledger.append(HERE, [draft()]),
            lambda: list(ledger.entries(HERE)),
            lambda: ledger.open_intents(HERE),
            lambda: ledger.watermark(HERE, "nightly"),
        ]
        for call in calls:
            with pytest.raises(LedgerError, match='"missing"'):
                call()

    def test_concurrent_appends_make_one_chain(self, client: Any) -> None:
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

    def test_second_observer_gets_the_first_seen_time_of_the_first(self, client: Any) -> None:
        ledger = DynamoLedger(client, TABLE)
        overtaken: list[bool] = []

        def overtake(**_: object) -> None:
            if not overtaken:
                overtaken.append(True)
                ledger.record_first_seen(HERE, [an_id(1)], NOW)

        client.meta.events.register("before-call.dynamodb.PutItem", overtake)
        later = NOW + timedelta(hours=1)

        assert ledger.record_first_seen(HERE, [an_id(1)], later) == {an_id(1): NOW}

    def test_manually_written_pause_item_pauses_or_fails_and_never_permits(
        self, client: Any
    ) -> None:
        ledger = DynamoLedger(client, TABLE)
        key = {"pk": {"S": "pause"}, "sk": {"S": "pause"}}
        client.put_item(TableName=TABLE, Item={**key, "on": {"S": "yes"}})

        with pytest.raises(LedgerError, match="has an item that cannot be read"):
            ledger.paused()

    def test_transaction_refused_for_another_reason_is_not_retried(self, client: Any) -> None:
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

    def test_tags_full_of_emoji_stay_far_below_the_transaction_limit(self, client: Any) -> None:
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

    def test_every_read_is_consistent(self, client: Any) -> None:
        read: list[str] = []

        def check(params: dict[str, Any], model: Any, **_: object) -> None:
            asked = params.get("RequestItems", {TABLE: params})[TABLE]
            assert asked["ConsistentRead"] is True
            read.append(model.name)

        for operation in ("GetItem", "BatchGetItem", "Query"):
            client.meta.events.register(f"provide-client-params.dynamodb.{operation}", check)
        ledger = DynamoLedger(client, TABLE)
        ledger.paused()
        ledger.record_first_seen(HERE, [an_id(1)], NOW)
        ledger.append(HERE, [draft()])
        ledger.open_intents(HERE)
        ledger.watermark(HERE, "nightly")

        assert set(read) == {"GetItem", "BatchGetItem", "Query"}

    @pytest.mark.parametrize("times", [1, 99])
    def test_unprocessed_keys_are_read_again_or_the_read_fails(
        self, client: Any, times: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        ledger = DynamoLedger(client, TABLE)
        ids = [an_id(n) for n in range(5)]
        ledger.record_first_seen(HERE, ids, NOW)
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
            assert ledger.record_first_seen(HERE, ids, later) == dict.fromkeys(ids, NOW)
        else:
            with pytest.raises(LedgerError, match="too busy"):
                ledger.record_first_seen(HERE, ids, later)

    def test_append_that_is_always_overtaken_fails_with_an_error(
        self, client: Any, monkeypatch: pytest.MonkeyPatch, make_client: Callable[[], Any]
    ) -> None:
        monkeypatch.setattr(Table, "wait", lambda *_: None)
        other = DynamoLedger(make_client(), TABLE)
        client.meta.events.register(
            "before-call.dynamodb.TransactWriteItems", lambda **_: other.append(HERE, [draft(2)])
        )

        with pytest.raises(LedgerError, match="other sweeps were first"):
            DynamoLedger(client, TABLE).append(HERE, [draft(1)])
        assert all(e.draft == draft(2) for e in other.entries(HERE))
