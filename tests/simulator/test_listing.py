"""DescribeInstances: filters, pages, what is hidden, and what is left out."""

from typing import Any

import pytest
from botocore.exceptions import PaginationError

from curfew_simulator.cloud.faults import Fault, FaultKind
from curfew_simulator.cloud.world import World
from tests.simulator.asking import code, filtered, ids, refusal
from tests.simulator.conftest import Reach


class TestFilters:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html"""

    def test_values_of_a_filter_are_or_and_filters_are_and(self, cloud: Reach, ec2: Any) -> None:
        region = cloud.world.region()
        dev, test = region.add(tags={"env": "dev"}).id, region.add(tags={"env": "test"}).id
        stopped = region.add(tags={"env": "dev"}, state="stopped").id
        assert filtered(ec2, **{"tag:env": ["dev", "test"]}) == {dev, test, stopped}
        assert filtered(ec2, **{"tag:env": ["dev"], "instance_state_name": ["running"]}) == {dev}
        assert filtered(ec2, tag_key=["env"], instance_state_code=["80"]) == {stopped}

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("d*", {"dev", "d*v"}),
            ("d?v", {"dev", "d*v"}),
            (r"d\*v", {"d*v"}),
            (r"a\\b", {"a\\b"}),
            ("DEV", set()),
            ("*", {"dev", "d*v", "a\\b", ""}),
            ("", {""}),
            ("d.v", set()),
        ],
    )
    def test_a_backslash_makes_a_pattern_of_a_filter_literal(
        self, cloud: Reach, ec2: Any, pattern: str, found: set[str]
    ) -> None:
        region = cloud.world.region()
        by_id = {region.add(tags={"env": v}).id: v for v in ("dev", "d*v", "a\\b", "")}
        region.add(tags={})
        assert {by_id[id_] for id_ in filtered(ec2, **{"tag:env": [pattern]})} == found

    def test_filters_distinguish_the_case_of_tag_keys(self, cloud: Reach, ec2: Any) -> None:
        cloud.world.region().add(tags={"Env": "dev"})
        assert filtered(ec2, **{"tag:env": ["dev"]}) == set()
        assert filtered(ec2, tag_key=["env"]) == set()

    def test_a_filter_takes_200_values_and_not_201(self, ec2: Any) -> None:
        values = [f"v{n}" for n in range(201)]
        assert filtered(ec2, **{"tag:a": values[:200]}) == set()
        assert code(lambda: filtered(ec2, **{"tag:a": values[:101], "tag:b": values[:100]})) == (
            "FilterLimitExceeded"
        )

    def test_an_unknown_filter_is_refused(self, ec2: Any) -> None:
        said, message, _ = refusal(lambda: filtered(ec2, nonsense=["x"]))
        assert (said, message) == ("InvalidParameterValue", "The filter 'nonsense' is invalid")

    def test_every_other_filter_finds_what_its_name_says(self, cloud: Reach, ec2: Any) -> None:
        region = cloud.world.region()
        spot = region.add(lifecycle="spot", spot_request="sir-00000001", zone="eu-central-1c").id
        managed = region.add(managed_by="eks.amazonaws.com", type="m7i.xlarge").id
        for name, value, found in [
            ("instance_id", spot, spot),
            ("instance_type", "m7i.*", managed),
            ("availability_zone", "eu-central-1c", spot),
            ("instance_lifecycle", "spot", spot),
            ("spot_instance_request_id", "sir-00000001", spot),
            ("operator.managed", "true", managed),
            ("operator.principal", "eks.*", managed),
        ]:
            assert filtered(ec2, **{name: [value]}) == {found}, name

    def test_a_missing_id_in_a_filter_is_no_error(self, ec2: Any) -> None:
        assert filtered(ec2, instance_id=["i-0000000000000dead"]) == set()


class TestPages:
    def pages(self, ec2: Any, size: int = 5) -> list[list[str]]:
        listing = ec2.get_paginator("describe_instances").paginate(
            PaginationConfig={"PageSize": size}
        )
        return [ids(page) for page in listing]

    def test_pages_count_instances_and_show_each_once(self, both: Reach) -> None:
        """Moto counts reservations."""
        made = [both.world.region().add(reservation="r-1").id for _ in range(12)]
        pages = self.pages(both.client("ec2"))
        assert [len(page) for page in pages] == [5, 5, 2]
        assert [id_ for page in pages for id_ in page] == made

    def test_a_page_may_be_smaller_than_requested(self, cloud: Reach, ec2: Any) -> None:
        cloud.world.region().page_size = 2
        for _ in range(5):
            cloud.world.region().add()
        assert [len(page) for page in self.pages(ec2)] == [2, 2, 1]

    @pytest.mark.parametrize("size", [4, 1001])
    def test_a_page_has_5_to_1000(self, ec2: Any, size: int) -> None:
        said, message, _ = refusal(lambda: ec2.describe_instances(MaxResults=size))
        assert said == "InvalidParameterValue"
        assert message.startswith(
            f"Value ( {size} ) for parameter maxResults is invalid. Expecting"
        )

    def test_a_page_size_together_with_ids_is_refused(self, cloud: Reach, ec2: Any) -> None:
        id_ = cloud.world.region().add().id
        assert code(lambda: ec2.describe_instances(InstanceIds=[id_], MaxResults=5)) == (
            "InvalidParameterCombination"
        )

    def test_an_unknown_page_token_is_refused(self, ec2: Any) -> None:
        assert code(lambda: ec2.describe_instances(NextToken="x", MaxResults=5)) == (
            "InvalidParameterValue"
        )

    def test_a_page_can_be_requested_twice(self, cloud: Reach, ec2: Any) -> None:
        for _ in range(12):
            cloud.world.region().add()
        token = ec2.describe_instances(MaxResults=5)["NextToken"]
        again = [ids(ec2.describe_instances(MaxResults=5, NextToken=token)) for _ in range(2)]
        assert again[0] == again[1]

    def test_a_later_page_shows_changes_since_the_first(self, cloud: Reach, ec2: Any) -> None:
        region = cloud.world.region()
        made = [region.add().id for _ in range(7)]
        running: dict[str, Any] = {
            "Filters": [{"Name": "instance-state-name", "Values": ["running"]}], "MaxResults": 5,
        }  # fmt: skip
        token = ec2.describe_instances(**running)["NextToken"]
        region.change(made[6], state=region.machines[made[6]].state.STOPPED)
        assert ids(ec2.describe_instances(**running, NextToken=token)) == [made[5]]

    def test_an_empty_page_has_a_token_and_loses_nothing(self, cloud: Reach, ec2: Any) -> None:
        """Recorded: boto3#2888, botocore#1837."""
        for _ in range(7):
            cloud.world.region().add()
        cloud.world.fail("DescribeInstances", Fault(kind=FaultKind.EMPTY_PAGE), on=1, times=2)
        assert [len(page) for page in self.pages(ec2)] == [0, 0, 5, 2]

    def test_the_last_page_may_be_empty(self, cloud: Reach, ec2: Any) -> None:
        cloud.world.fail("DescribeInstances", Fault(kind=FaultKind.EMPTY_PAGE))
        assert self.pages(ec2) == [[], []]

    def test_a_repeated_page_token_makes_the_sdk_raise(self, cloud: Reach, ec2: Any) -> None:
        for _ in range(12):
            cloud.world.region().add()
        cloud.world.fail("DescribeInstances", Fault(kind=FaultKind.SAME_TOKEN), on=2)
        with pytest.raises(PaginationError):
            self.pages(ec2)

    def test_a_listing_may_be_shuffled_or_have_duplicates(self, cloud: Reach, ec2: Any) -> None:
        made = [cloud.world.region().add().id for _ in range(20)]
        cloud.world.fail("DescribeInstances", Fault(kind=FaultKind.SHUFFLED))
        shuffled = ids(ec2.describe_instances())
        assert shuffled != made
        assert sorted(shuffled) == sorted(made)
        cloud.world.fail("DescribeInstances", Fault(kind=FaultKind.TWICE), on=2)
        assert sorted(ids(ec2.describe_instances())) == sorted(made * 2)


