"""The cases of ``docs/safety.md`` that no other file tests: each is a bad night and Curfew's reaction."""

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError, UndefinedModelAttributeError

from curfew.aws.errors import SDK_ERRORS, refused_launch, translated
from curfew.config.policy_file import load
from curfew.core.audit import EntryKind, broken
from curfew.core.errors import AmbiguousError, ConfigError, RefusedError, RequestError
from curfew.core.instance import ActionKind
from curfew.core.policy import Protection
from curfew.core.report import Result, Status
from curfew.schemas.messages import SweepRequest
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from curfew_simulator.cloud.ec2.machine import Machine
from curfew_simulator.cloud.faults import Fault, FaultKind
from tests.builders import HERE, NO_LIMITS, NOW, a_policy, a_selector, an_id
from tests.cloud import LOST, NOTHING, ORDERS, THROTTLED, SimulatedEc2, a_machine, refusal
from tests.night import Night, fleets_of, kept, leased, results
from tests.template.reading import ROOT, Template

SOURCE = ROOT / "functions" / "curfew"
ONE, TWO, THREE = an_id(1), an_id(2), an_id(3)
WIDE = replace(
    NO_LIMITS, percent=99
)  # the listing has all instances in the policy's states, with any tags


def machines(count: int, **more: Any) -> list[Machine]:
    return [a_machine(id=an_id(number), **more) for number in range(1, count + 1)]


class Killed(BaseException):
    """The function ends here, as if Lambda ran out of time or memory."""


def kill() -> None:
    raise Killed


# ------------------------------------------------------------------------------------------------------------- listing


def test_an_empty_listing_acts_on_nothing_and_reports_that_0_are_listed() -> None:
    night = Night(
        cloud=SimulatedEc2(*machines(30, tags={"env": "prod"})), policy=a_policy(limits=WIDE)
    )
    assert night.sweep().listed == 30
    night.cloud.machines.clear()

    report = night.sweep()

    assert (report.listed, report.status) == (0, Status.COMPLETED)
    assert night.cloud.orders == []
    mark = night.ledger.watermark(HERE, "nightly")
    assert mark is not None
    assert mark.listed == 0


def test_the_limit_of_a_sweep_holds_for_a_listing_with_few_instances() -> None:
    """Below ten listed instances, only the limit's number applies, not its percentage."""
    night = Night(
        cloud=SimulatedEc2(*machines(9)), policy=a_policy(limits=replace(WIDE, per_sweep=8))
    )

    assert night.sweep().status is Status.REFUSED
    assert night.cloud.orders == []


def test_a_policy_with_a_longer_value_than_a_tag_can_have_is_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "curfew.yaml"
    text = (
        "policies: {{ a: {{ select: {{ states: running, tags: {{ env: {} }} }}, action: stop }} }}"
    )
    file.write_text(text.format("x" * 256))
    assert load(file).policy("a").selector.tags[0].values == ("x" * 256,)

    file.write_text(text.format("x" * 300))
    with pytest.raises(ConfigError, match="env"):
        load(file)


def test_an_instance_with_tags_only_at_the_recheck_is_not_untagged() -> None:
    night = Night(
        cloud=SimulatedEc2(a_machine(id=ONE, tags={}), a_machine(id=TWO, tags={})),
        policy=a_policy(selector=a_selector(tags=(), without_tags=("owner",))),
    )
    night.cloud.before("DescribeInstances", lambda: night.cloud.tag(ONE, Owner="kim"), on=2)

    assert results(night.sweep()) == {ONE: Result.KEPT, TWO: Result.VERIFIED}


def asleep(body: bytes) -> bytes:
    """Return a listing in which one instance has a state that does not exist."""
    state = (
        rb"(<instanceId>%s</instanceId>.*?<instanceState><code>\d+</code><name>)running"
        % ONE.encode()
    )
    changed, times = re.subn(state, rb"\1asleep", body)
    assert times == (ONE.encode() in body)
    return changed


@pytest.mark.parametrize("at", ["listed", "looked at again"])
def test_an_unknown_state_keeps_its_instance(at: str) -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    night.cloud.always(
        FaultKind.UNFILTERED, "DescribeInstances"
    )  # the cloud's filters let it through
    on = 1 if at == "listed" else 2
    night.cloud.fail(
        "DescribeInstances", Fault(kind=FaultKind.ALTERED, edit=asleep), on=on, times=99
    )

    report = night.sweep()

    assert results(report).get(ONE, Result.KEPT) is Result.KEPT
    assert all(ONE not in ids for _, ids in night.cloud.orders)
    assert report.count(Result.VERIFIED) == 1


