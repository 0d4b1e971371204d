"""Cases of ``docs/safety.md`` that need a cloud as bad as the real one, with the real provider and the real ledger."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from curfew.clock import Clock
from curfew.core.audit import broken
from curfew.core.policy import TagFilter
from curfew.core.report import Report, Result, Status
from curfew.sweep.context import Sweep
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from curfew_simulator.cloud.ec2.machine import Volume
from curfew_simulator.cloud.faults import Fault, FaultKind
from curfew_simulator.cloud.history import Change
from curfew_simulator.cloud.population import populate
from curfew_simulator.cloud.world import World
from tests.builders import HERE, NO_LIMITS, a_policy, a_selector
from tests.simulator.conftest import Reach
from tests.simulator.test_curfew import House, provider, spared
from tests.template.reading import ROOT, Template

DEV = {"env": "dev"}
ABROAD = "eu-west-1"


class Killed(BaseException):
    """The function ends here, as when Lambda is out of time or memory."""


@pytest.fixture
def house(cloud: Reach) -> House:
    return House(cloud)


def ended(house: House) -> set[str]:
    return set(house.world.history.of(Change.TERMINATED))


def orders(house: House) -> list[tuple[str, ...]]:
    return [call.ids for call in house.world.history.made("TerminateInstances")]


def outcomes(report: Report) -> dict[str, Result]:
    return {outcome.action.instance.id: outcome.result for outcome in report.outcomes}


def swept(house: House, **policy: Any) -> Report:
    """A sweep of another policy."""
    house.sweeps += 1
    clock = house.world.clock
    sweep = Sweep(
        id=f"sweep-{house.sweeps}",
        policy=a_policy(**policy),
        provider=house.provider,
        ledger=house.ledger,
        clock=Clock(now=clock.now, sleep=clock.sleep),
        timezone=ZoneInfo("Europe/Zurich"),
    )
    return act(sweep, plan(sweep))


def abroad(cloud: Reach, house: House, region: str) -> Report:
    """A sweep of another region by the same clock and the same ledger."""

    def client(service: str, **keys: Any) -> Any:
        return cloud.client(service, region, **keys)

    there, here = provider(Reach(cloud.world, client)), house.provider
    there.target = replace(HERE, region=region)
    house.provider = there
    try:
        return house.sweep()
    finally:
        house.provider = here


# ------------------------------------------------------------------------------------------------------------- listing


def test_a_repeated_page_token_makes_a_listing_incomplete(house: House) -> None:
    house.region.page_size = 5
    for _ in range(12):
        house.region.add(tags=DEV)
    house.world.fail("DescribeInstances", Fault(kind=FaultKind.SAME_TOKEN), on=2, times=9)

    report = house.sweep()

    assert report.status is Status.INCOMPLETE
    assert report.failed
    assert orders(house) == []


def test_an_outage_of_a_zone_stops_its_region_and_no_other(
    cloud: Reach,
) -> None:
    world = cloud.world
    world.region(name=ABROAD).add(tags=DEV)
    here = House(cloud)
    lit = here.region.add(tags=DEV, zone=here.region.zones[0])
    here.region.add(tags=DEV, zone=here.region.zones[1])
    here.region.dark_zones.add(here.region.zones[1])

    report, elsewhere = here.sweep(), abroad(cloud, here, ABROAD)

    assert (report.status, report.failed) == (Status.INCOMPLETE, True)
    assert "Unavailable" in report.problem
    assert elsewhere.status is Status.COMPLETED
    assert elsewhere.count(Result.VERIFIED) == 1
    here.region.dark_zones.clear()
    assert outcomes(here.sweep())[lit.id] is Result.VERIFIED


def test_an_outage_of_a_zone_after_the_plan_stops_the_sweep_before_its_call(house: House) -> None:
    house.region.add(tags=DEV, zone=house.region.zones[1])

    def darken(_: object) -> None:
        house.region.dark_zones.add(house.region.zones[1])

    house.world.before("DescribeInstances", darken, on=2)

    report = house.sweep()

    assert report.failed
    assert report.count(Result.NOT_ATTEMPTED) == 1
    assert orders(house) == []


def test_a_region_disabled_meanwhile_is_a_failure_and_not_empty(
    cloud: Reach,
) -> None:
    report = abroad(cloud, House(cloud), "ap-east-1")

    assert (report.status, report.failed) == (Status.INCOMPLETE, True)
    assert "AuthFailure" in report.problem


ODD_VALUES = {
    "star": ("a*b", "aXb"),
    "question": ("a?b", "aXb"),
    "backslash": ("a\\b", "ab"),
    "escaped": ("a\\*b", "a*b"),
    "both": ("\\*?\\", "\\XX\\"),
    "bracket": ("[ab]", "a"),
    "emoji": ("\N{GRINNING FACE}" * 64, "\N{GRINNING FACE}" * 63),
    "joined": ("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"),
    "long": ("x" * 256, "x" * 255),
    "newline": ("a\nb", "a b"),
    "blank": (" dev ", "dev"),
    "empty": ("", "dev"),
}


@pytest.mark.parametrize(
    "percent", [99, 100], ids=["matched here", "a filter at the cloud as well"]
)
@pytest.mark.parametrize(("wanted", "other"), ODD_VALUES.values(), ids=ODD_VALUES)
def test_a_tag_value_matches_to_the_letter_whatever_it_contains(
    house: House, wanted: str, other: str, percent: int
) -> None:
    meant = house.region.add(tags={"env": wanted}).id
    house.region.add(tags={"env": other})
    house.region.add(tags={})
    selector = a_selector(tags=(TagFilter(key="env", values=(wanted,)),))

    swept(house, selector=selector, limits=replace(NO_LIMITS, percent=percent))

    assert ended(house) == {meant}


@pytest.mark.parametrize("percent", [99, 100])
@pytest.mark.parametrize(
    ("wanted", "other"),
    [("team*", "team-a"), ("te?m", "team"), ("a\\b", "ab"), ("owner:\N{GRINNING FACE}", "owner:x")],
)
def test_a_tag_key_matches_to_the_letter_whatever_it_contains(
    house: House, wanted: str, other: str, percent: int
) -> None:
    meant = house.region.add(tags={wanted: "x"}).id
    house.region.add(tags={other: "x"})
    selector = a_selector(tags=(), with_tags=(wanted,))

    swept(house, selector=selector, limits=replace(NO_LIMITS, percent=percent))

    assert ended(house) == {meant}


# -------------------------------------------------------------------------------------------------------------- acting


def roles_deny() -> Mapping[str, Any]:
    """What the template denies to the role that acts."""
    template = Template.read(ROOT / "spoke.yaml")
    denied = [
        {
            "Effect": "Deny",
            "Action": sorted(one.actions),
            "Resource": "*",
            "Condition": json.loads(
                json.dumps(one.condition).replace("${ProtectTag}", "curfew:keep")
            ),
        }
        for one in template.statements("ActRole")
        if one.effect == "Deny" and "ec2:TerminateInstances" in one.actions
    ]
    assert len(denied) == 2
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, *denied],
    }


def as_a_role(cloud: Reach) -> Reach:
    """The same world for a client that acts with the rights of a function's role."""
    arn = f"arn:aws:iam::{HERE.account}:role/curfew-sweep"
    cloud.world.role(arn, roles_deny())
    given = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="curfew")["Credentials"]
    keys = {"access_key": given["AccessKeyId"], "token": given["SessionToken"]}

    def client(service: str, *where: str, **more: Any) -> Any:
        return cloud.client(service, *where, **more, **(keys if service == "ec2" else {}))

    return Reach(cloud.world, client)


