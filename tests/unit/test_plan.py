"""*decide*, *protect* and *guard*, by example and by property."""

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from curfew.core.instance import ActionKind, Attributes, Instance, State
from curfew.core.plan import Action, Plan, decide, guard, judge, protect, refuse
from curfew.core.policy import (
    PERCENT_FROM,
    Finding,
    Limits,
    Policy,
    Protection,
    Selector,
    TagFilter,
    normalize_key,
)
from tests.builders import (
    NO_LIMITS,
    NOW,
    a_policy,
    a_selector,
    an_id,
    an_instance,
)

OPEN = Attributes(termination_protected=False, stop_protected=False)
LOCKED = Attributes(termination_protected=True, stop_protected=False)
HELD = Attributes(termination_protected=False, stop_protected=True)
LIMIT_RULES = {"limit-per-sweep", "limit-percent"}

# The same examples in every run, without a time limit.
properties = settings(derandomize=True, deadline=None)


def fleet(count: int, **more: Any) -> list[Instance]:
    return [an_instance(number, **more) for number in range(count)]


def ids(found: Iterable[Any]) -> list[str]:
    return [one.instance.id for one in found]


def decided(count: int, limits: Limits = NO_LIMITS) -> Plan:
    """Return a plan with this many actions."""
    made = decide(fleet(count), a_policy(limits=limits), NOW)
    assert len(made.actions) == count
    return made


def verdicts(plan: Plan) -> dict[str, tuple[str, str, str]]:
    """Return the plan's verdict on each instance."""
    acted = {a.instance.id: (str(a.kind), a.rule, a.reason) for a in plan.actions}
    return acted | {k.instance.id: ("keep", k.rule, k.reason) for k in plan.kept}


# By example: decide


def test_an_instance_that_is_selected_becomes_an_action_with_its_reason() -> None:
    made = decide([an_instance()], a_policy(), NOW)

    (action,) = made.actions
    assert action == Action(
        instance=an_instance(),
        kind=ActionKind.TERMINATE,
        rule="selected",
        reason="is running, env=dev, 9h old",
    )
    assert made.kept == ()


def test_the_reason_names_each_thing_that_matched() -> None:
    selector = a_selector(with_tags=("temporary",), without_tags=("owner",))
    instance = an_instance(tags={"env": "sandbox", "temporary": ""})

    (action,) = decide([instance], a_policy(selector=selector), NOW).actions

    assert action.reason == "is running, env=sandbox, has temporary, no tag owner, 9h old"


def test_an_old_instance_goes_by_its_age() -> None:
    policy = a_policy(older_than=timedelta(days=3))
    instance = an_instance(age=timedelta(hours=1), first_seen_at=NOW - timedelta(days=4))

    (action,) = decide([instance], policy, NOW).actions

    assert (action.rule, action.reason) == ("older-than", "is running, env=dev, 4d old")


def test_an_instance_that_is_younger_than_the_policy_asks_is_kept() -> None:
    policy = a_policy(older_than=timedelta(days=3))

    (kept,) = decide([an_instance(age=timedelta(days=2))], policy, NOW).kept

    assert (kept.rule, kept.reason) == ("older-than", "is 2d old; the policy waits for 3d")


def test_the_action_is_the_policys() -> None:
    made = decide(fleet(2), a_policy(action=ActionKind.STOP), NOW)

    assert {action.kind for action in made.actions} == {ActionKind.STOP}


def test_a_protected_instance_is_kept_with_its_reason() -> None:
    made = decide([an_instance(tags={"env": "dev", "Curfew:Keep": "no"})], a_policy(), NOW)

    assert made.actions == ()
    (kept,) = made.kept
    assert (kept.rule, kept.reason) == ("protect-tag", "has the tag Curfew:Keep")


def test_an_instance_that_is_not_selected_is_kept_as_such_even_if_protected() -> None:
    made = decide([an_instance(tags={"env": "prod", "curfew:keep": ""})], a_policy(), NOW)

    assert [kept.rule for kept in made.kept] == ["not-selected"]


