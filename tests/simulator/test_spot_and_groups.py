"""What comes back when it is ended: the instances of persistent Spot requests and of Auto Scaling groups."""

from typing import Any

from curfew_simulator.cloud import autoscaling
from curfew_simulator.cloud.ec2 import lifecycle
from curfew_simulator.cloud.history import Change
from tests.simulator.asking import code, launch
from tests.simulator.conftest import Reach


def spot(ec2: Any, kind: str) -> str:
    """A Spot Instance of a request of a kind."""
    options = {"SpotInstanceType": kind}
    if kind == "persistent":
        options["InstanceInterruptionBehavior"] = "stop"
    (id_,) = launch(ec2, InstanceMarketOptions={"MarketType": "spot", "SpotOptions": options})
    return id_


def request_of(ec2: Any) -> Any:
    """The one Spot request that there is."""
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    return request


class TestSpotRequests:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html"""

    def test_a_persistent_request_launches_again_after_a_termination(self, both: Reach) -> None:
        ec2, region = both.client("ec2"), both.world.region()
        first = spot(ec2, "persistent")
        both.world.clock.sleep(1)
        ec2.terminate_instances(InstanceIds=[first])
        assert request_of(ec2)["State"] == "open"
        both.world.clock.sleep(1)
        request = request_of(ec2)
        assert (request["State"], request["Type"]) == ("active", "persistent")
        (second,) = region.ids("running")
        assert second == request["InstanceId"] != first
        (anew,) = [e for e in both.world.history.effects if e.id == second]
        assert (anew.change, anew.call) == (Change.LAUNCHED, 0)

    def test_a_cancelled_request_does_not_launch_again(self, cloud: Reach, ec2: Any) -> None:
        id_ = spot(ec2, "persistent")
        cloud.world.clock.sleep(1)
        request = request_of(ec2)["SpotInstanceRequestId"]
        answer = ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request])
        assert answer["CancelledSpotInstanceRequests"] == [
            {"SpotInstanceRequestId": request, "State": "cancelled"}
        ]
        assert cloud.world.region().ids("running") == {id_}
        ec2.terminate_instances(InstanceIds=[id_])
        cloud.world.clock.sleep(600)
        assert cloud.world.region().ids("running", "pending") == set()

    def test_a_one_time_request_closes_with_its_instance(self, cloud: Reach, ec2: Any) -> None:
        ec2.terminate_instances(InstanceIds=[spot(ec2, "one-time")])
        cloud.world.clock.sleep(600)
        assert request_of(ec2)["State"] == "closed"
        assert cloud.world.region().ids("running", "pending") == set()

    def test_cancelling_a_disabled_request_terminates_its_stopped_instance(
        self, cloud: Reach, ec2: Any
    ) -> None:
        id_ = spot(ec2, "persistent")
        cloud.world.clock.sleep(1)
        ec2.stop_instances(InstanceIds=[id_])
        cloud.world.clock.sleep(1)
        request = request_of(ec2)
        assert request["State"] == "disabled"
        ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request["SpotInstanceRequestId"]])
        cloud.world.clock.sleep(1)
        assert cloud.world.region().ids("terminated") == {id_}
        assert cloud.world.history.of(Change.TERMINATED) == {id_: 1}
        assert cloud.world.history.of(Change.SPOT_CANCELLED).total() == 1

    def test_a_disabled_request_is_active_again_after_a_start(self, cloud: Reach, ec2: Any) -> None:
        id_ = spot(ec2, "persistent")
        cloud.world.clock.sleep(1)
        ec2.stop_instances(InstanceIds=[id_])
        cloud.world.clock.sleep(1)
        ec2.start_instances(InstanceIds=[id_])
        assert request_of(ec2)["State"] == "active"

    def test_an_instance_of_a_cancelled_request_cannot_stop(self, cloud: Reach, ec2: Any) -> None:
        id_ = spot(ec2, "persistent")
        cloud.world.clock.sleep(1)
        ec2.cancel_spot_instance_requests(
            SpotInstanceRequestIds=[request_of(ec2)["SpotInstanceRequestId"]]
        )
        assert code(lambda: ec2.stop_instances(InstanceIds=[id_])) == "UnsupportedOperation"

    def test_a_missing_request_id_cancels_no_other(self, ec2: Any) -> None:
        spot(ec2, "persistent")
        request = request_of(ec2)["SpotInstanceRequestId"]
        both = [request, "sir-0000dead"]
        assert (
            code(lambda: ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=both))
            == "InvalidSpotInstanceRequestID.NotFound"
        )
        assert request_of(ec2)["State"] == "active"

    def test_spot_requests_are_found_by_filter(self, ec2: Any) -> None:
        id_ = spot(ec2, "one-time")
        for name, value in [("instance-id", id_), ("state", "active"), ("type", "one-time")]:
            found = ec2.describe_spot_instance_requests(Filters=[{"Name": name, "Values": [value]}])
            assert len(found["SpotInstanceRequests"]) == 1, name

    def test_an_interruption_is_no_call_and_a_persistent_request_launches_again(
        self, cloud: Reach, ec2: Any
    ) -> None:
        id_ = spot(ec2, "persistent")
        cloud.world.clock.sleep(1)
        lifecycle.interrupt(cloud.world.region(), id_)
        cloud.world.clock.sleep(1)
        assert cloud.world.region().ids("running") != {id_}
        assert list(cloud.world.history.by_calls(Change.TERMINATED)) == []


class TestGroups:
    """Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html"""

    def test_a_terminated_member_of_a_group_is_replaced(self, both: Reach) -> None:
        region = both.world.region()
        autoscaling.create_group(region, "web", 2, env="dev")
        both.world.clock.sleep(1)
        one, other = sorted(region.ids("running"))
        assert region.machines[one].tags == {"env": "dev", "aws:autoscaling:groupName": "web"}
        both.client("ec2").terminate_instances(InstanceIds=[one])
        both.world.clock.sleep(1)
        assert other in region.ids("running")
        assert len(region.ids("running")) == 2
        members = both.client("autoscaling").describe_auto_scaling_instances()
        assert {m["InstanceId"] for m in members["AutoScalingInstances"]} == region.ids("running")

    def test_a_group_does_not_lift_termination_protection(self, cloud: Reach, ec2: Any) -> None:
        region = cloud.world.region()
        autoscaling.create_group(region, "web", 1)
        (id_,) = region.machines
        region.change(id_, termination_protected=True)
        assert code(lambda: ec2.terminate_instances(InstanceIds=[id_])) == "OperationNotPermitted"

    def test_a_member_ended_with_its_place_is_not_replaced(self, cloud: Reach) -> None:
        """Source:
        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html
        """
        region, scaling = cloud.world.region(), cloud.client("autoscaling")
        autoscaling.create_group(region, "web", 2)
        cloud.world.clock.sleep(1)
        for keep_place, left in ((False, 2), (True, 1)):
            scaling.terminate_instance_in_auto_scaling_group(
                InstanceId=min(region.ids("running")), ShouldDecrementDesiredCapacity=keep_place
            )
            cloud.world.clock.sleep(1)
            assert len(region.ids("running")) == left

    def test_a_group_has_its_desired_number_of_members(self, cloud: Reach) -> None:
        region, scaling = cloud.world.region(), cloud.client("autoscaling")
        autoscaling.create_group(region, "web", 3)
        for desired in (0, 5):
            scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=desired)
            cloud.world.clock.sleep(1)
            assert len(region.ids("running")) == desired
        assert (
            code(
                lambda: scaling.set_desired_capacity(
                    AutoScalingGroupName="web", DesiredCapacity=999
                )
            )
            == "ValidationError"
        )
