"""How answers go wrong: exactly as scripted, by chance from the seed, and by whatever a test does at a call."""

from contextlib import suppress
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from curfew_simulator.cloud.faults import HARSH, PROFILES, Fault, FaultKind, applies
from curfew_simulator.cloud.history import CallRecord, Change
from curfew_simulator.cloud.protocols import Message
from curfew_simulator.cloud.server import Server
from curfew_simulator.cloud.transport import Cloud
from curfew_simulator.cloud.world import ACCOUNT, World
from tests.simulator.asking import code, launch, refusal
from tests.simulator.conftest import Reach

KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


class Crash(BaseException):
    """The process is gone."""


def terminate(reach: Reach) -> Any:
    """A machine, and the call that ends it."""
    id_ = reach.world.region().add().id
    return partial(reach.client("ec2").terminate_instances, InstanceIds=[id_])


class TestScripted:
    @pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
    def test_an_error_comes_before_the_effect_or_after_it(self, both: Reach, *, late: bool) -> None:
        kind = FaultKind.ERROR_AFTER if late else FaultKind.ERROR
        both.world.fail("TerminateInstances", Fault(kind=kind))
        assert refusal(terminate(both))[0::2] == ("InternalError", 500)
        assert both.world.history.of(Change.TERMINATED).total() == late
        (call,) = both.world.history.calls
        assert (call.code, call.effect, call.faults) == ("InternalError", late, (kind,))

    @pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
    def test_a_cut_connection_may_come_before_or_after_the_effect(
        self, both: Reach, *, late: bool
    ) -> None:
        both.world.fail(
            "TerminateInstances", Fault(kind=FaultKind.CUT_AFTER if late else FaultKind.CUT)
        )
        with pytest.raises(ConnectionClosedError):
            terminate(both)()
        assert both.world.history.of(Change.TERMINATED).total() == late
        assert both.world.history.calls[0].code == "(cut)"

    def test_a_client_waits_for_a_slow_answer_until_its_time_out(self, at: Any) -> None:
        world = World()
        client = at(world).client("ec2")
        timeout = client.meta.config.read_timeout
        world.fail("DescribeInstances", Fault(kind=FaultKind.SLOW, seconds=timeout - 1))
        world.fail("TerminateInstances", Fault(kind=FaultKind.SLOW, seconds=timeout + 1))
        before = world.clock.now()
        client.describe_instances()
        assert (world.clock.now() - before).total_seconds() == timeout - 1
        with pytest.raises(ReadTimeoutError):
            terminate(at(world))()
        assert world.history.of(Change.TERMINATED).total() == 1

    def test_a_throttled_call_has_no_effect(self, cloud: Reach) -> None:
        cloud.world.fail("TerminateInstances", Fault(kind=FaultKind.THROTTLED))
        assert refusal(terminate(cloud))[0::2] == ("RequestLimitExceeded", 503)
        assert cloud.world.history.effects == []
        cloud.world.tables().make("t")
        cloud.world.fail("GetItem", Fault(kind=FaultKind.THROTTLED))
        get = partial(cloud.client("dynamodb").get_item, TableName="t", Key=KEY)
        assert code(get) == "ProvisionedThroughputExceededException"

    def test_a_scripted_fault_may_have_any_code(self, cloud: Reach) -> None:
        cloud.world.fail(
            "TerminateInstances", Fault(kind=FaultKind.ERROR, code="Unavailable", status=503)
        )
        assert refusal(terminate(cloud))[0::2] == ("Unavailable", 503)

    def test_a_garbled_answer_cannot_be_read(self, both: Reach) -> None:
        both.world.fail("DescribeInstances", Fault(kind=FaultKind.GARBLED))
        both.world.fail("GetCallerIdentity", Fault(kind=FaultKind.GARBLED))
        with pytest.raises(ValueError, match="never"):
            both.client("ec2").describe_instances()
        with pytest.raises(ResponseParserError):
            both.client("sts").get_caller_identity()

    def test_the_sdk_takes_garbled_json_for_an_empty_answer(self, both: Reach) -> None:
        """So that an item that is there seems not to be: a reason to ask for the truth in more than one way."""
        both.world.tables().make("t")
        db = both.client("dynamodb")
        db.put_item(TableName="t", Item=KEY)
        both.world.fail("GetItem", Fault(kind=FaultKind.GARBLED))
        assert "Item" not in db.get_item(TableName="t", Key=KEY)
        assert "Item" in db.get_item(TableName="t", Key=KEY)

    def test_an_answer_may_omit_an_id_or_confirm_what_is_not_done(
        self, cloud: Reach, ec2: Any
    ) -> None:
        region = cloud.world.region()
        cloud.world.fail("TerminateInstances", Fault(kind=FaultKind.UNNAMED))
        cloud.world.fail("TerminateInstances", Fault(kind=FaultKind.IDLE), on=2)
        both = [region.add().id for _ in range(2)]
        assert len(ec2.terminate_instances(InstanceIds=both)["TerminatingInstances"]) == 1
        assert region.ids("shutting-down") == set(both)
        idle = region.add().id
        (change,) = ec2.terminate_instances(InstanceIds=[idle])["TerminatingInstances"]
        assert change["CurrentState"]["Name"] == "shutting-down"
        assert region.ids("running") == {idle}

    def test_only_the_scripted_calls_fail(self, cloud: Reach, ec2: Any) -> None:
        cloud.world.fail("DescribeInstances", Fault(kind=FaultKind.ERROR), on=2, times=2)
        codes = []
        for _ in range(4):
            try:
                ec2.describe_instances()
                codes.append("")
            except ec2.exceptions.ClientError as error:
                codes.append(error.response["Error"]["Code"])
        assert codes == ["", "InternalError", "InternalError", ""]
        assert cloud.world.faults.injected == {FaultKind.ERROR: 2}


