"""The contract of every ledger for stored plans, in memory and in DynamoDB."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.core.errors import LedgerError
from curfew.core.instance import ActionKind, Instance, State, Volume
from curfew.core.lease import Lease
from curfew.core.plan import Action, Kept, Plan
from curfew.core.report import Outcome, Report, Result, Status
from curfew.core.target import Mode
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import PlanPhase, StoredPlan, Verdict
from demo.world import TABLE
from tests.builders import HERE, NOW, a_policy, an_id, an_instance
from tests.contract.dynamo import client_of, lose_the_first_answer, overtake

type Pair = tuple[DynamoLedger, DynamoLedger]


def a_record(id_: str = "p1", **more: Any) -> StoredPlan:
    ordinary: dict[str, Any] = {
        "id": id_,
        "policy": "nightly",
        "policy_version": "abc",
        "target": HERE,
        "asked_by": "kim",
        "made_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
    }
    return StoredPlan(**(ordinary | more))


def an_action(number: int = 1, **more: Any) -> Action:
    instance = an_instance(number, **more)
    return Action(instance=instance, kind=ActionKind.TERMINATE, rule="selected", reason="is ü")


def a_kept(number: int = 1) -> Kept:
    return Kept(instance=an_instance(number), rule="protected-tag", reason="has curfew:keep")


def a_report(*verdicts: Action | Kept, outcomes: tuple[Outcome, ...] = ()) -> Report:
    plan = Plan(
        policy=a_policy(),
        made_at=NOW,
        actions=tuple(v for v in verdicts if isinstance(v, Action)),
        kept=tuple(v for v in verdicts if isinstance(v, Kept)),
    )
    return Report(
        sweep_id="s",
        target=HERE,
        policy="nightly",
        mode=Mode.REPORT,
        status=Status.COMPLETED,
        started_at=NOW,
        finished_at=NOW,
        plan=plan,
        outcomes=outcomes,
    )


def planned(ledger: Ledger, *verdicts: Action | Kept) -> StoredPlan:
    """Return a stored plan that can be applied."""
    ledger.plans.open(a_record())
    record = a_record(phase=PlanPhase.PLANNED, hash="h")
    ledger.plans.save(record, a_report(*verdicts))
    return record


class TestRecord:
    def test_plan_record_is_read_back_unchanged(self, ledger: Ledger) -> None:
        record = a_record(
            phase=PlanPhase.ENDED,
            hash="h",
            applied_by="ali",
            summary={"listed": 3, "by_rule": {"selected": [1, 2.5, None, True]}, "ü": "\n"},
        )
        assert ledger.plans.get("p1") is None
        ledger.plans.open(record)
        assert ledger.plans.get("p1") == record
        assert ledger.plans.get("p2") is None

    def test_plan_opened_again_stays_unchanged(self, ledger: Ledger) -> None:
        record = planned(ledger, an_action())
        ledger.plans.open(a_record())
        assert ledger.plans.get("p1") == record


class TestVerdicts:
    @pytest.mark.parametrize("count", [0, 1, 10, 11, 26, 120])
    def test_verdicts_are_listed_once_in_id_order(self, ledger: Ledger, count: int) -> None:
        verdicts = [a_kept(n) if n % 3 else an_action(n) for n in range(count)]
        record = planned(ledger, *reversed(verdicts))
        shown: list[Verdict] = []
        after, pages = "", 0
        while pages == 0 or after:
            page = ledger.plans.verdicts(record, limit=10, after=after)
            shown += page.items
            after, pages = page.after, pages + 1
        assert shown == [Verdict(judged=judged) for judged in verdicts]
        assert pages == max(1, -(-count // 10))

    def test_instance_of_a_verdict_is_read_back_unchanged(self, ledger: Ledger) -> None:
        lease = Lease(fleet="dev", launch_id="op", owner="kim", expires_at=NOW)
        volume = Volume(id="vol-1", device="/dev/xvda", delete_on_termination=False)
        full = Instance(
            id=an_id(1),
            target=HERE,
            zone="eu-central-1a",
            state=State.STOPPED,
            instance_type="t2.micro",
            image="ami-1",
            started_at=NOW,
            first_seen_at=NOW - timedelta(microseconds=1),
            tags={"Name": "ü\n=cmd()", "empty": ""},
            lifecycle="spot",
            spot_request="sir-1",
            managed_by="eks",
            root_device="instance-store",
            volumes=(volume, replace(volume, id="vol-2")),
            state_reason="User initiated",
            ambiguous=("env",),
            locked=True,
            lease=lease,
            launching="lab",
        )
        plain = an_instance(2, started_at=None)
        same = [f.name for f in fields(Instance) if getattr(full, f.name) == getattr(plain, f.name)]
        assert same == ["target", "zone", "instance_type"], (
            "the instance is full of what is its own"
        )
        kept = [Kept(instance=i, rule="r", reason="why") for i in (full, plain)]
        record = planned(ledger, *kept)
        shown = ledger.plans.verdicts(record, limit=9).items
        assert [verdict.judged for verdict in shown] == kept

    def test_verdicts_of_plans_do_not_mix(self, ledger: Ledger) -> None:
        record = planned(ledger, an_action(1))
        other = a_record("p11", phase=PlanPhase.PLANNED)
        ledger.plans.save(other, a_report(an_action(2)))
        for plan, number in ((record, 1), (other, 2)):
            shown = ledger.plans.verdicts(plan, limit=9).items
            assert [v.judged.instance.id for v in shown] == [an_id(number)]

    def test_report_without_a_plan_has_no_verdicts(self, ledger: Ledger) -> None:
        record = a_record(phase=PlanPhase.ENDED)
        ledger.plans.save(record, replace(a_report(), plan=None))
        assert ledger.plans.get("p1") == record
        assert ledger.plans.verdicts(record, limit=9).items == ()


class TestApplying:
    def test_only_the_first_caller_begins_to_apply(self, ledger: Ledger) -> None:
        record = planned(ledger, an_action())
        assert ledger.plans.begin(record, "ali")
        assert ledger.plans.get("p1") == replace(record, phase=PlanPhase.APPLYING, applied_by="ali")
        for by in ("ali", "kim"):
            assert not ledger.plans.begin(record, by)
        applying = ledger.plans.get("p1")
        assert applying
        assert applying.applied_by == "ali"

    @pytest.mark.parametrize("phase", [PlanPhase.PLANNING, PlanPhase.APPLYING, PlanPhase.ENDED])
    def test_plan_that_is_not_planned_cannot_be_applied(
        self, ledger: Ledger, phase: PlanPhase
    ) -> None:
        record = a_record(phase=phase)
        ledger.plans.open(record)
        assert not ledger.plans.begin(record, "ali")
        assert ledger.plans.get("p1") == record
        assert not ledger.plans.begin(a_record("unknown"), "ali")
        assert ledger.plans.get("unknown") is None

    def test_plan_created_a_second_time_comes_too_late(self, ledger: Ledger) -> None:
        record = planned(ledger, an_action(1))
        again = replace(record, hash="other")
        ledger.plans.save(again, a_report(a_kept(1), an_action(2)))
        assert ledger.plans.get("p1") == record
        assert ledger.plans.begin(record, "ali")
        ledger.plans.save(again, a_report(a_kept(1), an_action(2)))
        assert not ledger.plans.begin(record, "kim")
        shown = ledger.plans.verdicts(record, limit=9).items
        assert shown == (Verdict(judged=an_action(1)),)

    def test_outcome_is_stored_with_each_action(self, ledger: Ledger) -> None:
        actions = [an_action(n) for n in range(60)]
        record = planned(ledger, *actions, a_kept(60))
        assert ledger.plans.begin(record, "ali")
        outcomes = tuple(
            Outcome(action=action, result=Result.VERIFIED, detail=f"ü {n}")
            for n, action in enumerate(actions)
        )
        after = replace(record, phase=PlanPhase.ENDED, applied_by="ali", summary={"verified": 60})
        ledger.plans.finish(after, a_report(*actions, a_kept(60), outcomes=outcomes))

        assert ledger.plans.get("p1") == after
        shown = ledger.plans.verdicts(record, limit=99).items
        assert shown == (
            *(Verdict(judged=outcome.action, outcome=outcome) for outcome in outcomes),
            Verdict(judged=a_kept(60)),
        )


class TestDynamoDb:
    """Cases that occur only with a real table."""

    def test_one_of_two_concurrent_callers_begins(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        record = planned(mine, an_action())
        begun = overtake(mine, "UpdateItem", lambda: theirs.plans.begin(record, "ali"))
        assert not mine.plans.begin(record, "ali")
        assert begun

    def test_lost_response_to_begin_still_begins_once(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        record = planned(mine, an_action())
        lost = lose_the_first_answer(mine, "UpdateItem")
        assert mine.plans.begin(record, "ali")
        assert lost
        assert not mine.plans.begin(record, "ali")

    @pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems"])
    def test_lost_response_to_save_still_saves_the_plan(
        self, ledger_pair: Pair, operation: str
    ) -> None:
        mine, _ = ledger_pair
        lost = lose_the_first_answer(mine, operation)
        record = planned(mine, an_action())
        assert lost
        assert mine.plans.get("p1") == record
        assert mine.plans.begin(record, "ali")

    def test_plan_is_planned_only_once_all_its_verdicts_are_stored(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        steps: list[PlanPhase | None] = []

        def look(**_: object) -> None:
            found = theirs.plans.get("p1")
            steps.append(found.phase if found else None)

        client_of(mine).meta.events.register("before-call.dynamodb.TransactWriteItems", look)
        planned(mine, *(an_action(n) for n in range(120)))
        assert len(steps) > 1
        assert set(steps) == {PlanPhase.PLANNING}

    def test_verdicts_are_not_overwritten_after_applying_began(self, ledger_pair: Pair) -> None:
        """Two callers make the same plan, and the first plan is applied while the second is being written."""
        mine, theirs = ledger_pair
        mine.plans.open(a_record())
        record = a_record(phase=PlanPhase.PLANNED, hash="theirs")

        def first() -> None:
            theirs.plans.save(record, a_report(an_action(1)))
            theirs.plans.begin(record, "ali")

        overtake(mine, "TransactWriteItems", first)
        mine.plans.save(replace(record, hash="mine"), a_report(a_kept(1), a_kept(2)))

        found = mine.plans.get("p1")
        assert found
        assert (found.phase, found.hash) == (PlanPhase.APPLYING, "theirs")
        shown = mine.plans.verdicts(record, limit=9).items
        assert shown == (Verdict(judged=an_action(1)),)

    def test_plan_record_is_not_overwritten_after_applying_began(self, ledger_pair: Pair) -> None:
        mine, theirs = ledger_pair
        mine.plans.open(a_record())
        record = a_record(phase=PlanPhase.PLANNED, hash="theirs")

        def first() -> None:
            theirs.plans.save(record, a_report(an_action(1)))
            theirs.plans.begin(record, "ali")

        overtake(mine, "PutItem", first)
        mine.plans.save(replace(record, hash="mine"), a_report(an_action(1)))
        assert not mine.plans.begin(record, "kim")

    def test_longest_tags_stay_below_the_transaction_limit(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        sizes: list[int] = []

        def measure(params: dict[str, Any], **_: object) -> None:
            puts = [item["Put"]["Item"] for item in params["TransactItems"] if "Put" in item]
            sizes.append(sum(len(str(v).encode()) for put in puts for v in put.values()))

        client_of(mine).meta.events.register(
            "provide-client-params.dynamodb.TransactWriteItems", measure
        )
        face = "\N{GRINNING FACE}"
        tags = {f"{n:02}" + face * 126: face * 256 for n in range(50)}
        planned(mine, *(an_action(n, tags=tags) for n in range(30)))
        assert max(sizes) < 3_000_000  # of 4 MB

    def test_every_item_of_a_plan_expires_after_thirty_days(self, ledger_pair: Pair) -> None:
        mine, _ = ledger_pair
        record = planned(mine, an_action(1), an_action(2))
        mine.plans.begin(record, "ali")
        outcome = Outcome(action=an_action(1), result=Result.VERIFIED)
        mine.plans.finish(record, a_report(outcomes=(outcome,)))
        items = client_of(mine).scan(TableName=TABLE)["Items"]
        thirty_days = str(int((NOW + timedelta(days=30)).timestamp()))
        assert [item["expires"]["N"] for item in items] == [thirty_days] * 3

    @pytest.mark.parametrize(
        ("sk", "name", "value"),
        [
            ("plan", "phase", {"S": "flying"}),
            ("plan", "made_at", {"S": "now"}),
            ("plan", "summary", {"S": "[]"}),
            ("plan", "policy", {"BOOL": True}),
            (f"verdict#{an_id(1)}", "instance", {"S": "{"}),
            (f"verdict#{an_id(1)}", "instance", {"S": "[]"}),
            (f"verdict#{an_id(1)}", "instance", {"S": '{"id": "i-1"}'}),
            (f"verdict#{an_id(1)}", "action", {"S": "dance"}),
            (f"verdict#{an_id(1)}", "result", {"S": "fine"}),
        ],
    )
    def test_manually_changed_item_is_a_ledger_error(
        self, ledger_pair: Pair, sk: str, name: str, value: Any
    ) -> None:
        mine, _ = ledger_pair
        record = planned(mine, an_action(1))
        client_of(mine).update_item(
            TableName=TABLE,
            Key={"pk": {"S": "plan#p1"}, "sk": {"S": sk}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": value},
        )

        def read() -> None:
            mine.plans.get("p1")
            mine.plans.verdicts(record, limit=9)

        with pytest.raises(LedgerError, match="has an item that cannot be read"):
            read()

    def test_missing_table_gives_a_ledger_error_that_names_it(self, client: Any) -> None:
        plans = DynamoLedger(client, "missing").plans
        record = a_record()
        calls: list[Callable[[], object]] = [
            lambda: plans.open(record),
            lambda: plans.get("p1"),
            lambda: plans.save(record, a_report(an_action())),
            lambda: plans.save(record, a_report()),
            lambda: plans.verdicts(record, limit=1),
            lambda: plans.begin(record, "ali"),
            lambda: plans.finish(record, a_report()),
        ]
        for call in calls:
            with pytest.raises(LedgerError, match='"missing"'):
                call()

    def test_every_read_is_consistent(self, client: Any) -> None:
        read: set[str] = set()

        def check(params: dict[str, Any], model: Any, **_: object) -> None:
            assert params["ConsistentRead"] is True
            read.add(model.name)

        for operation in ("GetItem", "Query"):
            client.meta.events.register(f"provide-client-params.dynamodb.{operation}", check)
        ledger = DynamoLedger(client, TABLE)
        ledger.plans.get("p1")
        ledger.plans.verdicts(a_record(), limit=1)
        assert read == {"GetItem", "Query"}
