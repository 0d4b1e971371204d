"""Tags: how many, how long, whose, and what deleting means.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from typing import Any

import pytest

from curfew_simulator.cloud.history import Change
from tests.simulator.asking import code
from tests.simulator.conftest import Reach


def tags(**pairs: str) -> list[dict[str, str]]:
    """Tags as the API wants them; ``aws_`` is ``aws:``."""
    return [{"Key": k.replace("aws_", "aws:"), "Value": v} for k, v in pairs.items()]


def test_tags_are_added_and_overwritten(both: Reach) -> None:
    region = both.world.region()
    one, two = region.add(tags={"a": "1"}).id, region.add(tags={}).id
    both.client("ec2").create_tags(Resources=[one, two], Tags=tags(a="2", b="3"))
    assert region.machines[one].tags == region.machines[two].tags == {"a": "2", "b": "3"}
    assert both.world.history.of(Change.TAGGED) == {one: 1, two: 1}


def test_a_51st_tag_is_refused_for_all_without_counting_those_of_aws(
    cloud: Reach, ec2: Any
) -> None:
    region = cloud.world.region()
    full = region.add(tags={f"k{n}": "" for n in range(49)} | {"aws:x": "", "aws:y": ""}).id
    other = region.add(tags={}).id
    ec2.create_tags(Resources=[full, other], Tags=tags(one="more"))
    assert code(lambda: ec2.create_tags(Resources=[other, full], Tags=tags(too="many"))) == (
        "TagLimitExceeded"
    )
    assert region.machines[other].tags == {"one": "more"}
    ec2.create_tags(Resources=[full], Tags=tags(one="again"))


@pytest.mark.parametrize(
    "bad", [{"aws_x": ""}, {"AWS_X": ""}, {"k" * 129: ""}, {"k": "v" * 257}], ids=["aws", "AWS", "key", "value"]
)  # fmt: skip
def test_an_invalid_tag_is_refused(cloud: Reach, ec2: Any, bad: dict[str, str]) -> None:
    id_ = cloud.world.region().add().id
    wrong = [{"Key": k.replace("_", ":"), "Value": v} for k, v in bad.items()]
    assert code(lambda: ec2.create_tags(Resources=[id_], Tags=wrong)) == "InvalidParameterValue"


def test_the_longest_allowed_tags_are_accepted(cloud: Reach, ec2: Any) -> None:
    id_ = cloud.world.region().add(tags={}).id
    face = "\N{GRINNING FACE}"
    ec2.create_tags(Resources=[id_], Tags=[{"Key": face * 128, "Value": face * 256}])
    assert cloud.world.region().machines[id_].tags == {face * 128: face * 256}


def test_a_tag_is_deleted_only_with_a_matching_value(cloud: Reach, ec2: Any) -> None:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html"""
    region = cloud.world.region()
    id_ = region.add(tags={"a": "1", "b": "2", "c": "3"}).id
    ec2.delete_tags(Resources=[id_], Tags=[{"Key": "a"}, {"Key": "b", "Value": "other"}])
    assert region.machines[id_].tags == {"b": "2", "c": "3"}


def test_deleting_all_tags_leaves_those_of_aws(cloud: Reach, ec2: Any) -> None:
    region = cloud.world.region()
    id_ = region.add(tags={"a": "1", "aws:x": "2"}).id
    ec2.delete_tags(Resources=[id_])
    assert region.machines[id_].tags == {"aws:x": "2"}
    assert code(lambda: ec2.delete_tags(Resources=[id_], Tags=[{"Key": "aws:x"}])) == (
        "InvalidParameterValue"
    )


def test_a_missing_resource_fails_the_whole_tagging(cloud: Reach, ec2: Any) -> None:
    region = cloud.world.region()
    id_ = region.add(tags={}).id
    for missing, error in [
        ("i-0000000000000dead", "InvalidInstanceID.NotFound"),
        ("vol-1", "InvalidID"),
    ]:
        both = [id_, missing]
        call = lambda both=both: ec2.create_tags(Resources=both, Tags=tags(a="b"))  # noqa: E731
        assert code(call) == error
    assert region.machines[id_].tags == {}
