"""A launch on the wire, and its result when the cloud has faults."""

import base64
import re
from typing import Any

import pytest

from curfew.core.errors import (
    AmbiguousError,
    CapacityError,
    MismatchError,
    ProviderError,
    RefusedError,
    ThrottledError,
)
from curfew.core.instance import State
from curfew.providers.base import LaunchCall
from curfew.providers.ec2.provider import Ec2Provider
from curfew_simulator.cloud.faults import Fault, FaultKind
from tests.builders import HERE, NOW, a_selector, an_id
from tests.cloud import (
    BROKEN,
    LOST,
    NOTHING,
    THROTTLED,
    UNSEEN,
    SimulatedEc2,
    a_machine,
    refusal,
    tags_of,
)

TAGS = {"env": "sandbox", "curfew:fleet": "pair", "Name": "ü <&>"}
METADATA = {
    "MetadataOptions": {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": "1",
        "InstanceMetadataTags": "disabled",
    }
}


def a_launch(**more: Any) -> LaunchCall:
    ordinary: dict[str, Any] = {
        "image": "ami-08111162", "instance_type": "t2.micro", "count": 2, "tags": TAGS, "token": "tok",
    }  # fmt: skip
    return LaunchCall(**(ordinary | more))


def sent(launch: LaunchCall) -> dict[str, Any]:
    cloud = SimulatedEc2()
    cloud.provider().launch(launch, by="test")
    (asked,) = cloud.asked
    return asked


def test_minimal_launch_sends_its_fields_and_the_safe_defaults() -> None:
    assert sent(a_launch(tags={})) == {
        "ImageId": "ami-08111162",
        "InstanceType": "t2.micro",
        "MinCount": "1",
        "MaxCount": "2",
        "ClientToken": "tok",
        **METADATA,
    }


def test_a_full_launch_sends_everything() -> None:
    full = a_launch(
        subnet="subnet-b",
        security_groups=("sg-1", "sg-2"),
        key="ops",
        profile="sandbox-role",
        user_data="#!/bin/sh",
        spot=True,
    )

    asked = sent(full)

    rest = {key: value for key, value in asked.items() if key != "TagSpecification"}
    assert rest == {
        "ImageId": "ami-08111162",
        "InstanceType": "t2.micro",
        "MinCount": "1",
        "MaxCount": "2",
        "ClientToken": "tok",
        "SubnetId": "subnet-b",
        "SecurityGroupId": ["sg-1", "sg-2"],
        "KeyName": "ops",
        "IamInstanceProfile": {"Name": "sandbox-role"},
        "UserData": base64.b64encode(b"#!/bin/sh").decode(),
        "InstanceMarketOptions": {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
            },
        },
        **METADATA,
    }
    assert tags_of(asked) == {
        "instance": TAGS,
        "volume": TAGS,
        "network-interface": TAGS,
        "spot-instances-request": TAGS,
    }


def test_on_demand_tags_no_spot_request() -> None:
    assert set(tags_of(sent(a_launch()))) == {"instance", "volume", "network-interface"}


def test_a_profile_may_be_an_arn() -> None:
    arn = "arn:aws:iam::123456789012:instance-profile/sandbox-role"
    asked = sent(a_launch(profile=arn))
    assert asked["IamInstanceProfile"] == {"Arn": arn}


def test_user_data_arrives_encoded_exactly_once() -> None:
    script = "#!/bin/sh\necho 'ü' # +/="
    assert base64.b64decode(sent(a_launch(user_data=script))["UserData"]).decode() == script


def test_user_data_is_in_no_representation() -> None:
    assert "hunter2" not in repr(a_launch(user_data="hunter2"))


def test_launch_returns_the_launched_instances() -> None:
    cloud = SimulatedEc2()

    launched = cloud.provider().launch(a_launch(subnet="subnet-b", spot=True), by="test")

    assert [i.id for i in launched] == list(cloud.machines)
    for instance in launched:
        assert instance.target == HERE
        assert instance.zone == "eu-central-1b"
        assert instance.state is State.PENDING
        assert instance.started_at == NOW
        assert dict(instance.tags) == TAGS
        request = cloud.spot_requests[instance.spot_request]
        assert (request.persistent, request.state) == (False, "active")


def test_no_capacity_is_one_call_although_it_is_a_server_error() -> None:
    cloud = SimulatedEc2()
    cloud.capacity["t2.micro", "eu-central-1a"] = 0

    with pytest.raises(CapacityError, match="InsufficientInstanceCapacity"):
        cloud.provider().launch(a_launch(), by="test")

    assert cloud.orders == [("RunInstances", ("tok",))]
    assert cloud.machines == {}