def test_an_instance_missing_from_one_listing_keeps_its_age() -> None:
    night = Night(cloud=SimulatedEc2(*machines(1)), policy=a_policy(older_than=timedelta(days=3)))
    machine = night.cloud.machines[ONE]
    assert kept(night.sweep()) == {ONE: "older-than"}
    night.time.at += timedelta(days=1)
    night.cloud.machines.clear()
    assert night.sweep().status is Status.COMPLETED

    night.time.at += timedelta(days=3)
    # It was stopped and started meanwhile.
    night.cloud.add(replace(machine, started_at=night.time.at - timedelta(hours=1)))

    assert results(night.sweep()) == {ONE: Result.VERIFIED}


def test_an_instance_missing_from_one_listing_keeps_its_lease() -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)))
    leased(night, ONE, ends_in=timedelta(days=1))
    machine = night.cloud.machines.pop(ONE)
    night.sweep()
    night.cloud.add(machine)

    assert kept(night.sweep()) == {ONE: "leased"}
    lab = night.ledger.fleets.get("lab")
    assert lab is not None
    assert lab.ended_at is None


def test_an_instance_that_comes_back_still_has_its_expired_lease() -> None:
    """A day after its lease ends, an instance that EC2 does not list counts as ended, although it may still exist."""
    night = Night(
        cloud=SimulatedEc2(a_machine(id=ONE, tags={"curfew:keep": ""})),
        policy=a_policy(selector=a_selector(tags=(), expired=True)),
    )
    lab = leased(night, ONE, ends_in=timedelta(hours=1))
    night.time.at += timedelta(hours=26)
    machine = night.cloud.machines.pop(ONE)
    fleets_of(night).view(lab)
    assert [member.ended_at for member in night.ledger.fleets.members(lab.launch_id)] == [
        night.time.now()
    ]
    night.cloud.add(machine)

    assert kept(night.sweep()) == {ONE: "protect-tag"}
    night.cloud.change(ONE, tags={})
    assert results(night.sweep()) == {ONE: Result.VERIFIED}


# -------------------------------------------------------------------------------------------------------------- acting


def test_iam_refuses_what_is_tagged_after_the_recheck_and_no_call_repeats_it() -> None:
    night = Night(cloud=SimulatedEc2(*machines(6)))

    def protect() -> None:
        night.cloud.tag(ONE, curfew__keep="")
        night.cloud.deny(ONE)  # as Curfew's roles do

    night.cloud.before("TerminateInstances", protect)
    report = night.sweep()

    assert results(report)[ONE] is Result.KEPT
    assert "protect-tag" in report.outcomes[0].detail
    assert report.count(Result.VERIFIED) == 5
    assert sum(ONE in ids for _, ids in night.cloud.orders) == 1


def test_two_concurrent_sweeps_end_and_claim_each_instance_once() -> None:
    night = Night(cloud=SimulatedEc2(*machines(5)))
    others = []
    night.cloud.before("TerminateInstances", lambda: others.append(night.sweep()))

    mine = night.sweep()

    (other,) = others
    assert other.count(Result.VERIFIED) == 5
    assert results(mine) == dict.fromkeys(map(an_id, range(1, 6)), Result.KEPT)
    entries = list(night.ledger.entries(HERE))
    ended = [e.draft.instance_id for e in entries if e.draft.body.get("result") == "verified"]
    assert sorted(ended) == sorted(map(an_id, range(1, 6)))
    assert broken(entries) is None


def test_two_concurrent_sweeps_stay_within_the_budget_of_the_day() -> None:
    night = Night(
        cloud=SimulatedEc2(*machines(3)), policy=a_policy(limits=replace(NO_LIMITS, per_day=3))
    )
    others = []
    night.cloud.before("TerminateInstances", lambda: others.append(night.sweep()))

    mine = night.sweep()

    assert mine.count(Result.VERIFIED) == 3
    assert [other.status for other in others] == [Status.REFUSED]