def test_a_plan_knows_its_policy_and_when_it_was_made() -> None:
    policy = a_policy()

    made = decide([an_instance()], policy, NOW)

    assert (made.policy, made.made_at, made.refused) == (policy, NOW, None)


def test_nothing_found_is_an_empty_plan() -> None:
    made = decide([], a_policy(), NOW)

    assert (made.actions, made.kept, made.candidates) == ((), (), 0)


def test_a_plan_is_in_the_order_of_the_ids() -> None:
    instances = [an_instance(3), an_instance(1), an_instance(4, tags={}), an_instance(2, tags={})]

    made = decide(instances, a_policy(), NOW)

    assert ids(made.actions) == [an_id(1), an_id(3)]
    assert ids(made.kept) == [an_id(2), an_id(4)]


@pytest.mark.parametrize("order", [1, -1])
def test_an_instance_that_is_listed_twice_has_its_safer_verdict(order: int) -> None:
    twice = [an_instance(), an_instance(tags={"env": "dev", "curfew:keep": ""})][::order]

    made = decide(twice, a_policy(), NOW)

    assert made.actions == ()
    assert [kept.rule for kept in made.kept] == ["protect-tag"]


def test_an_instance_that_is_listed_twice_counts_once() -> None:
    made = decide([*fleet(3), *fleet(3)], a_policy(), NOW)

    assert made.candidates == 3


def test_of_two_listings_with_one_verdict_the_same_is_taken_in_any_order() -> None:
    twice = [an_instance(zone="eu-central-1a"), an_instance(zone="eu-central-1b")]

    assert decide(twice, a_policy(), NOW) == decide(twice[::-1], a_policy(), NOW)


# By example: the fingerprint


def test_plans_that_do_the_same_have_the_same_hash() -> None:
    later = NOW + timedelta(minutes=1)

    assert decide(fleet(3), a_policy(), NOW).hash == decide(fleet(3), a_policy(), later).hash


@pytest.mark.parametrize(
    "other",
    [
        decide(fleet(2), a_policy(), NOW),
        decide(fleet(4), a_policy(), NOW),
        decide(fleet(3), a_policy(name="weekly"), NOW),
        decide(fleet(3), a_policy(action=ActionKind.STOP), NOW),
        decide(fleet(3), a_policy(older_than=timedelta(hours=1)), NOW),
        decide(
            [replace(i, target=replace(i.target, region="eu-west-1")) for i in fleet(3)],
            a_policy(),
            NOW,
        ),
    ],
    ids=["fewer", "more", "policy", "action", "rule", "target"],
)
def test_plans_that_do_something_else_have_another_hash(other: Plan) -> None:
    assert other.hash != decide(fleet(3), a_policy(), NOW).hash


# By example: protect


def test_an_attribute_moves_an_action_to_kept() -> None:
    made = decide(fleet(4), a_policy(), NOW)

    after = protect(made, {an_id(0): OPEN, an_id(1): LOCKED, an_id(2): HELD})

    assert ids(after.actions) == [an_id(0)]
    assert [(k.instance.id, k.rule) for k in after.kept] == [
        (an_id(1), "termination-protection"),
        (an_id(2), "stop-protection"),
        (an_id(3), "protection-unknown"),
    ]


def test_attributes_never_make_an_action_of_what_is_kept() -> None:
    made = decide([an_instance(tags={})], a_policy(), NOW)

    assert protect(made, {an_id(1): OPEN}) == made


# By example: guard


def test_exactly_the_limit_of_a_sweep_passes() -> None:
    made = decided(20, Limits(per_sweep=20, percent=100, per_day=20))

    assert guard(made, 20) == made


