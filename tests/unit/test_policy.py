"""Whether a policy selects an instance, and whether the instance is old enough."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from curfew.core.instance import ActionKind, State
from curfew.core.policy import Policy, Selector, TagFilter, format_duration, mismatch, too_young
from tests.builders import NOW, a_selector, an_instance

DAY = timedelta(days=1)


def selects(selector: Selector, tags: Mapping[str, str]) -> bool:
    return mismatch(an_instance(tags=tags), selector) is None


def by_tag(key: str, *, values: tuple[str, ...] = (), like: tuple[str, ...] = ()) -> Selector:
    return a_selector(tags=(TagFilter(key=key, values=values, like=like),))


def reason(selector: Selector, tags: Mapping[str, str]) -> str:
    finding = mismatch(an_instance(tags=tags), selector)
    assert finding is not None
    assert finding.rule == "not-selected"
    return finding.reason


# States and types


@pytest.mark.parametrize("state", list(State))
def test_only_the_states_that_are_asked_for_are_selected(state: State) -> None:
    selector = a_selector(states=frozenset({State.RUNNING, State.STOPPED}))

    found = mismatch(an_instance(state=state), selector)

    assert (found is None) == (state in {State.RUNNING, State.STOPPED})


def test_the_wrong_state_is_said_with_the_wanted_ones() -> None:
    selector = a_selector(states=frozenset({State.STOPPED, State.RUNNING}))

    found = mismatch(an_instance(state=State.STOPPING), selector)

    assert found is not None
    assert found.reason == "is stopping, not running or stopped"


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        (("t2.micro",), True),
        (("t2.*",), True),
        (("t?.micro",), True),
        (("m5.large", "t2.micro"), True),
        (("t2",), False),
        (("t2.mic",), False),
        (("T2.MICRO",), False),
        (("t2xmicro",), False),
        (("m5.*",), False),
    ],
)
def test_an_instance_type_is_matched_whole_and_by_pattern(
    patterns: tuple[str, ...], selected: bool
) -> None:
    found = mismatch(an_instance(), a_selector(instance_types=patterns))

    assert (found is None) == selected


def test_the_wrong_instance_type_is_said_with_the_wanted_ones() -> None:
    found = mismatch(an_instance(), a_selector(instance_types=("m5.*", "t3.small")))

    assert found is not None
    assert (found.rule, found.reason) == ("not-selected", "is a t2.micro, not m5.* or t3.small")


def test_an_unknown_instance_type_is_not_selected_by_a_named_one() -> None:
    found = mismatch(an_instance(instance_type=""), a_selector(instance_types=("t2.micro",)))

    assert found is not None


# Values


def test_any_value_of_the_list_matches() -> None:
    selector = by_tag("env", values=("dev", "sandbox"))

    assert selects(selector, {"env": "dev"})
    assert selects(selector, {"env": "sandbox"})


@pytest.mark.parametrize("value", ["", "prod", "DEV", "dev ", " dev", "dev\n", "devel", "de"])
def test_a_value_matches_only_as_it_is_spelt(value: str) -> None:
    assert not selects(by_tag("env", values=("dev",)), {"env": value})


@pytest.mark.parametrize("key", ["Env", "ENV", "env ", "environment", "en"])
def test_a_key_matches_only_as_it_is_spelt(key: str) -> None:
    assert not selects(by_tag("env", values=("dev",)), {key: "dev"})


def test_every_tag_must_match() -> None:
    selector = a_selector(
        tags=(TagFilter(key="env", values=("dev",)), TagFilter(key="team", values=("a",)))
    )

    assert selects(selector, {"env": "dev", "team": "a"})
    assert not selects(selector, {"env": "dev"})
    assert not selects(selector, {"env": "dev", "team": "b"})


@pytest.mark.parametrize("exact", ["*", "?", "dev*", "d?v", ".*", "[a-z]", "a|b", "\\*", "^dev$"])
def test_a_wildcard_in_an_exact_value_is_only_a_character(exact: str) -> None:
    selector = by_tag("env", values=(exact,))

    assert selects(selector, {"env": exact})
    assert not selects(selector, {"env": "dev"})
    assert not selects(selector, {"env": ""})


def test_an_empty_value_is_a_value() -> None:
    assert selects(by_tag("env", values=("",)), {"env": ""})
    assert not selects(by_tag("env", values=("",)), {"env": "dev"})
    assert not selects(by_tag("env", values=("",)), {})


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({}, "has no tag env"),
        ({"env": "prod"}, "env is prod, not dev or like sand*"),
        ({"env": ""}, "env is , not dev or like sand*"),
    ],
)
def test_a_tag_that_does_not_match_is_said_with_what_was_wanted(
    tags: Mapping[str, str], said: str
) -> None:
    assert reason(by_tag("env", values=("dev",), like=("sand*",)), tags) == said


# Patterns


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("*", ""),
        ("*", "anything"),
        ("*", "two\nlines"),
        ("dev*", "dev"),
        ("dev*", "dev-7"),
        ("*dev", "old-dev"),
        ("d*v", "dv"),
        ("d?v", "dev"),
        ("d?v", "d\nv"),
        ("?", "é"),
        ("", ""),
        ("a.b", "a.b"),
        ("(x)[y]{1}+^$|\\d", "(x)[y]{1}+^$|\\d"),
        ("a\nb", "a\nb"),
        ("a*b*c", "a1b2b3c"),
    ],
)
def test_a_pattern_matches(pattern: str, value: str) -> None:
    assert selects(by_tag("env", like=(pattern,)), {"env": value})


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("dev*", "adev"),
        ("dev*", "Dev"),
        ("*dev", "dev\n"),
        ("dev", "dev\n"),
        ("dev", "devel"),
        ("d?v", "dv"),
        ("d?v", "deev"),
        ("?", ""),
        ("", "x"),
        ("a.b", "axb"),
        ("[abc]", "a"),
        ("a|b", "a"),
        ("\\d", "7"),
        ("a+", "aa"),
        ("^a$", "a"),
        ("\\*", "*"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, value: str) -> None:
    assert not selects(by_tag("env", like=(pattern,)), {"env": value})


def test_a_pattern_needs_the_tag_to_be_there() -> None:
    assert not selects(by_tag("env", like=("*",)), {})
    assert not selects(by_tag("env", like=("*",)), {"Env": "dev"})


# Presence and absence


@pytest.mark.parametrize("value", ["", "yes", "no", "false"])
def test_presence_asks_for_the_key_and_not_for_its_value(value: str) -> None:
    assert selects(a_selector(tags=(), with_tags=("temporary",)), {"temporary": value})


@pytest.mark.parametrize("key", ["Temporary", "temporary ", "temp"])
def test_another_spelling_is_not_presence(key: str) -> None:
    selector = a_selector(tags=(), with_tags=("temporary",))

    assert reason(selector, {key: "yes"}) == "has no tag temporary"


def test_absence_is_the_lack_of_the_key() -> None:
    assert selects(a_selector(tags=(), without_tags=("owner",)), {"env": "dev"})
    assert selects(a_selector(tags=(), without_tags=("owner",)), {"owners": "kim"})


@pytest.mark.parametrize("key", ["owner", "Owner", "OWNER", "oWnEr", " owner", "Owner\t"])
@pytest.mark.parametrize("value", ["kim", ""])
def test_any_spelling_of_the_key_counts_as_present(key: str, value: str) -> None:
    selector = a_selector(tags=(), without_tags=("owner",))

    assert reason(selector, {key: value}) == f"has the tag {key}"


def test_a_spelling_in_the_policy_does_not_matter_for_absence() -> None:
    assert not selects(a_selector(tags=(), without_tags=("OWNER",)), {"owner": "kim"})


def test_every_presence_and_absence_must_hold() -> None:
    selector = a_selector(tags=(), with_tags=("a", "b"), without_tags=("c", "d"))

    assert selects(selector, {"a": "", "b": ""})
    assert not selects(selector, {"a": ""})
    assert not selects(selector, {"b": ""})
    assert not selects(selector, {"a": "", "b": "", "c": ""})
    assert not selects(selector, {"a": "", "b": "", "d": ""})


def test_the_keys_of_a_selector_are_all_that_it_reads() -> None:
    selector = a_selector(with_tags=("temporary",), without_tags=("owner",))

    assert selector.keys == {"env", "temporary", "owner"}


def test_a_selector_says_in_words_what_a_tag_must_be() -> None:
    wanted = TagFilter(key="env", values=("dev", "sandbox"), like=("tmp-*",))

    assert str(wanted) == "env = dev or sandbox or like tmp-*"


# Age


def test_without_an_age_nothing_is_too_young() -> None:
    assert too_young(an_instance(started_at=None), None, NOW) is None


@pytest.mark.parametrize(
    ("age", "young"),
    [
        (3 * DAY + timedelta(seconds=1), False),
        (3 * DAY, False),
        (3 * DAY - timedelta(microseconds=1), True),
        (timedelta(0), True),
        (-DAY, True),
    ],
)
def test_exactly_the_age_is_old_enough(age: timedelta, young: bool) -> None:
    found = too_young(an_instance(age=age), 3 * DAY, NOW)

    assert (found is not None) == young


def test_a_restart_does_not_make_an_instance_young_again() -> None:
    instance = an_instance(age=timedelta(hours=1), first_seen_at=NOW - 4 * DAY)

    assert too_young(instance, 3 * DAY, NOW) is None


def test_an_instance_that_was_seen_late_is_as_old_as_its_launch() -> None:
    instance = an_instance(age=4 * DAY, first_seen_at=NOW)

    assert too_young(instance, 3 * DAY, NOW) is None


def test_the_first_sight_alone_is_proof_of_life() -> None:
    seen_late = an_instance(started_at=None, first_seen_at=NOW - 2 * DAY)
    seen_early = an_instance(started_at=None, first_seen_at=NOW - 4 * DAY)

    assert too_young(seen_late, 3 * DAY, NOW) is not None
    assert too_young(seen_early, 3 * DAY, NOW) is None


def test_the_launch_alone_is_proof_of_life() -> None:
    instance = an_instance(age=4 * DAY, first_seen_at=None)

    assert instance.proof_of_life == NOW - 4 * DAY
    assert too_young(instance, 3 * DAY, NOW) is None


def test_an_unknown_age_is_never_old_enough() -> None:
    instance = an_instance(started_at=None, first_seen_at=None)

    found = too_young(instance, timedelta(minutes=1), NOW)

    assert found is not None
    assert (found.rule, found.reason) == ("older-than", "its age is unknown")


def test_too_young_says_both_ages() -> None:
    found = too_young(an_instance(age=DAY + timedelta(hours=2)), 3 * DAY, NOW)

    assert found is not None
    assert found.rule == "older-than"
    assert found.reason == "is 1d 2h old; the policy waits for 3d"


# Words


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(days=3, hours=4, minutes=5), "3d 4h"),
        (timedelta(days=3), "3d"),
        (timedelta(days=3, minutes=5), "3d"),
        (timedelta(weeks=2), "14d"),
        (timedelta(hours=9), "9h"),
        (timedelta(hours=9, minutes=30, seconds=1), "9h 30m"),
        (timedelta(minutes=12), "12m"),
        (timedelta(minutes=14, seconds=59, microseconds=999_999), "14m 59s"),
        (timedelta(seconds=7), "7s"),
        (timedelta(microseconds=999_999), "0s"),
        (timedelta(0), "0s"),
        (timedelta(hours=-2), "-2h"),
        (timedelta(days=-1, hours=-3), "-1d 3h"),
    ],
)
def test_duration_is_formatted_in_its_largest_unit_and_the_next(
    duration: timedelta, words: str
) -> None:
    assert format_duration(duration) == words


def test_a_policy_has_limits_and_the_protect_tag_unless_it_says_otherwise() -> None:
    policy = Policy(name="n", selector=a_selector(), action=ActionKind.TERMINATE)

    assert policy.limits.per_sweep == 20
    assert policy.limits.percent == 10
    assert policy.limits.per_day == 50
    assert policy.protection.tags == ("curfew:keep",)
    assert policy.protection.min_age == timedelta(minutes=15)


def test_hostile_tag_does_not_slow_down_a_pattern() -> None:
    # With a pattern that backtracks this takes longer than a test can wait.
    slow = TagFilter(key="k", like=("*-" * 20 + "x",))

    assert not slow.matches({"k": "-" * 256})
    assert slow.matches({"k": "-" * 255 + "x"})