def test_two_concurrent_regions_share_the_budget_of_the_day() -> None:
    policy = a_policy(limits=replace(NO_LIMITS, per_day=5))
    here = Night(cloud=SimulatedEc2(*machines(3)), policy=policy)
    there = Night(cloud=SimulatedEc2(*machines(3)), policy=policy, ledger=here.ledger)
    provider: Any = there.cloud.provider()
    provider.target = replace(HERE, region="eu-west-1")
    elsewhere = replace(there.prepared(), provider=provider)
    reports = []

    def meanwhile() -> None:
        reports.append(act(elsewhere, plan(elsewhere)))

    here.cloud.before("TerminateInstances", meanwhile)

    assert here.sweep().count(Result.VERIFIED) == 3
    assert [report.status for report in reports] == [Status.REFUSED]
    assert there.cloud.orders == []


def test_the_next_sweep_finishes_one_that_was_killed_after_a_cancel() -> None:
    night = Night(cloud=SimulatedEc2(a_machine(id=ONE, spot_request="sir-00000001")))
    night.cloud.request_spot("sir-00000001", ONE)
    night.cloud.before("TerminateInstances", kill)
    with pytest.raises(Killed):
        night.sweep()
    assert night.cloud.ids("running") == {ONE}
    night.time.sleep(3_600)

    report = night.sweep()

    assert results(report) == {ONE: Result.VERIFIED}
    assert night.cloud.ids("running") == set()
    assert [action for action, _ in night.cloud.orders].count("CancelSpotInstanceRequests") == 1
    assert night.ledger.open_intents(HERE) == ()


@pytest.mark.parametrize("action", [ActionKind.TERMINATE, ActionKind.STOP])  # EC2 has no shelf
def test_a_call_names_its_instances_and_nothing_more(action: ActionKind) -> None:
    """Curfew uses no force, no skipped shutdown and no hibernation, even if an instance hangs in shutting-down."""
    night = Night(cloud=SimulatedEc2(*machines(2)), policy=a_policy(action=action))

    assert night.sweep().count(Result.VERIFIED) == 2
    orders = night.cloud.made("TerminateInstances", "StopInstances")
    assert [call.operation.startswith(action.value.title()) for call in orders] == [True]
    assert [call.arguments for call in orders] == [{"InstanceId": [ONE, TWO]}]


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_an_instance_that_shuts_down_slowly_is_not_called_again(state: str) -> None:
    night = Night(cloud=SimulatedEc2(*machines(2)), policy=a_policy(limits=WIDE))
    night.cloud.change(ONE, state=state)
    night.sweep()
    night.time.sleep(7_200)
    night.sweep()

    assert all(ONE not in ids for _, ids in night.cloud.orders)


def test_an_instance_with_the_name_and_tags_of_an_old_one_has_its_own_age() -> None:
    night = Night(
        cloud=SimulatedEc2(a_machine(id=ONE, tags={"env": "dev", "Name": "web"})),
        policy=a_policy(older_than=timedelta(days=3)),
    )
    leased(night, ONE, ends_in=-timedelta(minutes=1))
    night.sweep()
    night.time.at += timedelta(days=4)
    night.cloud.machines.clear()
    night.cloud.add(
        a_machine(
            id=TWO,
            tags={"env": "dev", "Name": "web", "curfew:fleet": "lab"},
            started_at=night.time.at,
        )
    )
    night.time.at += timedelta(hours=1)

    assert kept(night.sweep()) == {TWO: "older-than"}
    night.policy = a_policy(selector=a_selector(tags=(), expired=True))
    assert kept(night.sweep()) == {}
    assert night.cloud.ids("running") == {TWO}


# ---------------------------------------------------------------------------------------------------------------- time

# In Europe/Zurich, where the nights of these tests are.
CALENDAR = {
    "the clocks go forward": "2026-03-29T00:59:59+00:00",
    "the clocks go back": "2026-10-25T00:30:00+00:00",
    "a leap day": "2028-02-28T23:30:00+00:00",
    "the last of a month": "2026-01-31T22:59:59+00:00",
    "the end of a year": "2026-12-31T22:59:59+00:00",
}


