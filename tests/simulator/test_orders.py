"""Terminate, stop, start: who dies, who does not, and what the call says about it."""

from datetime import timedelta
from typing import Any

import pytest

from curfew_simulator.cloud.ec2.region import Pace
from curfew_simulator.cloud.history import Change
from curfew_simulator.cloud.world import World
from tests.simulator.asking import code, ids, launch, refusal
from tests.simulator.conftest import Reach

MISSING = "i-0000000000000dead"


def states(answer: Any) -> dict[str, tuple[str, str]]:
    """Before and after, by id."""
    (changes,) = (value for name, value in answer.items() if name.endswith("Instances"))
    return {
        c["InstanceId"]: (c["PreviousState"]["Name"], c["CurrentState"]["Name"]) for c in changes
    }


class TestTermination:
    """Source of all: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html"""

    def test_the_answer_has_the_states_before_and_after(self, cloud: Reach, ec2: Any) -> None:
        region = cloud.world.region()
        running, stopped = region.add().id, region.add(state="stopped").id
        answer = ec2.terminate_instances(InstanceIds=[running, stopped])
        assert states(answer) == {
            running: ("running", "shutting-down"),
            stopped: ("stopped", "shutting-down"),
        }
        codes = [c["CurrentState"]["Code"] for c in answer["TerminatingInstances"]]
        assert codes == [32, 32]

    def test_terminating_again_succeeds_and_does_nothing(self, cloud: Reach, ec2: Any) -> None:
        id_ = cloud.world.region().add().id
        ec2.terminate_instances(InstanceIds=[id_])
        cloud.world.clock.sleep(1)
        again = ec2.terminate_instances(InstanceIds=[id_, id_])
        assert states(again) == {id_: ("terminated", "terminated")}
        assert cloud.world.history.of(Change.TERMINATED) == {id_: 1}

    @pytest.mark.parametrize(
        ("bad", "error"),
        [(MISSING, "InvalidInstanceID.NotFound"), ("i-xyz", "InvalidInstanceID.Malformed")],
    )
    def test_one_bad_id_fails_the_call_and_ends_nothing(
        self, both: Reach, bad: str, error: str
    ) -> None:
        """The reference has it: "none of the instances are terminated"."""
        region = both.world.region()
        good = region.add().id
        ec2 = both.client("ec2")
        assert code(lambda: ec2.terminate_instances(InstanceIds=[good, bad])) == error
        assert region.ids("running") == {good}

    def test_a_call_without_ids_is_refused(self, ec2: Any) -> None:
        assert code(lambda: ec2.terminate_instances(InstanceIds=[])) == "MissingParameter"

    @pytest.mark.parametrize("shield", ["termination_protected", "stop_protected"])
    def test_a_protected_instance_saves_only_its_zone_and_fails_the_call(
        self, both: Reach, shield: str
    ) -> None:
        """The example of the reference: A and B in one zone go, C, which is protected, and D in the other stay.

        That stop protection does the same: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
        """
        region = both.world.region()
        a, b = (region.add(zone="eu-central-1a").id for _ in "ab")
        c = region.add(zone="eu-central-1b", **{shield: True}).id
        d = region.add(zone="eu-central-1b").id

        said, message, status = refusal(
            lambda: both.client("ec2").terminate_instances(InstanceIds=[d, c, b, a])
        )

        attribute = {
            "termination_protected": "disableApiTermination",
            "stop_protected": "disableApiStop",
        }
        assert (said, status) == ("OperationNotPermitted", 400)
        assert message == (
            f"The instance '{c}' may not be terminated. "
            f"Modify its '{attribute[shield]}' instance attribute and try again."
        )
        assert region.ids("running") == {c, d}
        assert both.world.history.of(Change.TERMINATED) == {a: 1, b: 1}

    def test_a_dry_run_is_an_error_and_does_nothing(self, cloud: Reach, ec2: Any) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html"""
        id_ = cloud.world.region().add().id
        said, _, status = refusal(lambda: ec2.terminate_instances(InstanceIds=[id_], DryRun=True))
        assert (said, status) == ("DryRunOperation", 412)
        assert cloud.world.region().ids("running") == {id_}

    def test_a_terminated_instance_stays_visible_for_an_hour_while_its_tags_go(
        self, at: Any
    ) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html"""
        world = World(seed=5)
        ec2 = at(world).client("ec2")
        region = world.region()
        id_ = region.add(tags={str(n): "x" for n in range(20)}).id
        ec2.terminate_instances(InstanceIds=[id_])
        assert region.machines[id_].state == "shutting-down"
        world.clock.sleep(60)
        assert region.machines[id_].state == "terminated"
        world.clock.advance(timedelta(minutes=25))
        assert 0 < len(region.machines[id_].tags) < 20
        world.clock.advance(timedelta(minutes=25))
        assert region.machines[id_].tags == {}
        world.clock.advance(timedelta(minutes=20))
        assert (
            code(lambda: ec2.describe_instances(InstanceIds=[id_])) == "InvalidInstanceID.NotFound"
        )

    def test_another_account_or_region_does_not_know_the_instance(self, cloud: Reach) -> None:
        world = cloud.world
        here = world.region()
        there, theirs = world.region(name="eu-west-1"), world.region("210987654321")
        id_ = here.add().id
        there.add(id=id_)
        theirs.add(id=id_)

        cloud.client("ec2", access_key="210987654321").terminate_instances(InstanceIds=[id_])

        assert [r.machines[id_].state.ended for r in (here, there, theirs)] == [False, False, True]
        nowhere = cloud.client("ec2", "us-east-1")
        assert code(lambda: nowhere.terminate_instances(InstanceIds=[id_])) == (
            "InvalidInstanceID.NotFound"
        )


