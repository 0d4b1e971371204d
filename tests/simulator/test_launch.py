"""RunInstances: how many, where, with which tags, and what a token remembers."""

from functools import partial
from typing import Any

import pytest

from curfew_simulator.cloud.ec2 import lifecycle
from curfew_simulator.cloud.history import Change
from curfew_simulator.cloud.world import World
from tests.simulator.asking import IMAGE, code, filtered, launch, refusal
from tests.simulator.conftest import Reach

A, B = "eu-central-1a", "eu-central-1b"


class TestTokens:
    """Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html"""

    def test_the_same_token_launches_once_with_the_same_answer(self, both: Reach) -> None:
        ec2 = both.client("ec2")
        first = launch(ec2, 2, ClientToken="t")
        assert launch(ec2, 2, ClientToken="t") == first
        assert len(both.world.region().machines) == 2
        assert filtered(ec2, client_token=["t"]) == set(first)

    def test_other_parameters_with_the_same_token_are_a_mismatch(self, ec2: Any) -> None:
        launch(ec2, ClientToken="t")
        said, message, status = refusal(lambda: launch(ec2, 2, ClientToken="t"))
        assert (said, status) == ("IdempotentParameterMismatch", 400)
        assert message.startswith("Arguments on this idempotent request are inconsistent with")

    def test_the_same_token_launches_again_in_another_zone(self, cloud: Reach, ec2: Any) -> None:
        """With a zone or a subnet the memory is the zone's own."""
        first = launch(ec2, ClientToken="t", Placement={"AvailabilityZone": A})
        second = launch(ec2, ClientToken="t", Placement={"AvailabilityZone": B})
        assert first != second
        subnet = next(s for s, zone in cloud.world.region().subnets.items() if zone == B)
        assert code(lambda: launch(ec2, ClientToken="t", SubnetId=subnet)) == (
            "IdempotentParameterMismatch"
        )
        assert len(launch(ec2, ClientToken="t")) == 1
        assert len(cloud.world.region().machines) == 3

    def test_a_failed_launch_does_not_use_up_its_token(self, cloud: Reach, ec2: Any) -> None:
        limits = cloud.world.region().limits
        limits.capacity["t2.micro", A] = 0
        zone = {"Placement": {"AvailabilityZone": A}}
        assert code(lambda: launch(ec2, ClientToken="t", **zone)) == "InsufficientInstanceCapacity"
        limits.capacity["t2.micro", A] = 1
        assert len(launch(ec2, ClientToken="t", **zone)) == 1

    @pytest.mark.parametrize("after", [1, 7_200], ids=["terminated", "gone"])
    def test_the_token_of_a_terminated_instance_launches_nothing_more(
        self, cloud: Reach, ec2: Any, after: int
    ) -> None:
        """Recorded: boto/boto3#4406; it used to succeed, and the reference still says that it does."""
        first = launch(ec2, ClientToken="t")
        ec2.terminate_instances(InstanceIds=first)
        assert launch(ec2, ClientToken="t") == first
        cloud.world.clock.sleep(after)
        assert code(lambda: launch(ec2, ClientToken="t")) == "IdempotentInstanceTerminated"
        assert cloud.world.history.of(Change.LAUNCHED) == {first[0]: 1}

    def test_every_call_without_a_token_launches(self, ec2: Any) -> None:
        """boto3 makes one up for each call, so that only its own retries are safe."""
        assert launch(ec2) != launch(ec2)


