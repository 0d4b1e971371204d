"""Every record is the same after it is written to the table and read from it."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from curfew.core.instance import ActionKind, Instance, State, Volume
from curfew.core.launch import Attempt, AttemptResult, LaunchSpec
from curfew.core.lease import Fleet, Lease, Phase
from curfew.core.plan import Action, Kept
from curfew.core.report import Outcome, Result
from curfew.core.target import Target
from curfew.ledger.dynamodb import fleet_items, plan_items
from curfew.ledger.records import StoredPlan, Verdict
from tests.builders import HERE, NOW

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INSTANTS = st.datetimes(datetime(1960, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
DURATIONS = st.timedeltas(timedelta(0), timedelta(days=4000))
TAGS = st.dictionaries(TEXTS, TEXTS, max_size=4)
NUMBERS = st.integers(0, 10**6)


def drawn(kind: Any, /, **strategies: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a class. It fails for a field without a strategy, which would be untested."""
    assert set(strategies) == {field.name for field in fields(kind)}
    return st.builds(kind, **strategies)


TARGETS = drawn(Target, provider=TEXTS, account=TEXTS, region=TEXTS)
LEASES = drawn(Lease, fleet=TEXTS, launch_id=TEXTS, owner=TEXTS, expires_at=INSTANTS)
VOLUMES = drawn(Volume, id=TEXTS, device=TEXTS, delete_on_termination=st.booleans())
INSTANCES = drawn(
    Instance,
    id=TEXTS,
    target=TARGETS,
    zone=TEXTS,
    instance_type=TEXTS,
    image=TEXTS,
    started_at=st.none() | INSTANTS,
    first_seen_at=st.none() | INSTANTS,
    tags=TAGS,
    lifecycle=TEXTS,
    state=st.sampled_from(State),
    spot_request=TEXTS,
    managed_by=TEXTS,
    root_device=TEXTS,
    volumes=st.lists(VOLUMES, max_size=3).map(tuple),
    state_reason=TEXTS,
    ambiguous=st.lists(TEXTS, max_size=3).map(tuple),
    locked=st.booleans(),
    lease=st.none() | LEASES,
    launching=TEXTS,
)
ACTIONS = drawn(
    Action, instance=INSTANCES, kind=st.sampled_from(ActionKind), rule=TEXTS, reason=TEXTS
)
KEPT = drawn(Kept, instance=INSTANCES, rule=TEXTS, reason=TEXTS)
OUTCOMES = drawn(Outcome, action=ACTIONS, result=st.sampled_from(Result), detail=TEXTS)
VERDICTS = st.one_of(
    st.builds(Verdict, judged=ACTIONS | KEPT, outcome=st.none()),
    OUTCOMES.map(lambda outcome: Verdict(judged=outcome.action, outcome=outcome)),
)
FLEETS = drawn(
    Fleet,
    name=TEXTS,
    launch_id=TEXTS,
    template=TEXTS,
    target=TARGETS,
    owner=TEXTS,
    count=NUMBERS,
    created_at=INSTANTS,
    expires_at=INSTANTS,
    longest=DURATIONS,
    phase=st.sampled_from(Phase),
    problem=TEXTS,
    claimed_by=TEXTS,
    claimed_at=st.none() | INSTANTS,
    ended_at=st.none() | INSTANTS,
)
ORDERS = drawn(
    LaunchSpec,
    launch_id=TEXTS,
    target=TARGETS,
    image=TEXTS,
    instance_types=st.lists(TEXTS).map(tuple),
    count=NUMBERS,
    tags=TAGS,
    subnets=st.lists(TEXTS).map(tuple),
    security_groups=st.lists(TEXTS).map(tuple),
    key=TEXTS,
    profile=TEXTS,
    user_data=TEXTS,
    spot=st.booleans(),
    networks=st.lists(TEXTS).map(tuple),
    hints=TAGS,
    version=TEXTS,
)
ATTEMPTS = drawn(
    Attempt,
    result=st.sampled_from(AttemptResult),
    number=NUMBERS,
    pool=NUMBERS,
    count=NUMBERS,
    launched=NUMBERS,
    problem=TEXTS,
)
RECORD = StoredPlan(
    id="p",
    policy="nightly",
    policy_version="v",
    target=HERE,
    asked_by="kim",
    made_at=NOW,
    expires_at=NOW,
)


def stored(item: Any) -> Any:
    """Return an item as DynamoDB returns it, with numbers in its own format."""
    said = json.loads(json.dumps(item))
    for value in said.values():
        if "N" in value:
            value["N"] = format(Decimal(value["N"]).normalize(), "f")
    return said


@given(FLEETS)
def test_a_fleet(fleet: Fleet) -> None:
    assert fleet_items.fleet_of(stored(fleet_items.of_fleet(fleet))) == fleet


@given(ORDERS)
def test_an_order(spec: LaunchSpec) -> None:
    assert fleet_items.launch_spec_of(stored(fleet_items.of_launch_spec(spec))) == spec


@given(ATTEMPTS)
def test_an_attempt(attempt: Attempt) -> None:
    assert fleet_items.attempt_of(stored(fleet_items.of_attempt("op", attempt, "w"))) == attempt


@given(VERDICTS)
def test_a_verdict_with_all_of_its_instance(verdict: Verdict) -> None:
    assert plan_items.verdict_of(stored(plan_items.of_verdict(RECORD, verdict))) == verdict


@given(INSTANTS, INSTANTS)
def test_instants_compare_as_numbers_as_they_do_themselves(one: datetime, two: datetime) -> None:
    first, second = (Decimal(fleet_items.seconds(at)["N"]) for at in (one, two))
    assert (first < second, first == second) == (one < two, one == two)