@pytest.mark.parametrize("key", ["curfew:keep", "CURFEW:Keep"])
def test_the_role_refuses_what_is_tagged_just_before_the_call_and_it_is_kept(
    cloud: Reach, key: str
) -> None:
    house = House(as_a_role(cloud))
    ids = [house.region.add(tags=DEV).id for _ in range(6)]
    house.world.before("TerminateInstances", lambda _: house.region.tag(ids[2], **{key: ""}))

    report = house.sweep()

    assert outcomes(report) == {**dict.fromkeys(ids, Result.VERIFIED), ids[2]: Result.KEPT}
    assert ended(house) == set(ids) - {ids[2]}
    assert sum(ids[2] in call for call in orders(house)) == 1


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_the_next_sweep_resolves_the_intents_of_a_killed_one(house: House, *, late: bool) -> None:
    ids = {house.region.add(tags=DEV).id for _ in range(3)}
    house.world.crash("TerminateInstances", Killed(), late=late)
    with pytest.raises(Killed):
        house.sweep()
    assert len(house.ledger.open_intents(HERE)) == 3
    house.world.clock.advance(timedelta(minutes=30))

    report = house.sweep()

    assert house.ledger.open_intents(HERE) == ()
    assert {line.split(": ")[1] for line in report.resolved_intents} == {
        "verified" if late else "unknown"
    }
    assert house.world.history.of(Change.TERMINATED) == dict.fromkeys(ids, 1)
    entries = list(house.ledger.entries(HERE))
    assert broken(entries) is None
    drafts = [e.draft for e in entries if e.draft.body.get("result") == "verified"]
    assert sorted(draft.instance_id for draft in drafts) == sorted(ids)