def test_one_over_the_limit_of_a_sweep_refuses_the_plan_whole() -> None:
    made = decided(21, Limits(per_sweep=20, percent=100, per_day=50))

    refused = guard(made, 1_000)

    assert refused.actions == ()
    assert ids(refused.kept) == ids(made.actions)
    ((rule, reason),) = {(k.rule, k.reason) for k in refused.kept}
    assert rule == "limit-per-sweep"
    assert re.findall(r"\d+", reason) == ["21", "20"]


def test_exactly_the_per_cent_passes() -> None:
    made = decided(10, Limits(per_sweep=100, percent=10, per_day=100))

    assert guard(made, 100) == made


@pytest.mark.parametrize(("actions", "listed"), [(11, 100), (10, 99), (2, 10), (100, 100)])
def test_one_over_the_per_cent_refuses_the_plan_whole(actions: int, listed: int) -> None:
    made = decided(actions, Limits(per_sweep=100, percent=10, per_day=100))

    refused = guard(made, listed)

    assert refused.actions == ()
    ((rule, reason),) = {(k.rule, k.reason) for k in refused.kept}
    assert rule == "limit-percent"
    assert re.findall(r"\d+", reason) == [str(actions), str(listed), "10"]


def test_the_per_cent_is_of_what_was_listed_and_not_of_the_candidates() -> None:
    prod = [an_instance(number, tags={"env": "prod"}) for number in range(100, 120)]
    made = decide([*fleet(3), *prod], a_policy(limits=replace(NO_LIMITS, percent=10)), NOW)

    assert len(guard(made, 30).actions) == 3
    assert guard(made, 29).actions == ()


@pytest.mark.parametrize(
    ("listed", "passes"), [(PERCENT_FROM - 1, True), (PERCENT_FROM, False)], ids=["below", "from"]
)
def test_a_per_cent_counts_only_from_ten_instances_on(listed: int, passes: bool) -> None:
    made = decided(2, replace(NO_LIMITS, percent=10))

    assert bool(guard(made, listed).actions) == passes


@pytest.mark.parametrize("listed", [1, PERCENT_FROM - 1, PERCENT_FROM, 1_000_000])
@pytest.mark.parametrize(
    "limits",
    [Limits(per_sweep=0, percent=100, per_day=9), Limits(per_sweep=9, percent=0, per_day=9)],
    ids=["per_sweep", "percent"],
)
def test_zero_means_none_at_all(limits: Limits, listed: int) -> None:
    refused = guard(decided(1, limits), listed)

    assert refused.actions == ()
    assert len(refused.kept) == 1


def test_a_plan_without_actions_is_never_over_a_limit() -> None:
    nothing = Limits(per_sweep=0, percent=0, per_day=0)
    made = decide([an_instance(tags={})], a_policy(limits=nothing), NOW)

    assert guard(made, 100) == made


def test_a_refused_plan_says_why() -> None:
    finding = Finding(rule="limit-test", reason="for the test")

    assert refuse(decide([an_instance()], a_policy(), NOW), finding).refused == finding


def test_a_refusal_leaves_what_was_kept_before_as_it_was() -> None:
    keep = an_instance(2, tags={"env": "dev", "curfew:keep": ""})
    made = decide([an_instance(1), keep, an_instance(3)], a_policy(), NOW)

    refused = refuse(made, Finding(rule="limit-test", reason="for the test"))

    assert [(k.instance.id, k.rule) for k in refused.kept] == [
        (an_id(1), "limit-test"),
        (an_id(2), "protect-tag"),
        (an_id(3), "limit-test"),
    ]


# By property: possible instances of a cloud, with many near misses

READ = ("env", "owner", "temporary")
KEEPERS = ("curfew:keep", "Curfew:Keep", "CURFEW:KEEP ", "DoNotDelete")
SPELLINGS = st.sampled_from((str, str.upper, str.title, lambda key: f" {key}"))


def spelt(key: str, spelling: Callable[[str], str]) -> str:
    return spelling(key)