class TestNumbers:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html"""

    def test_a_launch_makes_the_largest_number_with_capacity(self, cloud: Reach, ec2: Any) -> None:
        cloud.world.region().limits.capacity["t2.micro", A] = 3
        zone = {"AvailabilityZone": A}
        assert len(launch(ec2, MinCount=1, MaxCount=5, Placement=zone)) == 3

    def test_capacity_below_the_minimum_is_an_error_500(self, cloud: Reach, ec2: Any) -> None:
        """That it is a 500, which clients repeat: aws-sdk-ruby#568, hammertime#29 (statusCode: 500)."""
        cloud.world.region().limits.capacity["t2.micro", A] = 3
        zone = {"AvailabilityZone": A}
        said, _, status = refusal(
            lambda: launch(ec2, MinCount=4, MaxCount=5, Placement=zone, InstanceType="t2.micro")
        )
        assert (said, status) == ("InsufficientInstanceCapacity", 500)
        assert cloud.world.region().machines == {}

    def test_ec2_chooses_a_zone_with_capacity(self, cloud: Reach, ec2: Any) -> None:
        region = cloud.world.region()
        region.limits.capacity |= {("t2.micro", z): 0 for z in region.zones[:2]}
        (id_,) = launch(ec2)
        assert region.machines[id_].zone == region.zones[2]

    @pytest.mark.parametrize(
        ("limit", "error"), [("vcpus", "VcpuLimitExceeded"), ("instances", "InstanceLimitExceeded")]
    )
    def test_a_quota_is_an_error_of_its_own(
        self, cloud: Reach, ec2: Any, limit: str, error: str
    ) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html"""
        setattr(cloud.world.region().limits, limit, 4)
        launch(ec2, 2)
        assert refusal(lambda: launch(ec2, 3))[0::2] == (error, 400)

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue"),
            ({"MinCount": 0}, "InvalidParameterValue"),
            ({"InstanceType": "t2.enormous"}, "InvalidParameterValue"),
            ({"ImageId": "ubuntu"}, "InvalidAMIID.Malformed"),
            ({"SubnetId": "subnet-1"}, "InvalidSubnetID.NotFound"),
            ({"Placement": {"AvailabilityZone": "us-east-1a"}}, "InvalidParameterValue"),
            ({"ClientToken": "x" * 65}, "InvalidParameterValue"),
        ],
        ids=str,
    )
    def test_invalid_parameters_launch_nothing(
        self, cloud: Reach, ec2: Any, wrong: dict[str, Any], error: str
    ) -> None:
        assert code(lambda: launch(ec2, **wrong)) == error
        assert cloud.world.region().machines == {}


class TestBirth:
    def test_instances_volumes_and_requests_have_their_tags_from_launch(
        self, cloud: Reach, ec2: Any
    ) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html"""
        kinds = ("instance", "volume", "network-interface", "spot-instances-request")
        specs = [{"ResourceType": k, "Tags": [{"Key": "of", "Value": k}]} for k in kinds]
        (id_,) = launch(ec2, TagSpecifications=specs, InstanceMarketOptions={"MarketType": "spot"})
        region = cloud.world.region()
        assert region.machines[id_].tags == {"of": "instance"}
        (volume,) = region.machines[id_].volumes
        assert region.side_tags[volume.id] == {"of": "volume"}
        assert {"of": "network-interface"} in region.side_tags.values()
        (request,) = region.spot_requests.values()
        assert request.tags == {"of": "spot-instances-request"}

    def test_tags_that_break_the_rules_launch_nothing(self, cloud: Reach, ec2: Any) -> None:
        bad = [{"ResourceType": "instance", "Tags": [{"Key": "aws:x", "Value": ""}]}]
        assert code(lambda: launch(ec2, TagSpecifications=bad)) == "InvalidParameterValue"
        assert cloud.world.history.effects == []

    def test_a_launched_instance_is_pending_first_and_running_later(self, at: Any) -> None:
        world = World(seed=4)
        (id_,) = launch(at(world).client("ec2"))
        assert world.region().machines[id_].state == "pending"
        world.clock.sleep(30)
        assert world.region().machines[id_].state == "running"

    def test_some_launched_instances_die_at_once(self, cloud: Reach, ec2: Any) -> None:
        """From pending to terminated; source:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html#troubleshooting-launch-internal
        """
        cloud.world.region().doomed.add("t2.micro")
        (id_,) = launch(ec2)
        cloud.world.clock.sleep(1)
        (instance,) = ec2.describe_instances()["Reservations"][0]["Instances"]
        assert (instance["InstanceId"], instance["State"]["Name"]) == (id_, "terminated")
        assert instance["StateReason"] == {
            "Code": "Server.InternalError", "Message": "Server.InternalError: Internal error on launch",
        }  # fmt: skip

    def test_an_instance_keeps_metadata_options_and_subnet(self, cloud: Reach, ec2: Any) -> None:
        subnet, zone = next(iter(cloud.world.region().subnets.items()))
        options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        launch(ec2, SubnetId=subnet, MetadataOptions=options)
        (instance,) = ec2.describe_instances()["Reservations"][0]["Instances"]
        assert instance["MetadataOptions"].items() >= options.items()
        assert (instance["SubnetId"], instance["Placement"]["AvailabilityZone"]) == (subnet, zone)

    def test_volumes_stay_without_delete_on_termination(self, cloud: Reach, ec2: Any) -> None:
        disk = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": False}}
        (id_,) = launch(ec2, BlockDeviceMappings=[disk])
        (instance,) = ec2.describe_instances()["Reservations"][0]["Instances"]
        root, other = (d["Ebs"] for d in instance["BlockDeviceMappings"])
        assert (root["DeleteOnTermination"], other["DeleteOnTermination"]) == (True, False)
        ec2.terminate_instances(InstanceIds=[id_])
        cloud.world.clock.sleep(1)
        assert {v for v in cloud.world.region().side_tags if v.startswith("vol-")} == {
            other["VolumeId"]
        }

    def test_a_shutdown_from_inside_terminates_if_the_launch_said_so(
        self, cloud: Reach, ec2: Any
    ) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html"""
        region = cloud.world.region()
        (mortal,) = launch(
            ec2, InstanceInitiatedShutdownBehavior="terminate", DisableApiTermination=True
        )
        (other,) = launch(ec2)
        cloud.world.clock.sleep(1)
        for id_ in (mortal, other):
            lifecycle.shut_down(region, id_)
        cloud.world.clock.sleep(1)
        assert (region.ids("terminated"), region.ids("stopped")) == ({mortal}, {other})

    def test_a_dry_run_launches_nothing(self, cloud: Reach, ec2: Any) -> None:
        assert code(lambda: launch(ec2, DryRun=True)) == "DryRunOperation"
        assert cloud.world.history.of(Change.LAUNCHED) == {}

    def test_a_spot_instance_cannot_launch_protected_nor_persist_without_a_stop(
        self, ec2: Any
    ) -> None:
        spot = {"MarketType": "spot"}
        lasting = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent"}}
        for wrong in (
            {"InstanceMarketOptions": spot, "DisableApiTermination": True},
            {"InstanceMarketOptions": lasting},
        ):
            assert code(partial(launch, ec2, **wrong)) == "InvalidParameterCombination"

    def test_instances_of_one_launch_share_a_reservation(self, ec2: Any) -> None:
        launch(ec2, 3, ImageId=IMAGE)
        launch(ec2)
        sizes = [len(r["Instances"]) for r in ec2.describe_instances()["Reservations"]]
        assert sizes == [3, 1]