class TestWhatIsNotThere:
    def test_an_instance_without_tags_has_no_tags_element(self, cloud: Reach, ec2: Any) -> None:
        cloud.world.region().add(tags={})
        (instance,) = ec2.describe_instances()["Reservations"][0]["Instances"]
        assert "Tags" not in instance
        assert "InstanceLifecycle" not in instance
        assert "SpotInstanceRequestId" not in instance

    def test_a_hidden_instance_is_listed_only_on_request(self, cloud: Reach, ec2: Any) -> None:
        """``IncludeManagedResources``: source:
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
        """
        region = cloud.world.region()
        shown = region.add().id
        hidden = region.add(managed_by="eks.amazonaws.com", hidden=True).id
        assert ids(ec2.describe_instances()) == [shown]
        answer = ec2.describe_instances(IncludeManagedResources=True)
        assert ids(answer) == [shown, hidden]
        operator = answer["Reservations"][1]["Instances"][0]["Operator"]
        assert operator == {
            "Managed": True, "Principal": "eks.amazonaws.com", "HiddenByDefault": True,
        }  # fmt: skip

    def test_an_error_names_the_missing_ids(self, ec2: Any) -> None:
        one, two = "i-0000000000000dead", "i-00000000"
        said, message, _ = refusal(lambda: ec2.describe_instances(InstanceIds=[one, two]))
        assert said == "InvalidInstanceID.NotFound"
        assert message == f"The instance IDs '{one}, {two}' do not exist"