class TestHooks:
    def test_a_hook_changes_the_world_just_before_a_call(self, both: Reach) -> None:
        region = both.world.region()
        end = terminate(both)
        (id_,) = region.machines
        both.world.before(
            "TerminateInstances", lambda _: region.change(id_, termination_protected=True)
        )
        assert code(end) == "OperationNotPermitted"

    def test_a_hook_sees_every_call_with_its_caller(self, cloud: Reach) -> None:
        seen: list[CallRecord] = []
        cloud.world.every_call(seen.append)
        terminate(cloud)()
        cloud.client("ec2", "eu-west-1", access_key="210987654321").describe_instances()
        assert [(c.operation, c.nth, c.account, c.region) for c in seen] == [
            ("TerminateInstances", 1, ACCOUNT, "eu-central-1"),
            ("DescribeInstances", 1, "210987654321", "eu-west-1"),
        ]
        assert seen[0].ids == tuple(cloud.world.region().machines)

    @pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
    def test_a_crash_goes_through_the_sdk_before_the_effect_or_after_it(
        self, cloud: Reach, *, late: bool
    ) -> None:
        cloud.world.crash("TerminateInstances", Crash(), late=late)
        with pytest.raises(Crash):
            terminate(cloud)()
        assert cloud.world.history.of(Change.TERMINATED).total() == late

    def test_a_crash_over_http_is_a_cut_connection(self) -> None:
        world = World()
        world.crash("DescribeInstances", RuntimeError("gone"))
        with Server(world) as server:
            config = Config(retries={"total_max_attempts": 1})
            client = boto3.client("ec2", "eu-west-1", endpoint_url=server.url, config=config)
            with pytest.raises(ConnectionClosedError):
                client.describe_instances()
            client.close()
            assert [str(problem) for problem in server.problems] == ["gone"]


class TestTheSdksOwnRetries:
    def test_retries_of_the_sdk_wait_on_the_clock_of_the_world(self) -> None:
        world = World(seed=1)
        client = Cloud(world).client("ec2", attempts=3)
        world.fail("DescribeInstances", Fault(kind=FaultKind.THROTTLED), times=2)
        before = world.clock.now()
        client.describe_instances()
        assert world.clock.now() > before
        assert [call.code for call in world.history.calls] == ["RequestLimitExceeded"] * 2 + [""]

    def test_retries_of_the_sdk_end_after_their_attempts(self) -> None:
        world = World()
        client = Cloud(world).client("ec2", attempts=3)
        world.fail("DescribeInstances", Fault(kind=FaultKind.ERROR), times=9)
        assert code(client.describe_instances) == "InternalError"
        assert len(world.history.calls) == 3

    def test_a_launch_repeated_with_its_token_launches_once(self) -> None:
        world = World()
        client = Cloud(world).client("ec2", attempts=3)
        world.fail("RunInstances", Fault(kind=FaultKind.CUT_AFTER))
        assert launch(client) == list(world.region().machines)
        assert len(world.history.calls) == 2

    def test_a_repeated_write_may_fail_on_its_own_first_try(self) -> None:
        """Recorded: aws/aws-sdk-java#2667."""
        world = World()
        world.tables().make("t")
        client = Cloud(world).client("dynamodb", attempts=3)
        world.fail("PutItem", Fault(kind=FaultKind.CUT_AFTER))
        put = partial(
            client.put_item, TableName="t", Item=KEY, ConditionExpression="attribute_not_exists(pk)"
        )
        assert code(put) == "ConditionalCheckFailedException"
        assert world.history.of(Change.WRITTEN) == {"t/a/b": 1}