keys = st.one_of(
    st.sampled_from(READ),
    st.builds(spelt, st.sampled_from(READ), SPELLINGS),
    st.sampled_from((*KEEPERS, "Name", "aws:autoscaling:groupName", "aws:new:tag", "eks:cluster")),
    st.text(max_size=12),
)
values = st.one_of(st.sampled_from(("dev", "sandbox", "prod", "DEV", "*", "")), st.text(max_size=8))
# Mostly ordinary tags, so that plans have many actions.
tag_sets: st.SearchStrategy[Mapping[str, str]] = st.one_of(
    st.sampled_from(({"env": "dev"}, {"env": "sandbox", "temporary": "yes"}, {"env": "dev*"})),
    st.dictionaries(keys, values, max_size=4),
    st.dictionaries(keys, values, max_size=3).map(lambda tags: {**tags, "env": "dev"}),
)
ages = st.one_of(
    st.sampled_from((timedelta(minutes=15), timedelta(days=3), timedelta(0), timedelta(hours=-1))),
    st.timedeltas(min_value=timedelta(hours=-2), max_value=timedelta(days=9)),
)
instants = st.one_of(st.none(), ages.map(lambda age: NOW - age))
long_ago = st.timedeltas(min_value=timedelta(hours=1), max_value=timedelta(days=9))


@st.composite
def instances_of_any_kind(draw: st.DrawFn) -> Instance:
    return an_instance(
        draw(st.integers(0, 9)),
        tags=draw(tag_sets),
        state=draw(st.one_of(st.just(State.RUNNING), st.sampled_from(State))),
        started_at=draw(st.one_of(long_ago.map(lambda age: NOW - age), instants)),
        first_seen_at=draw(instants),
        zone=draw(st.sampled_from(("eu-central-1a", "eu-central-1b", ""))),
        instance_type=draw(st.sampled_from(("t2.micro", "t2.micro", "m5.large", ""))),
        lifecycle=draw(st.sampled_from(("on-demand", "on-demand", "spot", "capacity-block", ""))),
        managed_by=draw(st.sampled_from(("", "", "", "eks.amazonaws.com"))),
        root_device=draw(st.sampled_from(("ebs", "ebs", "instance-store", ""))),
    )


filters = st.builds(
    TagFilter,
    key=st.sampled_from(READ),
    values=st.lists(values, min_size=1, max_size=3).map(tuple),
    like=st.lists(st.sampled_from(("*", "d*", "?ev", "")), max_size=2).map(tuple),
)
ordinary_selectors = st.just(a_selector())
selectors = st.one_of(
    ordinary_selectors,
    st.builds(
        Selector,
        states=st.frozensets(st.sampled_from(State), min_size=1),
        tags=st.lists(filters, max_size=2).map(tuple),
        with_tags=st.lists(st.sampled_from(READ), max_size=1).map(tuple),
        without_tags=st.lists(st.sampled_from(READ), max_size=1).map(tuple),
        instance_types=st.sampled_from(((), ("t2.*",), ("*",), ("m5.large", "t2.micro"))),
    ),
)
limits_of_any_kind = st.builds(
    Limits,
    per_sweep=st.integers(0, 12),
    percent=st.integers(0, 100),
    per_day=st.integers(0, 50),
)
# Half are the nightly policy, since a random one selects hardly any instance.
policies = st.builds(a_policy, limits=limits_of_any_kind) | st.builds(
    a_policy,
    selector=selectors,
    action=st.sampled_from(ActionKind),
    older_than=st.one_of(st.none(), st.sampled_from((timedelta(minutes=1), timedelta(days=3)))),
    protection=st.sampled_from(
        (Protection(), Protection(tags=("curfew:keep", "donotdelete"), min_age=timedelta(0)))
    ),
    limits=limits_of_any_kind,
)
# Half are ordinary, since hardly any random instance would be selected.
doomed = st.builds(
    an_instance,
    st.integers(0, 9),
    age=long_ago,
    tags=st.sampled_from(({"env": "dev"}, {"env": "sandbox", "temporary": ""})),
)
# Distinct ids and, in the second strategy, many duplicates.
distinct = st.lists(instances_of_any_kind() | doomed, max_size=10, unique_by=lambda i: i.id)
repeated = st.lists(instances_of_any_kind() | doomed, max_size=15)
attribute_maps = st.dictionaries(
    st.integers(0, 9).map(an_id), st.sampled_from((OPEN, OPEN, LOCKED, HELD)), max_size=10
)