@pytest.mark.parametrize("at", CALENDAR.values(), ids=CALENDAR)
def test_a_lease_has_its_length_whatever_the_calendar_does(at: str) -> None:
    policy = a_policy(selector=a_selector(tags=(), expired=True))
    begun = datetime.fromisoformat(at)
    night = Night(cloud=SimulatedEc2(*machines(1, started_at=begun)), policy=policy)
    night.time.at = begun
    leased(night, ONE, ends_in=timedelta(hours=24))

    night.time.at = begun + timedelta(hours=24, seconds=-1)
    night.sweep()
    assert night.cloud.orders == []
    night.time.at = begun + timedelta(hours=24)

    assert results(night.sweep()) == {ONE: Result.VERIFIED}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2026-03-04T22:59:59+00:00", "2026-03-04T23:00:00+00:00", False),
        ("2026-03-28T23:00:00+00:00", "2026-03-29T21:59:59+00:00", True),  # a day of 23 hours
        ("2026-10-24T22:00:00+00:00", "2026-10-25T22:59:59+00:00", True),  # one of 25
        ("2026-12-31T22:59:59+00:00", "2026-12-31T23:00:00+00:00", False),
        ("2028-02-28T23:00:00+00:00", "2028-02-29T22:59:59+00:00", True),
    ],
)
def test_the_day_of_the_budget_is_the_local_day(first: str, second: str, same: bool) -> None:
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    policy = a_policy(limits=replace(NO_LIMITS, per_day=1))
    night = Night(cloud=SimulatedEc2(*machines(1, started_at=long_ago)), policy=policy)
    night.time.at = datetime.fromisoformat(first)
    assert night.sweep().status is Status.COMPLETED
    night.cloud.add(a_machine(id=TWO, started_at=long_ago))
    night.time.at = datetime.fromisoformat(second)

    assert (night.sweep().status is Status.REFUSED) is same


def test_a_clock_that_is_set_back_makes_no_instance_older() -> None:
    protection = Protection(min_age=timedelta(minutes=15))
    young = NOW - timedelta(minutes=20)
    night = Night(
        cloud=SimulatedEc2(a_machine(id=ONE, started_at=young), a_machine(id=TWO)),
        policy=a_policy(protection=protection),
    )

    def put_back() -> None:
        night.time.at = NOW - timedelta(minutes=10)

    night.cloud.before("DescribeInstanceAttribute", put_back)  # after the plan, before the look

    assert results(night.sweep()) == {ONE: Result.KEPT, TWO: Result.VERIFIED}


def test_a_slow_clock_ends_no_lease_early() -> None:
    night = Night(
        cloud=SimulatedEc2(*machines(2)),
        policy=a_policy(selector=a_selector(tags=(), expired=True)),
    )
    leased(night, ONE, TWO, ends_in=timedelta(minutes=5))
    night.time.at -= timedelta(minutes=10)

    night.sweep()

    assert night.cloud.orders == []


# --------------------------------------------------------------------------------------------------------------- abuse