class TestStaleReads:
    """Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""

    def test_a_stale_read_shows_an_earlier_state(self, at: Any) -> None:
        world = World(seed=1)
        ec2, region = at(world).client("ec2"), world.region()
        old = region.add(tags={"env": "dev"}).id
        world.clock.sleep(100)
        region.tag(old, keep="yes")
        young = region.add(age=world.clock.now() - world.clock.now()).id
        world.fail("DescribeInstances", Fault(kind=FaultKind.STALE, seconds=30), times=2)
        world.fail("DescribeInstanceAttribute", Fault(kind=FaultKind.STALE, seconds=30))

        (late,) = ec2.describe_instances()["Reservations"]

        assert late["Instances"][0]["Tags"] == [{"Key": "env", "Value": "dev"}]
        assert code(lambda: ec2.describe_instances(InstanceIds=[young])) == (
            "InvalidInstanceID.NotFound"
        )
        assert filtered(ec2, tag_key=["keep"]) == {old}
        assert set(ids(ec2.describe_instances())) == {old, young}
        assert (
            code(
                lambda: ec2.describe_instance_attribute(
                    InstanceId=young, Attribute="disableApiStop"
                )
            )
            == "InvalidInstanceID.NotFound"
        )

    def test_a_stale_read_may_show_only_some_instances_as_they_were(self, at: Any) -> None:
        world = World(seed=1)
        ec2, region = at(world).client("ec2"), world.region()
        made = [region.add(tags={}).id for _ in range(50)]
        world.clock.sleep(100)
        for id_ in made:
            region.tag(id_, keep="yes")
        world.fail("DescribeInstances", Fault(kind=FaultKind.STALE, seconds=30, share=0.5))
        assert 10 < len(filtered(ec2, tag_key=["keep"])) < 40
        assert filtered(ec2, tag_key=["keep"]) == set(made)


class TestOutages:
    def test_only_ids_of_other_zones_are_described_during_an_outage_of_a_zone(
        self, cloud: Reach, ec2: Any
    ) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html"""
        region = cloud.world.region()
        lit = region.add(zone=region.zones[0]).id
        dark = region.add(zone=region.zones[1]).id
        region.dark_zones.add(region.zones[1])
        assert ids(ec2.describe_instances(InstanceIds=[lit])) == [lit]
        assert code(lambda: ec2.describe_instances(InstanceIds=[lit, dark])) == "Unavailable"
        assert code(ec2.describe_instances) == "Unavailable"

    def test_a_disabled_region_is_an_error_and_not_empty(self, cloud: Reach) -> None:
        away = cloud.client("ec2", "ap-east-1")
        assert refusal(away.describe_instances)[0::2] == ("AuthFailure", 401)


def test_regions_are_listed_when_enabled_or_all_on_request(ec2: Any) -> None:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html"""
    enabled = {r["RegionName"] for r in ec2.describe_regions()["Regions"]}
    every = ec2.describe_regions(AllRegions=True)["Regions"]
    assert {r["RegionName"] for r in every if r["OptInStatus"] == "not-opted-in"} == {
        r["RegionName"] for r in every
    } - enabled