def acted(instances: Iterable[Instance], policy: Policy) -> set[str]:
    return set(ids(decide(instances, policy, NOW).actions))


def exempt(instance: Instance, policy: Policy) -> bool:
    """Return whether Curfew must never act on an instance. This is an independent implementation of protection."""
    wanted = {key.strip().casefold() for key in policy.protection.tags}
    present = {key.strip().casefold() for key in instance.tags}
    harmless = {key for key in present if key.startswith("aws:ec2launchtemplate:")}
    return (
        bool(wanted & present)
        or any(key.startswith(("aws:", "eks:")) for key in present - harmless)
        or bool(instance.managed_by)
        or instance.lifecycle not in {"on-demand", "spot"}
        or instance.started_at is None
        or NOW - instance.started_at < policy.protection.min_age
    )


@properties
@given(repeated, policies, attribute_maps, st.integers(0, 40))
def test_each_instance_is_in_exactly_one_of_actions_and_kept(
    instances: list[Instance],
    policy: Policy,
    attributes: Mapping[str, Attributes],
    others: int,
) -> None:
    made = decide(instances, policy, NOW)
    shown = protect(made, attributes)
    guarded = guard(shown, len(instances) + others)
    refused = refuse(guarded, Finding(rule="limit-test", reason="for the test"))

    for plan in (made, shown, guarded, refused):
        assert sorted([*ids(plan.actions), *ids(plan.kept)]) == sorted({i.id for i in instances})
        assert plan.candidates == len({i.id for i in instances})


@properties
@given(repeated, policies, attribute_maps, st.integers(0, 40))
def test_every_stage_only_moves_actions_to_kept(
    instances: list[Instance],
    policy: Policy,
    attributes: Mapping[str, Attributes],
    others: int,
) -> None:
    made = decide(instances, policy, NOW)
    shown = protect(made, attributes)
    guarded = guard(shown, len(instances) + others)

    assert all(action in made.actions for action in shown.actions)
    assert all(action in shown.actions for action in guarded.actions)
    assert all(kept in shown.kept for kept in made.kept)
    assert all(kept in guarded.kept for kept in shown.kept)
    for plan in (made, shown, guarded):
        assert ids(plan.actions) == sorted(ids(plan.actions))
        assert ids(plan.kept) == sorted(ids(plan.kept))


@properties
@given(repeated, policies)
def test_each_verdict_has_a_rule_and_a_reason(instances: list[Instance], policy: Policy) -> None:
    for verdict, rule, reason in verdicts(decide(instances, policy, NOW)).values():
        assert verdict in {"keep", str(policy.action)}
        assert rule
        assert reason


@properties
@given(repeated, policies, attribute_maps)
def test_a_protected_instance_is_never_acted_on(
    instances: list[Instance], policy: Policy, attributes: Mapping[str, Attributes]
) -> None:
    never = {i.id for i in instances if exempt(i, policy)}

    made = decide(instances, policy, NOW)
    shown = protect(made, attributes)

    assert never.isdisjoint(ids(made.actions))
    assert {id_ for id_ in ids(shown.actions) if attributes.get(id_) != OPEN} == set()


@properties
@given(distinct, policies)
def test_what_is_not_in_the_states_of_the_policy_is_never_acted_on(
    instances: list[Instance], policy: Policy
) -> None:
    there = {i.id for i in instances if i.state in policy.selector.states}

    assert acted(instances, policy) <= there