@pytest.mark.parametrize(
    "more",
    [
        {"ids": [ONE]},
        {"instances": [ONE]},
        {"plan": "20260304T020000Z-1"},
        {"approved": True},
        {"select": {"states": ["running"]}},
        {"limits": {"per_sweep": 1_000}},
        {"protect": {"tags": []}},
        {"account": "210987654321"},
        {"role": "arn:aws:iam::210987654321:role/other"},
        {"action": "terminate"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_hand_made_event_can_name_a_policy_and_nothing_that_it_acts_on(
    more: dict[str, Any],
) -> None:
    with pytest.raises(RequestError, match=f"{next(iter(more))} is an unknown key"):
        SweepRequest.parse({"policy": "nightly"} | more)


# ---------------------------------------------------------------------------------------------------------- invariants


def accounted(night: Night) -> None:
    """Assert that every candidate of the last sweep has one verdict, and every action one outcome."""
    report = night.sweep()
    assert report.plan is not None
    acted = [outcome.action.instance.id for outcome in report.outcomes]
    spared = [one.instance.id for one in report.plan.kept]
    assert sorted([*acted, *spared]) == sorted({*acted, *spared})
    assert len(acted) + len(spared) == report.plan.candidates
    entries = [entry.draft for entry in night.ledger.entries(HERE)]
    intended = [e.instance_id for e in entries if e.kind is EntryKind.INTENT]
    settled = [e.instance_id for e in entries if e.kind is EntryKind.OUTCOME]
    assert sorted(intended) == sorted(settled)
    assert set(intended) >= {
        o.action.instance.id for o in report.outcomes if o.result is Result.VERIFIED
    }


TROUBLES: dict[str, Callable[[SimulatedEc2], object]] = {
    "calm": lambda cloud: None,
    "no answer": lambda cloud: cloud.fail("TerminateInstances", NOTHING, times=9),
    "no answer after the effect": lambda cloud: cloud.fail("TerminateInstances", LOST),
    "throttled": lambda cloud: cloud.fail("TerminateInstances", THROTTLED, times=9),
    "refused": lambda cloud: cloud.fail("TerminateInstances", refusal("NeverHeardOf")),
    "denied": lambda cloud: cloud.deny(ONE),
    "garbled": lambda cloud: cloud.fail("TerminateInstances", Fault(kind=FaultKind.GARBLED), on=1),
    "gone": lambda cloud: cloud.before("TerminateInstances", lambda: cloud.machines.pop(ONE)),
    "unnamed": lambda cloud: cloud.always(FaultKind.UNNAMED, *ORDERS, ids=frozenset({ONE})),
    "idle": lambda cloud: cloud.always(FaultKind.IDLE, *ORDERS),
    "blind": lambda cloud: cloud.fail("DescribeInstances", refusal("AuthFailure"), on=3),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_every_candidate_and_every_intent_is_accounted_for_once(
    trouble: Callable[[SimulatedEc2], object],
) -> None:
    cloud = SimulatedEc2(
        *machines(25), *(a_machine(id=an_id(n), zone="b") for n in range(100, 105))
    )
    cloud.tag(an_id(2), curfew__keep="")
    cloud.change(an_id(3), termination_protected=True)
    trouble(cloud)

    accounted(Night(cloud=cloud))


OF_NO_CALL = (Warning, UndefinedModelAttributeError)  # the latter when a client is made
SDK_EXCEPTIONS = [
    kind
    for kind in vars(botocore.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, OF_NO_CALL)
]


@pytest.mark.parametrize("kind", SDK_EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_every_exception_of_the_sdk_is_caught_and_says_how_to_go_on(kind: type[Exception]) -> None:
    """Each error is translated into one of two: the call had no effect, or it may have had one."""
    assert issubclass(kind, SDK_ERRORS)
    error = kind.__new__(kind)
    Exception.__init__(error, "words")
    if isinstance(error, ClientError):
        error.response = {"Error": {"Code": "NeverHeardOf"}}

    for said in (translated(error), translated(error, acting=True), refused_launch(error)):
        assert type(said) in {RefusedError, AmbiguousError}


def swallowed(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches any exception and does not use it."""
    caught = ast.unparse(handler.type) if handler.type else ""
    broad = not caught or "Exception" in caught.replace("(", " ").replace(",", " ").split()
    broad = broad or "BaseException" in caught
    uses = {n.id for part in handler.body for n in ast.walk(part) if isinstance(n, ast.Name)}
    return broad and (handler.name is None or handler.name not in uses)


def test_no_handler_swallows_what_it_does_not_know() -> None:
    """A handler that catches any exception reports it: in an outcome, a report, a response or the log."""
    handlers = [
        (path.name, part)
        for path in SOURCE.rglob("*.py")
        for part in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(part, ast.ExceptHandler)
    ]
    assert len(handlers) > 20
    assert [f"{name}:{part.lineno}" for name, part in handlers if swallowed(part)] == []


def test_no_function_is_restored_from_a_snapshot() -> None:
    """Two functions restored from one snapshot could draw the same random ids."""
    template = Template.read(ROOT / "template.yaml")

    for function in (template.shared, *template.functions.values()):
        assert "SnapStart" not in function


@pytest.mark.parametrize("attribute", ["disableApiTermination", "disableApiStop"])
def test_a_protection_missing_from_the_answer_is_unknown_and_keeps(
    attribute: str,
) -> None:
    cloud = SimulatedEc2(a_machine(id=an_id(1)), a_machine(id=an_id(2)))

    def silent(body: bytes) -> bytes:
        value = f"(<instanceId>{an_id(1)}</instanceId>)<{attribute}>.*</{attribute}>"
        return re.sub(value.encode(), rb"\1", body)

    cloud.always(FaultKind.ALTERED, "DescribeInstanceAttribute", edit=silent)

    report = Night(cloud=cloud).sweep()

    assert kept(report) == {an_id(1): "protection-unknown"}
    assert cloud.ids("running") == {an_id(1)}