@pytest.mark.parametrize("on", range(1, 5))
def test_an_entry_is_written_once_when_its_answer_is_lost(house: House, on: int) -> None:
    ids = {house.region.add(tags=DEV).id for _ in range(3)}
    house.world.fail("TransactWriteItems", Fault(kind=FaultKind.CUT_AFTER), on=on)

    report = house.sweep()

    assert report.status is Status.COMPLETED
    entries = list(house.ledger.entries(HERE))
    assert broken(entries) is None
    assert sorted((e.draft.kind, e.draft.instance_id) for e in entries) == sorted(
        (kind, id_) for kind in ("intent", "outcome") for id_ in ids
    )


def test_a_lost_answer_of_the_budget_counts_too_much_and_never_too_little(house: House) -> None:
    limits = replace(NO_LIMITS, per_day=5)
    for _ in range(2):
        house.region.add(tags=DEV)
    house.world.fail("UpdateItem", Fault(kind=FaultKind.CUT_AFTER))
    swept(house, limits=limits)
    for _ in range(2):
        house.region.add(tags=DEV)

    assert swept(house, limits=limits).status is Status.REFUSED
    assert len(ended(house)) == 2


def test_an_expired_session_stops_the_sweep_without_another_assume_role(
    cloud: Reach,
) -> None:
    house = House(as_a_role(cloud))
    for number in range(30):
        house.region.add(tags=DEV, zone=house.region.zones[number % 3])

    def expire(_: object) -> None:
        sessions = house.world.identities.sessions
        for key, session in sessions.items():
            sessions[key] = replace(session, expires_at=house.world.clock.now())

    house.world.before("TerminateInstances", expire, on=2)

    report = house.sweep()

    assert report.failed
    assert [len(call) for call in orders(house)] == [10, 10]
    assert len(ended(house)) == 10
    assert report.count(Result.NOT_ATTEMPTED) == 20  # the second call surely had no effect
    assert len(house.world.history.made("AssumeRole")) == 1


def test_the_volumes_that_an_instance_leaves_are_in_its_entry(house: House) -> None:
    volumes = (Volume(id="vol-1"), Volume(id="vol-2", delete_on_termination=False))
    id_ = house.region.add(tags=DEV, volumes=volumes).id

    assert outcomes(house.sweep()) == {id_: Result.VERIFIED}

    (intent,) = (e.draft for e in house.ledger.entries(HERE) if e.draft.kind == "intent")
    kept = [v["id"] for v in intent.body["instance"]["volumes"] if not v["delete_on_termination"]]
    assert kept == ["vol-2"]
    changed = {effect.id for effect in house.world.history.effects if effect.call}
    assert changed & {"vol-1", "vol-2"} == set()
    writing = {name for _, name in house.world.history.called() if not name.startswith("Describe")}
    assert not any("Volume" in name or "Address" in name or "Snapshot" in name for name in writing)


# ------------------------------------------------------------------------------------------------------------ liveness


@pytest.mark.parametrize("seed", range(8))
def test_two_sweeps_without_faults_end_everything_that_is_due(at: Any, seed: int) -> None:
    house = House(at(World(seed=seed, faults="harsh")))
    populate(house.region, 30)
    for _ in range(2):
        house.sweep()
        house.world.clock.advance(timedelta(minutes=30))
    house.world.faults.profile = {}

    house.sweep()
    house.world.clock.advance(timedelta(minutes=30))

    assert house.sweep().status is Status.COMPLETED
    assert [
        machine.id
        for machine in house.region.alive()
        if not spared(machine)
        and not any(key.lower().startswith("aws:") for key in machine.tags)
        and not {"Env"} & set(machine.tags)
        and not machine.lifecycle.startswith("capacity")
    ] == []
    assert house.ledger.open_intents(HERE) == ()