@properties
@given(repeated, policies, st.randoms(use_true_random=False))
@example(
    [an_instance(), an_instance(tags={"env": "dev", "curfew:keep": ""})],
    a_policy(),
    random.Random(0),  # noqa: S311
)
def test_the_order_of_the_listing_does_not_matter(
    instances: list[Instance], policy: Policy, chance: random.Random
) -> None:
    shuffled = chance.sample(instances, len(instances))

    made, again = decide(instances, policy, NOW), decide(shuffled, policy, NOW)

    assert verdicts(made) == verdicts(again)
    assert ids(made.actions) == ids(again.actions)
    assert ids(made.kept) == ids(again.kept)
    assert made.hash == again.hash


@properties
@given(distinct, policies, st.randoms(use_true_random=False))
def test_the_order_of_a_listing_without_repeats_changes_nothing_of_the_plan(
    instances: list[Instance], policy: Policy, chance: random.Random
) -> None:
    shuffled = chance.sample(instances, len(instances))

    assert decide(instances, policy, NOW) == decide(shuffled, policy, NOW)


@properties
@given(distinct, policies)
def test_one_instance_never_decides_anothers_verdict(
    instances: list[Instance], policy: Policy
) -> None:
    together = verdicts(decide(instances, policy, NOW))

    assert together == {i.id: verdicts(decide([i], policy, NOW))[i.id] for i in instances}


@properties
@given(repeated, policies, st.sampled_from(KEEPERS[:3]), st.text(max_size=5))
def test_a_protect_tag_takes_its_instance_out_and_lets_none_in(
    instances: list[Instance], policy: Policy, key: str, value: str
) -> None:
    before = acted(instances, policy)

    for position, instance in enumerate(instances):
        tagged = replace(instance, tags={**instance.tags, key: value})
        changed = [*instances[:position], tagged, *instances[position + 1 :]]

        assert acted(changed, policy) == before - {instance.id}


BLURS: tuple[Mapping[str, Any], ...] = (
    {"state": State.UNKNOWN},
    {"started_at": None},
    {"first_seen_at": None},
    {"started_at": None, "first_seen_at": None},
    {"instance_type": ""},
    {"lifecycle": ""},
    {"lifecycle": "of-a-new-kind"},
    {"root_device": ""},
    {"managed_by": "somebody"},
    {"zone": ""},
)


@properties
@given(instances_of_any_kind() | doomed, policies, st.sampled_from(BLURS))
def test_an_unknown_or_invalid_field_never_makes_an_action(
    instance: Instance, policy: Policy, blur: Mapping[str, Any]
) -> None:
    # A policy that selects the unknown state means it.
    assume(State.UNKNOWN not in policy.selector.states)

    assert acted([replace(instance, **blur)], policy) <= acted([instance], policy)


@pytest.mark.parametrize(
    "blur", [b for b in BLURS if not {"first_seen_at", "zone", "instance_type"} & b.keys()], ids=str
)
def test_what_cannot_be_known_is_kept(blur: Mapping[str, Any]) -> None:
    policy = a_policy(action=ActionKind.STOP)
    assert acted([an_instance()], policy)

    assert acted([an_instance(**blur)], policy) == set()


@properties
@given(instances_of_any_kind(), policies, st.sampled_from(READ), SPELLINGS, values)
def test_a_second_spelling_of_a_tag_never_makes_an_action(
    instance: Instance, policy: Policy, key: str, spelling: Callable[[str], str], value: str
) -> None:
    other = spelling(key)
    assume(other not in instance.tags)
    assume(normalize_key(other) in {normalize_key(k) for k in instance.tags})

    confused = replace(instance, tags={**instance.tags, other: value})

    assert acted([confused], policy) <= acted([instance], policy)