class TestStopAndStart:
    def test_a_stop_and_a_start_take_time_and_reset_the_launch_time(self, at: Any) -> None:
        """``LaunchTime`` is "the time that the instance was last launched".

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
        """
        world = World(seed=2)
        ec2, region = at(world).client("ec2"), world.region()
        machine = region.add()
        assert states(ec2.stop_instances(InstanceIds=[machine.id])) == {
            machine.id: ("running", "stopping")
        }
        assert (
            code(lambda: ec2.start_instances(InstanceIds=[machine.id])) == "IncorrectInstanceState"
        )
        world.clock.sleep(60)
        assert states(ec2.stop_instances(InstanceIds=[machine.id])) == {
            machine.id: ("stopped", "stopped")
        }
        assert states(ec2.start_instances(InstanceIds=[machine.id])) == {
            machine.id: ("stopped", "pending")
        }
        assert region.machines[machine.id].started_at == world.clock.now()
        world.clock.sleep(30)
        assert region.machines[machine.id].state == "running"

    @pytest.mark.parametrize(
        ("how", "error"),
        [
            ({"stop_protected": True}, "OperationNotPermitted"),
            ({"root_device": "instance-store"}, "UnsupportedOperation"),
            ({"lifecycle": "spot"}, "UnsupportedOperation"),
            ({"state": "terminated"}, "IncorrectInstanceState"),
            ({"state": "pending"}, "IncorrectInstanceState"),
        ],
        ids=str,
    )
    def test_one_instance_that_cannot_stop_fails_the_whole_call(
        self, cloud: Reach, ec2: Any, how: dict[str, Any], error: str
    ) -> None:
        """Sources: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html, and
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-stop.html
        """
        region = cloud.world.region()
        good, bad = region.add().id, region.add(**how).id
        assert code(lambda: ec2.stop_instances(InstanceIds=[good, bad])) == error
        assert region.machines[good].state == "running"

    def test_termination_protection_does_not_prevent_a_stop(self, cloud: Reach, ec2: Any) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html"""
        id_ = cloud.world.region().add(termination_protected=True).id
        ec2.stop_instances(InstanceIds=[id_])
        cloud.world.clock.sleep(0)
        assert cloud.world.region().ids("stopped") == {id_}

    def test_a_terminated_instance_cannot_start(self, cloud: Reach, ec2: Any) -> None:
        id_ = cloud.world.region().add(state="terminated").id
        assert code(lambda: ec2.start_instances(InstanceIds=[id_])) == "IncorrectInstanceState"

    def test_an_instance_terminated_while_it_stops_does_not_come_back(self, at: Any) -> None:
        world = World(seed=3, pace=Pace(stopping=(50, 50), shutting_down=(10, 10)))
        ec2 = at(world).client("ec2")
        id_ = world.region().add().id
        ec2.stop_instances(InstanceIds=[id_])
        ec2.terminate_instances(InstanceIds=[id_])
        world.clock.sleep(100)
        assert world.region().ids("terminated") == {id_}


class TestAttributes:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html"""

    @pytest.mark.parametrize("attribute", ["disableApiTermination", "disableApiStop"])
    def test_a_protection_is_read_as_it_was_set_by_either_parameter(
        self, cloud: Reach, ec2: Any, attribute: str
    ) -> None:
        id_ = cloud.world.region().add().id
        name = attribute[0].upper() + attribute[1:]

        def read() -> bool:
            answer = ec2.describe_instance_attribute(InstanceId=id_, Attribute=attribute)
            return bool(answer[name]["Value"])

        assert read() is False
        ec2.modify_instance_attribute(InstanceId=id_, **{name: {"Value": True}})
        assert read() is True
        ec2.modify_instance_attribute(InstanceId=id_, Attribute=attribute, Value="false")
        assert read() is False

    def test_a_type_changes_only_while_the_instance_is_stopped(
        self, cloud: Reach, ec2: Any
    ) -> None:
        region = cloud.world.region()
        running, stopped = region.add().id, region.add(state="stopped").id
        wanted = {"InstanceType": {"Value": "t3.large"}}
        call = ec2.modify_instance_attribute
        assert code(lambda: call(InstanceId=running, **wanted)) == "IncorrectInstanceState"
        call(InstanceId=stopped, **wanted)
        assert region.machines[stopped].type == "t3.large"

    def test_a_spot_instance_cannot_be_protected(self, cloud: Reach, ec2: Any) -> None:
        id_ = cloud.world.region().add(lifecycle="spot").id
        assert (
            code(
                lambda: ec2.modify_instance_attribute(
                    InstanceId=id_, DisableApiTermination={"Value": True}
                )
            )
            == "UnsupportedOperation"
        )


def test_a_protection_that_was_given_at_launch_holds(ec2: Any) -> None:
    """Moto forgets it."""
    (id_,) = launch(ec2, DisableApiTermination=True)
    assert code(lambda: ec2.terminate_instances(InstanceIds=[id_])) == "OperationNotPermitted"
    assert ids(ec2.describe_instances()) == [id_]