class TestThrottling:
    """Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""

    def spent(self, call: Any, world: World) -> int:
        """How often a call passes while the clock does not move."""
        for number in range(200):
            try:
                call()
            except Exception as error:  # noqa: BLE001
                assert "RequestLimitExceeded" in str(error)  # noqa: PT017
                return number
        return 200

    @pytest.mark.parametrize(
        ("operation", "size", "refill"),
        [
            ("describe narrowed", 100, 20), ("describe all", 50, 10), ("terminate", 100, 5),
            ("launch", 5, 2), ("stop", 50, 5), ("tag", 100, 10), ("attribute", 100, 20),
        ],
    )  # fmt: skip
    def test_buckets_have_the_published_sizes_and_refills(
        self, at: Any, operation: str, size: int, refill: int
    ) -> None:
        world = World(throttled=True)
        ec2, id_ = at(world).client("ec2"), world.region().add().id
        one = {"InstanceIds": [id_]}
        call = {
            "describe narrowed": partial(ec2.describe_instances, MaxResults=5),
            "describe all": ec2.describe_instances,
            "terminate": partial(ec2.terminate_instances, **one),
            "launch": partial(launch, ec2),
            "stop": partial(ec2.stop_instances, **one),
            "tag": partial(ec2.create_tags, Resources=[id_], Tags=[{"Key": "a", "Value": "b"}]),
            "attribute": partial(
                ec2.describe_instance_attribute, InstanceId=id_, Attribute="disableApiStop"
            ),
        }[operation]
        assert self.spent(call, world) == size
        world.clock.sleep(1)
        assert self.spent(call, world) == refill

    def test_buckets_count_instances_as_well(self, at: Any) -> None:
        world = World(throttled=True)
        ec2 = at(world).client("ec2")
        launch(ec2, 600)
        assert code(partial(launch, ec2, 600)) == "RequestLimitExceeded"

    def test_accounts_and_regions_have_buckets_of_their_own(self, at: Any) -> None:
        world = World(throttled=True)
        reach = at(world)
        assert self.spent(reach.client("ec2").describe_instances, world) == 50
        reach.client("ec2", "eu-west-1").describe_instances()
        reach.client("ec2", access_key="210987654321").describe_instances()


class TestChance:
    def test_every_fault_of_a_profile_occurs_and_is_counted(self) -> None:
        world = World(seed=3, faults="harsh")
        world.tables().make("t")
        cloud = Cloud(world)
        ec2, db = cloud.client("ec2"), cloud.client("dynamodb")
        ids = [world.region().add().id for _ in range(20)]
        calls = [
            partial(ec2.describe_instances, MaxResults=5),
            partial(ec2.terminate_instances, InstanceIds=ids),
            partial(db.put_item, TableName="t", Item=KEY),
            partial(db.batch_get_item, RequestItems={"t": {"Keys": [KEY]}}),
        ]
        for _ in range(300):
            for call in calls:
                with suppress(Exception):
                    call()
        assert world.faults.injected.keys() == HARSH.keys()

    def test_a_calm_world_has_no_faults(self) -> None:
        assert PROFILES["calm"] == {}

    def test_a_consistent_read_is_never_stale_by_chance(self) -> None:
        def message(**arguments: Any) -> Message:
            return Message(
                access_key="", token="", region="", service="dynamodb", operation="GetItem",
                arguments=arguments,
            )  # fmt: skip

        assert applies(FaultKind.STALE, message())
        assert not applies(FaultKind.STALE, message(ConsistentRead=True))