@pytest.mark.parametrize("quota", ["instances", "vcpus"])
def test_a_quota_limits_and_then_refuses(quota: str) -> None:
    cloud = SimulatedEc2()
    setattr(cloud.region.limits, quota, 3)
    provider = cloud.provider()

    assert len(provider.launch(a_launch(count=5), by="test")) == 3
    with pytest.raises(RefusedError, match="the account's quota"):
        provider.launch(a_launch(token="other"), by="test")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (NOTHING, AmbiguousError),
        (BROKEN, AmbiguousError),
        (THROTTLED, ThrottledError),
        (refusal("UnauthorizedOperation", 403), RefusedError),
        (refusal("Unsupported"), CapacityError),
    ],
    ids=lambda value: getattr(value, "code", "") or getattr(value, "__name__", "time-out"),
)
def test_failed_launch_call_is_made_once(fault: Fault, kind: type[ProviderError]) -> None:
    cloud = SimulatedEc2()
    cloud.fail("RunInstances", fault)

    with pytest.raises(kind):
        cloud.provider().launch(a_launch(), by="test")

    assert len(cloud.asked) == 1


@pytest.mark.parametrize("fault", [LOST, None], ids=["time-out", "garbled"])
def test_launch_with_an_unreadable_response_is_found_by_its_token(
    fault: Fault | None,
) -> None:
    cloud = SimulatedEc2()
    if fault:
        cloud.fail("RunInstances", fault)
    else:
        cloud.fail("RunInstances", Fault(kind=FaultKind.GARBLED), on=1)
    provider = cloud.provider()
    with pytest.raises(AmbiguousError):
        provider.launch(a_launch(), by="test")

    found = provider.launched("tok")
    again = provider.launch(a_launch(), by="test")

    assert {i.id for i in found} == {i.id for i in again} == set(cloud.machines)
    assert len(cloud.machines) == 2


def without_instances(body: bytes) -> bytes:
    return re.sub(rb"<instancesSet>.*</instancesSet>", b"<instancesSet/>", body)


def test_response_that_names_no_instance_is_ambiguous() -> None:
    cloud = SimulatedEc2()
    cloud.fail("RunInstances", Fault(kind=FaultKind.ALTERED, edit=without_instances))
    provider = cloud.provider()

    with pytest.raises(AmbiguousError):
        provider.launch(a_launch(), by="test")

    assert len(provider.launched("tok")) == 2


def test_launched_instance_may_be_invisible_at_first() -> None:
    cloud = SimulatedEc2()
    cloud.fail("DescribeInstances", UNSEEN, times=2)
    provider = cloud.provider()
    provider.launch(a_launch(), by="test")

    assert [len(provider.launched("tok")) for _ in range(4)] == [0, 0, 2, 2]


def test_instance_that_ends_at_once_says_why_and_spends_its_token() -> None:
    cloud = SimulatedEc2()
    cloud.region.doomed.add("t2.micro")
    provider = cloud.provider()
    provider.launch(a_launch(), by="test")

    found = provider.launched("tok")

    assert {i.state for i in found} == {State.TERMINATED}
    assert {i.state_reason for i in found} == {"Server.InternalError: Internal error on launch"}
    with pytest.raises(MismatchError, match="IdempotentInstanceTerminated"):
        provider.launch(a_launch(), by="test")


def test_token_is_searched_on_every_page_and_each_instance_listed_once() -> None:
    cloud = SimulatedEc2(
        *(a_machine(id=an_id(n), client_token="tok") for n in range(7)), page_size=3
    )
    cloud.fail("DescribeInstances", Fault(kind=FaultKind.TWICE))
    cloud.fail("DescribeInstances", Fault(kind=FaultKind.EMPTY_PAGE), on=2)
    assert len(cloud.provider().launched("tok")) == 7


def test_instance_of_another_token_is_ignored_even_if_the_filter_passes() -> None:
    cloud = SimulatedEc2(
        a_machine(id=an_id(1), client_token="tok"), a_machine(id=an_id(2), client_token="TOK")
    )
    cloud.always(FaultKind.UNFILTERED, "DescribeInstances")
    assert [i.id for i in cloud.provider().launched("tok")] == [an_id(1)]


def test_failed_token_search_maps_to_its_error_class() -> None:
    cloud = SimulatedEc2()
    cloud.fail("DescribeInstances", THROTTLED)
    with pytest.raises(ThrottledError):
        cloud.provider().launched("tok")