@properties
@given(distinct, policies, filters, st.sampled_from(READ))
def test_another_condition_only_shrinks_the_selection(
    instances: list[Instance], policy: Policy, wanted: TagFilter, key: str
) -> None:
    selector = policy.selector
    before = acted(instances, policy)
    narrower = [
        replace(selector, tags=(*selector.tags, wanted)),
        replace(selector, with_tags=(*selector.with_tags, key)),
        replace(selector, without_tags=(*selector.without_tags, key)),
        replace(selector, instance_types=selector.instance_types or ("t2.micro",)),
        *(replace(selector, states=selector.states - {state}) for state in selector.states),
    ]

    for fewer in narrower:
        assert acted(instances, replace(policy, selector=fewer)) <= before


@properties
@given(distinct, policies, st.timedeltas(timedelta(0), timedelta(days=9)))
def test_a_stricter_policy_only_shrinks_the_selection(
    instances: list[Instance], policy: Policy, more: timedelta
) -> None:
    before = acted(instances, policy)
    protection = policy.protection
    stricter = [
        replace(policy, older_than=(policy.older_than or timedelta(0)) + more),
        replace(policy, protection=replace(protection, min_age=protection.min_age + more)),
        replace(policy, protection=replace(protection, tags=(*protection.tags, "temporary"))),
    ]

    for stern in stricter:
        assert acted(instances, stern) <= before


@properties
@given(repeated, policies, st.timedeltas(timedelta(days=-9_000), timedelta(days=9_000)))
def test_only_ages_count_and_never_the_hour(
    instances: list[Instance], policy: Policy, shift: timedelta
) -> None:
    moved = [
        replace(
            i,
            started_at=i.started_at and i.started_at + shift,
            first_seen_at=i.first_seen_at and i.first_seen_at + shift,
        )
        for i in instances
    ]

    here, there = decide(instances, policy, NOW), decide(moved, policy, NOW + shift)

    assert verdicts(here) == verdicts(there)
    assert here.hash == there.hash


@properties
@given(instances_of_any_kind() | doomed, policies, st.timedeltas(timedelta(0), timedelta(days=9)))
def test_an_instance_that_is_due_stays_due_as_time_goes_by(
    instance: Instance, policy: Policy, later: timedelta
) -> None:
    if isinstance(judge(instance, policy, NOW), Action):
        assert isinstance(judge(instance, policy, NOW + later), Action)


@properties
@given(st.integers(0, 30), st.integers(0, 60), limits_of_any_kind)
def test_a_plan_passes_the_limits_whole_or_not_at_all(
    actions: int, others: int, limits: Limits
) -> None:
    listed = actions + others
    made = decided(actions, limits)

    guarded = guard(made, listed)

    fits = actions <= limits.per_sweep and (
        actions * 100 <= limits.percent * listed or (listed < PERCENT_FROM and limits.percent > 0)
    )
    if fits:
        assert guarded == made
    else:
        assert guarded.actions == ()
        assert ids(guarded.kept) == ids(made.actions)
        assert {kept.rule for kept in guarded.kept} <= LIMIT_RULES
        assert len({kept.rule for kept in guarded.kept}) == 1


@properties
@given(st.integers(1, 30), st.integers(0, 60), limits_of_any_kind)
def test_a_lower_limit_never_lets_more_through(actions: int, others: int, limits: Limits) -> None:
    listed = actions + others
    passed = len(guard(decided(actions, limits), listed).actions)
    lower = [
        replace(limits, per_sweep=max(0, limits.per_sweep - 1)),
        replace(limits, percent=max(0, limits.percent - 1)),
        replace(limits, per_sweep=0),
        replace(limits, percent=0),
    ]

    for less in lower:
        assert len(guard(decided(actions, less), listed).actions) <= passed
    assert guard(decided(actions, lower[2]), listed).actions == ()
    assert guard(decided(actions, lower[3]), listed).actions == ()


def test_generated_examples_contain_actions() -> None:
    """Strategies that only made instances to keep would prove nothing."""
    made: list[int] = []

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(repeated, policies)
    def collect(instances: list[Instance], policy: Policy) -> None:
        made.append(len(decide(instances, policy, NOW).actions))

    collect()

    assert sum(1 for count in made if count) >= 50
