"""The rate limiter: Curfew uses only a share of EC2's API rate, so that other callers in the account keep theirs.

EC2 has a token bucket of calls for each account, region and class of calls, and a second one of instances for calls
that launch or end them. Curfew has a smaller bucket of each and waits for it before a call is signed and sent. All
threads of a process share these buckets; each process has its own.

When EC2 throttles a call, Curfew empties the bucket of its class and halves its refill, down to a sixteenth; each
second restores 1/120 of the full refill. Retries by the SDK are charged afterwards.

Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock, local
from typing import Any

from ..core.errors import RateLimitedError

THROTTLE_CODES = frozenset(
    {
        "RequestLimitExceeded",
        "EC2ThrottledException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
    }
)
SLOWEST = 1 / 16
RECOVERY = timedelta(seconds=120)
# After such a wait, the re-check before the call is too old: it is repeated, and the next call need not wait.
LONG = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class BucketLimits:
    """The size of one of EC2's buckets and its refill per second, in tokens."""

    size: float
    refill: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallClass:
    """Calls that share buckets. ``ends``: they end instances and must follow a re-check immediately."""

    calls: BucketLimits
    instances: BucketLimits | None = None
    ends: bool = False


LOOKS = CallClass(calls=BucketLimits(100, 20))
CHANGES = CallClass(calls=BucketLimits(50, 5))  # the default
CALL_CLASSES: Mapping[str, CallClass] = {
    "TerminateInstances": CallClass(
        calls=BucketLimits(100, 5), instances=BucketLimits(1_000, 20), ends=True
    ),
    "StopInstances": CallClass(
        calls=BucketLimits(50, 5), instances=BucketLimits(1_000, 20), ends=True
    ),
    "RunInstances": CallClass(calls=BucketLimits(5, 2), instances=BucketLimits(1_000, 2)),
    "CreateTags": CallClass(calls=BucketLimits(100, 10)),
    "CancelSpotInstanceRequests": CallClass(calls=BucketLimits(50, 5)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStats:
    """How many calls EC2 has throttled, and for how many seconds Curfew has held calls back."""

    throttles: int = 0
    seconds: float = 0.0

    def since(self, before: "RateLimitStats") -> "RateLimitStats":
        """Return the difference to an earlier state."""
        return RateLimitStats(
            throttles=self.throttles - before.throttles, seconds=self.seconds - before.seconds
        )


@dataclass(slots=True)
class _Bucket:
    """A token bucket, last refilled at ``at``. Negative tokens are those that calls already wait for."""

    size: float
    refill: float
    at: datetime
    slowed: float = 1.0
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.size

    def fill(self, now: datetime) -> None:
        passed = max((now - self.at).total_seconds(), 0)
        self.tokens = min(self.size, self.tokens + passed * self.refill * self.slowed)
        self.slowed = min(1.0, self.slowed + passed / RECOVERY.total_seconds())
        self.at = max(self.at, now)

    def wait(self, count: float) -> float:
        """Return how many seconds a call that takes ``count`` tokens now has to wait."""
        return max(0.0, (count - self.tokens) / (self.refill * self.slowed))

    def slow_down(self) -> None:
        self.tokens = min(self.tokens, 0.0)
        self.slowed = max(self.slowed / 2, SLOWEST)


class _RegionBuckets:
    """The buckets of one account and region."""

    def __init__(self, limiter: "RateLimiter") -> None:
        self._limiter = limiter
        self._lock = Lock()
        self._buckets: dict[str, list[_Bucket]] = {}
        self._waited = local()  # operations for which this thread has already waited
        self.stats = RateLimitStats()

    def wait(self, operation: str, instances: int) -> None:
        """Wait until the call may be made. Raises RateLimitedError if it must not be made now."""
        call_class = _call_class(operation)
        waited: set[str] = self._waited.__dict__.setdefault("mine", set())
        if operation in waited:
            waited.discard(operation)
            return
        seconds = self._take(operation, (1, instances))
        if seconds:
            self._limiter.sleep(seconds)
        if call_class.ends and seconds > LONG.total_seconds():
            waited.add(operation)
            raise RateLimitedError(
                f"{operation} waited {seconds:.0f} seconds for the rate limit: the re-check is repeated first"
            )

    def repeated(self, operation: str) -> None:
        """Charge a retry by the SDK."""
        with self._lock:
            self._filled(operation)[0].tokens -= 1

    def throttled(self, operation: str) -> None:
        """Slow down after EC2 throttled a call."""
        with self._lock:
            self.stats = replace(self.stats, throttles=self.stats.throttles + 1)
            for bucket in self._filled(operation):
                bucket.slow_down()

    def _take(self, operation: str, counts: tuple[int, int]) -> float:
        """Take tokens and return how many seconds to wait. Raises RateLimitedError if that is beyond the deadline."""
        with self._lock:
            buckets = list(zip(self._filled(operation), counts, strict=False))
            seconds = max(bucket.wait(count) for bucket, count in buckets)
            if seconds and not self._limiter.has_time(seconds):
                raise RateLimitedError(
                    f"{operation} was not made: the rate limit allows it in {seconds:.0f} seconds, "
                    "which is beyond the deadline",
                    late=True,
                )
            for bucket, count in buckets:
                bucket.tokens -= count
            self.stats = replace(self.stats, seconds=self.stats.seconds + seconds)
            return seconds

    def _filled(self, operation: str) -> list[_Bucket]:
        now = self._limiter.now()
        call_class = _call_class(operation)
        name = "looks" if call_class is LOOKS else operation
        if name not in self._buckets:
            wanted = filter(None, (call_class.calls, call_class.instances))
            share = self._limiter.percent / 100
            # Even at the smallest share, one call may be made at once.
            self._buckets[name] = [
                _Bucket(max(1.0, limits.size * share), limits.refill * share, now)
                for limits in wanted
            ]
        for bucket in self._buckets[name]:
            bucket.fill(now)
        return self._buckets[name]


class RateLimiter:
    """The buckets of every account and region that this process calls, at ``percent`` of EC2's limits."""

    def __init__(
        self, percent: int, *, now: Callable[[], datetime], sleep: Callable[[float], None]
    ) -> None:
        self.percent, self.now, self.sleep = percent, now, sleep
        self._deadline: datetime | None = None
        self._regions: dict[tuple[str, str], _RegionBuckets] = {}
        self._lock = Lock()

    def set_deadline(self, deadline: datetime | None) -> None:
        """Set the deadline beyond which no call waits. A process serves one invocation at a time."""
        self._deadline = deadline

    def has_time(self, seconds: float) -> bool:
        """Return whether so many seconds are left before the deadline."""
        return self._deadline is None or self.now() + timedelta(seconds=seconds) <= self._deadline

    def stats(self, account: str, region: str) -> RateLimitStats:
        """Return the statistics of one account and region since the process began."""
        return self._buckets(account, region).stats

    def attach(self, client: Any, where: Callable[[], tuple[str, str]]) -> None:
        """Make an EC2 client wait for the buckets of an account and region.

        It waits in a documented event of the SDK, before the request is built and signed.
        Source: https://docs.aws.amazon.com/boto3/latest/guide/events.html
        """

        def wait(*, model: Any, params: Mapping[str, Any], **_: Any) -> None:
            count = len(params.get("InstanceIds", ())) or params.get("MaxCount", 0)
            self._buckets(*where()).wait(model.name, count)

        def answered(*, operation: Any, response: Any, attempts: int, **_: Any) -> None:
            buckets = self._buckets(*where())
            if attempts > 1:
                buckets.repeated(operation.name)
            if response and response[1].get("Error", {}).get("Code") in THROTTLE_CODES:
                buckets.throttled(operation.name)

        client.meta.events.register("provide-client-params.ec2", wait)
        client.meta.events.register("needs-retry.ec2", answered)

    def _buckets(self, account: str, region: str) -> _RegionBuckets:
        with self._lock:
            return self._regions.setdefault((account, region), _RegionBuckets(self))


def _call_class(operation: str) -> CallClass:
    return CALL_CLASSES.get(operation, LOOKS if operation.startswith("Describe") else CHANGES)