class TestTokens:
    """A token is stored by zone where there is a subnet, and by region where there is none."""

    def test_a_token_in_another_zone_launches_again(self) -> None:
        cloud = SimulatedEc2()
        provider = cloud.provider()
        provider.launch(a_launch(subnet="subnet-a"), by="test")
        provider.launch(a_launch(subnet="subnet-b"), by="test")
        assert len(cloud.machines) == 4

    def test_a_token_in_another_subnet_of_the_zone_is_a_mismatch(self) -> None:
        cloud = SimulatedEc2()
        cloud.region.subnets["subnet-a2"] = cloud.region.subnets["subnet-a"]
        provider = cloud.provider()
        provider.launch(a_launch(subnet="subnet-a"), by="test")
        with pytest.raises(MismatchError):
            provider.launch(a_launch(subnet="subnet-a2"), by="test")
        assert len(cloud.machines) == 2

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            ({"subnet": "subnet-none"}, "InvalidSubnetID.NotFound"),
            ({"tags": {f"tag-{n}": "" for n in range(51)}}, "TagLimitExceeded"),
            ({"tags": {"aws:own": "x"}}, "InvalidParameterValue"),
        ],
    )
    def test_what_ec2_refuses_launches_nothing(self, more: dict[str, Any], code: str) -> None:
        cloud = SimulatedEc2()
        with pytest.raises(RefusedError) as refused:
            cloud.provider().launch(a_launch(**more), by="test")
        assert refused.value.code == code
        assert cloud.machines == {}


class TestPage:
    @pytest.mark.parametrize(("limit", "size"), [(1, 5), (5, 5), (40, 40), (5_000, 1_000)])
    def test_page_size_is_within_the_range_of_ec2(self, limit: int, size: int) -> None:
        cloud = SimulatedEc2(*(a_machine(id=an_id(n)) for n in range(1_001)))
        page = cloud.provider().page(a_selector(), limit=limit)
        assert len(page.instances) == size
        assert page.after

    def test_instances_that_pass_the_filters_are_selected_again(self) -> None:
        cloud = SimulatedEc2(a_machine(id=an_id(1)), a_machine(id=an_id(2), tags={"env": "prod"}))
        cloud.always(FaultKind.UNFILTERED, "DescribeInstances")
        page = cloud.provider().page(a_selector(), limit=5)
        assert [i.id for i in page.instances] == [an_id(1)]

    def test_an_empty_page_is_not_the_last(self) -> None:
        cloud = SimulatedEc2(*(a_machine(id=an_id(n)) for n in range(3)))
        cloud.fail("DescribeInstances", Fault(kind=FaultKind.EMPTY_PAGE), on=1)
        provider = cloud.provider()

        first = provider.page(a_selector(), limit=5)

        assert first.instances == ()
        assert len(provider.page(a_selector(), limit=5, after=first.after).instances) == 3

    @pytest.mark.parametrize("after", ["", "5:2"])
    def test_page_failure_unrelated_to_its_token_is_a_cloud_error(self, after: str) -> None:
        cloud = SimulatedEc2()
        cloud.fail("DescribeInstances", refusal("UnauthorizedOperation", 403))
        with pytest.raises(RefusedError):
            cloud.provider().page(a_selector(), limit=5, after=after)

    def test_the_first_page_has_no_token_to_be_wrong(self) -> None:
        cloud = SimulatedEc2()
        cloud.fail("DescribeInstances", refusal("InvalidParameterValue"))
        with pytest.raises(RefusedError):
            cloud.provider().page(a_selector(), limit=5)


class TestImage:
    def test_a_parameter_may_name_a_version(self) -> None:
        cloud = SimulatedEc2()
        cloud.parameters["/image:3"] = "ami-08111162"
        assert cloud.provider().image("resolve:ssm:/image:3") == "ami-08111162"
        assert cloud.calls == [("GetParameter", ("/image:3",))]

    def test_parameter_needs_an_ssm_client(self) -> None:
        client = SimulatedEc2().client()
        provider = Ec2Provider(target=HERE, read=client, act=lambda: client)
        assert provider.image("ami-08111162") == "ami-08111162"
        with pytest.raises(RefusedError, match="the parameter /image"):
            provider.image("resolve:ssm:/image")

    @pytest.mark.parametrize(
        "value",
        ["", "ami-", "ami-xyz", "ami-08111162,ami-08111163", " ami-08111162", "ami-0811116\n"],
    )
    def test_malformed_image_id_is_refused(self, value: str) -> None:
        cloud = SimulatedEc2()
        cloud.parameters["/image"] = value
        with pytest.raises(RefusedError, match="not the id of an image"):
            cloud.provider().image("resolve:ssm:/image")


def test_many_are_labelled_in_several_calls() -> None:
    cloud = SimulatedEc2(*(a_machine(id=an_id(n), tags={}) for n in range(450)))
    cloud.provider().label([an_id(n) for n in range(450)], {"curfew:lease": "x"}, by="test")
    assert [len(ids) for _, ids in cloud.orders] == [20] * 22 + [10]
    assert all(machine.tags == {"curfew:lease": "x"} for machine in cloud.machines.values())
