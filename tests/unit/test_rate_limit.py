"""The rate limit, on a manual clock: calls take as long as the limit requires, and no longer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier, Lock, Thread

import pytest
from mypy_boto3_ec2.client import EC2Client

from curfew.aws import allowed_calls
from curfew.aws.rate_limit import RECOVERY, RateLimiter, RateLimitStats
from curfew.core.errors import RateLimitedError
from curfew.core.report import Report, Result, Status
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from curfew_simulator.cloud.ec2.machine import Machine
from tests.builders import HERE, NOW, an_id
from tests.cloud import BROKEN, THROTTLED, SimulatedEc2, a_machine
from tests.night import Night, Time

PLACE = (HERE.account, HERE.region)


class Paced:
    """A cloud whose clients have a rate limit, with a clock that moves only when a caller sleeps."""

    def __init__(self, *machines: Machine, percent: int = 25) -> None:
        self.cloud = SimulatedEc2(*machines)
        self.time = Time()
        self.rates = RateLimiter(percent, now=self.time.now, sleep=self.time.sleep)
        self.look = self.client(allowed_calls.LOOK)
        self.act = self.client(allowed_calls.ACT)

    def client(self, scope: allowed_calls.ClientScope, *, attempts: int = 1) -> EC2Client:
        client = self.cloud.client(scope, attempts=attempts)
        self.rates.attach(client, lambda: PLACE)
        return client

    @property
    def passed(self) -> float:
        return (self.time.at - NOW).total_seconds()

    @property
    def spent(self) -> RateLimitStats:
        return self.rates.stats(*PLACE)

    def describe(self, times: int) -> None:
        for _ in range(times):
            self.look.describe_instances(MaxResults=5)

    def terminate(self, ids: Sequence[str]) -> None:
        self.act.terminate_instances(InstanceIds=ids)


def machines(count: int) -> list[Machine]:
    return [a_machine(id=an_id(number)) for number in range(1, count + 1)]


def test_thousand_reads_take_as_long_as_a_quarter_of_the_rate() -> None:
    limited = Paced()

    limited.describe(1_000)

    assert limited.passed == pytest.approx((1_000 - 25) / 5)
    assert limited.spent.throttles == 0
    assert limited.spent.seconds == pytest.approx(195)


@pytest.mark.parametrize(("percent", "seconds"), [(100, 45), (50, 95), (1, 4_995)])
def test_the_share_is_what_is_set(percent: int, seconds: float) -> None:
    limited = Paced(percent=percent)

    limited.describe(1_000)

    assert limited.passed == pytest.approx(seconds)


def test_all_reads_share_one_bucket() -> None:
    limited = Paced(a_machine(id=an_id(1)))

    for _ in range(25):
        limited.look.describe_instance_attribute(InstanceId=an_id(1), Attribute="disableApiStop")
    assert limited.passed == 0
    limited.describe(5)

    assert limited.passed == pytest.approx(1)


def test_empty_bucket_of_one_call_class_delays_no_other() -> None:
    limited = Paced(*machines(3))

    limited.describe(500)
    before = limited.passed
    limited.terminate([an_id(1)])
    limited.act.stop_instances(InstanceIds=[an_id(2)])
    limited.act.create_tags(Resources=[an_id(3)], Tags=[{"Key": "a", "Value": "b"}])

    assert limited.passed == before


@pytest.mark.parametrize(
    ("batches", "size", "seconds"),
    [
        (25, 1, 0),  # a quarter of 100 calls
        (30, 1, 5 / 1.25),
        (12, 20, 0),  # a quarter of 1,000 instances is 250
        (15, 20, 50 / 5),
    ],
)
def test_terminate_calls_keep_to_the_call_and_instance_rates(
    batches: int, size: int, seconds: float
) -> None:
    limited = Paced(*machines(20))

    for _ in range(batches):
        limited.terminate([an_id(number) for number in range(1, size + 1)])

    assert limited.passed == pytest.approx(seconds)


def test_two_threads_share_one_bucket() -> None:
    """Each thread has its own client, as batches of two zones do. The clock does not move."""
    slept: list[float] = []
    lock, start = Lock(), Barrier(2)

    def sleep(seconds: float) -> None:
        with lock:
            slept.append(seconds)

    limiter = RateLimiter(25, now=lambda: NOW, sleep=sleep)
    cloud = SimulatedEc2()

    def look() -> None:
        client = cloud.client()
        limiter.attach(client, lambda: PLACE)
        start.wait()
        for _ in range(50):
            client.describe_instances(MaxResults=5)

    threads = [Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    # At one instant, 25 of the 100 calls pass and 75 have to wait.
    assert sorted(slept) == [pytest.approx(n / 5) for n in range(1, 76)]


def test_each_account_and_region_has_its_own_buckets() -> None:
    limited = Paced()
    elsewhere = limited.cloud.client()
    limited.rates.attach(elsewhere, lambda: (HERE.account, "eu-west-1"))

    limited.describe(25)
    for _ in range(25):
        elsewhere.describe_instances(MaxResults=5)

    assert limited.passed == 0


class TestThrottles:
    def test_throttles_are_counted_including_those_the_sdk_retries(self) -> None:
        limited = Paced()
        limited.look = limited.client(allowed_calls.LOOK, attempts=4)
        limited.cloud.fail("DescribeInstances", THROTTLED, times=2)

        limited.describe(1)

        assert limited.cloud.calls == [("DescribeInstances", ())] * 3
        assert limited.spent.throttles == 2

    def test_retries_of_the_sdk_are_charged_afterwards(self) -> None:
        limited = Paced()
        limited.look = limited.client(allowed_calls.LOOK, attempts=4)
        limited.cloud.fail("DescribeInstances", BROKEN, times=2)

        limited.describe(23)
        assert limited.passed == 0
        limited.describe(1)

        assert limited.passed == pytest.approx(1 / 5)
        assert limited.spent.throttles == 0

    def test_throttle_empties_the_bucket_and_halves_its_refill(self) -> None:
        limited = Paced()
        limited.cloud.fail("DescribeInstances", THROTTLED)

        with pytest.raises(limited.look.exceptions.ClientError):
            limited.describe(1)
        limited.describe(1)

        assert limited.passed == pytest.approx(1 / 2.5)

    def test_throttles_never_reduce_the_rate_below_a_sixteenth(self) -> None:
        limited = Paced()
        limited.cloud.fail("DescribeInstances", THROTTLED, times=5)

        for _ in range(5):
            with pytest.raises(limited.look.exceptions.ClientError):
                limited.describe(1)
        limited.describe(1)

        assert limited.time.slept[-1] == pytest.approx(16 / 5)

    def test_reduced_rate_recovers_with_time(self) -> None:
        limited = Paced()
        limited.cloud.fail("DescribeInstances", THROTTLED)
        with pytest.raises(limited.look.exceptions.ClientError):
            limited.describe(1)

        limited.time.sleep(RECOVERY.total_seconds() / 2)
        before = limited.passed
        limited.describe(25 + 5)

        assert limited.passed - before == pytest.approx(1)

    def test_throttle_leaves_other_call_classes_unchanged(self) -> None:
        limited = Paced(a_machine(id=an_id(1)))
        limited.cloud.fail("DescribeInstances", THROTTLED)
        with pytest.raises(limited.look.exceptions.ClientError):
            limited.describe(1)

        limited.terminate([an_id(1)])

        assert limited.passed == 0


class TestDeadline:
    def test_call_that_would_wait_beyond_the_deadline_fails_at_once(
        self,
    ) -> None:
        limited = Paced()
        limited.rates.set_deadline(NOW + timedelta(seconds=1))

        limited.describe(30)
        with pytest.raises(
            RateLimitedError,
            match="DescribeInstances was not made: the rate limit allows it in 0 seconds",
        ):
            limited.describe(1)

        assert limited.passed == pytest.approx(1)
        assert len(limited.cloud.calls) == 30

    def test_the_next_caller_has_a_deadline_of_its_own(self) -> None:
        limited = Paced()
        limited.rates.set_deadline(NOW)
        limited.describe(25)
        with pytest.raises(RateLimitedError):
            limited.describe(1)

        limited.rates.set_deadline(None)
        limited.describe(1)

        assert limited.passed == pytest.approx(1 / 5)


def paced_sweep(
    cloud: SimulatedEc2, *, percent: int, deadline: datetime | None = None
) -> tuple[Report, Paced]:
    """Run one sweep with a rate limit. Return its report and the limited cloud."""
    night = Night(cloud=cloud, deadline=deadline)
    limited = Paced(percent=percent)
    limited.cloud, limited.time = cloud, night.time
    limited.rates = RateLimiter(percent, now=night.time.now, sleep=night.time.sleep)
    limited.rates.set_deadline(deadline)
    provider = Ec2Provider(
        target=HERE,
        read=limited.client(allowed_calls.LOOK),
        act=lambda: limited.client(allowed_calls.ACT),
    )
    sweep = replace(night.prepared(), provider=provider, rate_limit_stats=lambda: limited.spent)
    return act(sweep, plan(sweep)), limited


class TestASweep:
    def test_delayed_call_is_rechecked_and_then_made_at_once(self) -> None:
        cloud = SimulatedEc2(*machines(20))
        cloud.fail("TerminateInstances", THROTTLED, times=3)

        report, limited = paced_sweep(cloud, percent=25)

        assert report.count(Result.VERIFIED) == 20
        assert len(cloud.orders) == 4
        for at, call in enumerate(cloud.calls):
            if call[0] == "TerminateInstances":
                assert cloud.calls[at - 1][0] == "DescribeInstanceAttribute"
        # A wait for the rate limit is no attempt, and leads to more reads than orders.
        looks = sum(len(ids) == 0 for name, ids in cloud.calls if name == "DescribeInstances")
        assert looks > 1 + 4 + 1
        assert report.throttles == 3
        assert report.rate_limited == pytest.approx(limited.spent.seconds)

    def test_batch_that_takes_too_long_to_recheck_is_split(self) -> None:
        """At 1 %, a read of six instances with their protections takes 65 seconds."""
        cloud = SimulatedEc2(*machines(6))

        report, _ = paced_sweep(cloud, percent=1)

        assert report.count(Result.VERIFIED) == 6
        assert [len(ids) for _, ids in cloud.orders] == [3, 3]

    def test_deadline_while_waiting_for_a_call_makes_no_further_call(self) -> None:
        # 61 seconds are left when the batch begins, and its protections alone take 40 of them.
        report, limited = paced_sweep(
            SimulatedEc2(*machines(20)), percent=5, deadline=NOW + timedelta(seconds=63)
        )

        assert report.status is Status.STOPPED
        assert limited.passed <= 63
        assert report.count(Result.VERIFIED) + report.count(Result.NOT_ATTEMPTED) == 20
        assert not report.count(Result.UNKNOWN)

    def test_deadline_while_waiting_for_a_page_decides_nothing(self) -> None:
        cloud = SimulatedEc2(*machines(20), page_size=1)

        report, limited = paced_sweep(cloud, percent=5, deadline=NOW + timedelta(seconds=5))

        assert report.status is Status.STOPPED
        assert report.problem.startswith(
            "nothing is decided: DescribeInstances was not made: the rate limit allows it in"
        )
        assert cloud.orders == []
        assert limited.passed <= 5

    def test_report_counts_throttles(self) -> None:
        cloud = SimulatedEc2(*machines(3))
        cloud.fail("TerminateInstances", THROTTLED, times=2)

        report, _ = paced_sweep(cloud, percent=25)

        assert report.count(Result.VERIFIED) == 3
        assert report.throttles == 2
