"""The part of a selector that Curfew sends to EC2, whose filter values are patterns and limited in number."""

from collections.abc import Mapping
from typing import Any

from curfew.core.instance import State
from curfew.core.policy import Selector, TagFilter
from curfew.providers.ec2.filters import FILTER_VALUES, filters
from tests.builders import a_selector, an_id
from tests.cloud import SimulatedEc2, a_machine

FULL = a_selector(
    states=frozenset({State.RUNNING, State.STOPPED}),
    tags=(TagFilter(key="team", values=("a*b?c\\d",), like=("pr-*", "x\\?")),),
    with_tags=("own*er",),
    without_tags=("keep",),
    instance_types=("t3.*", "m5.large"),
)


def sent(selector: Selector, *, narrow: bool) -> Mapping[str, list[str]]:
    return {f["Name"]: list(f["Values"]) for f in filters(selector, narrow=narrow)}


def test_only_states_are_sent_when_the_whole_population_counts() -> None:
    assert sent(FULL, narrow=False) == {"instance-state-name": ["running", "stopped"]}


def test_narrow_listing_sends_ec2_filters_and_escapes_literals() -> None:
    assert sent(FULL, narrow=True) == {
        "instance-state-name": ["running", "stopped"],
        "tag:team": ["a\\*b\\?c\\\\d", "pr-*", "x\\\\?"],
        "tag-key": ["own\\*er"],
        "instance-type": ["t3.*", "m5.large"],
    }


def test_condition_that_is_not_set_is_not_sent() -> None:
    assert set(sent(a_selector(), narrow=True)) == {"instance-state-name", "tag:env"}


def test_filter_with_too_many_values_is_left_to_the_selector() -> None:
    many: Any = tuple(f"v{n}" for n in range(FILTER_VALUES))
    selector = a_selector(
        tags=(TagFilter(key="many", values=many), TagFilter(key="one", values=("x",)))
    )

    assert set(sent(selector, narrow=True)) == {"instance-state-name", "tag:one"}


def test_ids_beyond_one_request_are_described_in_several() -> None:
    cloud = SimulatedEc2(*(a_machine(id=an_id(n)) for n in range(450)))

    assert len(cloud.provider().describe([an_id(n) for n in range(450)])) == 450
    assert [action for action, _ in cloud.calls] == ["DescribeInstances"] * 3
