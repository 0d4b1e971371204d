"""The rate: Curfew calls EC2 at a share of what EC2 allows, so that nobody else who calls it is starved.

EC2 has a bucket of calls for each account, region and kind of call, and for what begins or ends instances a second one
of instances. Curfew keeps a smaller one of each, and waits by it before a call is signed and sent. All threads of a
process share them; processes do not, and each has the whole share.

Each throttle that EC2 answers with empties Curfew's bucket of that kind and halves its refill, down to a sixteenth;
with every second that passes, 1/120 of the full refill comes back. What the SDK repeats by itself is paid for
afterwards.

Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock, local
from typing import Any

from ..core.errors import PacedError

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
# After such a wait, what an order rests on was seen too long ago: it is looked at again, and then the turn is there.
LONG = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Allowed:
    """How much a bucket of EC2's holds, and how much of it comes back each second."""

    size: float
    refill: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Calls that have their buckets in common. ``ends`` are orders, which come straight after a look or not at all."""

    calls: Allowed
    instances: Allowed | None = None
    ends: bool = False


LOOKS = Kind(calls=Allowed(100, 20))
CHANGES = Kind(calls=Allowed(50, 5))  # what is not named here
KINDS: Mapping[str, Kind] = {
    "TerminateInstances": Kind(calls=Allowed(100, 5), instances=Allowed(1_000, 20), ends=True),
    "StopInstances": Kind(calls=Allowed(50, 5), instances=Allowed(1_000, 20), ends=True),
    "RunInstances": Kind(calls=Allowed(5, 2), instances=Allowed(1_000, 2)),
    "CreateTags": Kind(calls=Allowed(100, 10)),
    "CancelSpotInstanceRequests": Kind(calls=Allowed(50, 5)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the rate has cost so far: how often EC2 said that it is too fast, and how long calls were held back."""

    throttles: int = 0
    seconds: float = 0.0

    def since(self, before: "Spent") -> "Spent":
        """What was spent after ``before``."""
        return Spent(
            throttles=self.throttles - before.throttles, seconds=self.seconds - before.seconds
        )


@dataclass(slots=True)
class _Bucket:
    """Tokens, and when they were counted last. Below zero are those that somebody waits for."""

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
        """For how many seconds whoever takes so many now has to wait."""
        return max(0.0, (count - self.tokens) / (self.refill * self.slowed))

    def slow_down(self) -> None:
        self.tokens = min(self.tokens, 0.0)
        self.slowed = max(self.slowed / 2, SLOWEST)


class _Place:
    """The buckets of one account and region."""

    def __init__(self, rates: "Rates") -> None:
        self._rates = rates
        self._lock = Lock()
        self._buckets: dict[str, list[_Bucket]] = {}
        self._turns = local()  # of a thread that has waited, and was sent to look again
        self.spent = Spent()

    def wait(self, operation: str, instances: int) -> None:
        """Return when the call may be made. Raises PacedError if it may not be made now."""
        kind = _kind(operation)
        turns: set[str] = self._turns.__dict__.setdefault("mine", set())
        if operation in turns:
            turns.discard(operation)
            return
        seconds = self._take(operation, (1, instances))
        if seconds:
            self._rates.sleep(seconds)
        if kind.ends and seconds > LONG.total_seconds():
            turns.add(operation)
            raise PacedError(f"{operation} had to wait for the rate: it is looked at again first")

    def repeated(self, operation: str) -> None:
        """The SDK has made the call once more."""
        with self._lock:
            self._filled(operation)[0].tokens -= 1

    def throttled(self, operation: str) -> None:
        """EC2 says that it is too fast."""
        with self._lock:
            self.spent = replace(self.spent, throttles=self.spent.throttles + 1)
            for bucket in self._filled(operation):
                bucket.slow_down()

    def _take(self, operation: str, counts: tuple[int, int]) -> float:
        """Take a place in the queue: for how long to wait. Raises PacedError if that is later than the deadline."""
        with self._lock:
            buckets = list(zip(self._filled(operation), counts, strict=False))
            seconds = max(bucket.wait(count) for bucket, count in buckets)
            if seconds and not self._rates.has(seconds):
                raise PacedError(
                    f"the rate allows {operation} in {seconds:.0f} seconds, and time is up before: "
                    "it was not made",
                    late=True,
                )
            for bucket, count in buckets:
                bucket.tokens -= count
            self.spent = replace(self.spent, seconds=self.spent.seconds + seconds)
            return seconds

    def _filled(self, operation: str) -> list[_Bucket]:
        now = self._rates.now()
        kind = _kind(operation)
        name = "looks" if kind is LOOKS else operation
        if name not in self._buckets:
            wanted = filter(None, (kind.calls, kind.instances))
            share = self._rates.percent / 100
            # At the smallest share, too, one call may be made at once.
            self._buckets[name] = [
                _Bucket(max(1.0, allowed.size * share), allowed.refill * share, now)
                for allowed in wanted
            ]
        for bucket in self._buckets[name]:
            bucket.fill(now)
        return self._buckets[name]


class Rates:
    """The buckets of every account and region that this process calls, at so many per cent of what EC2 allows."""

    def __init__(
        self, percent: int, *, now: Callable[[], datetime], sleep: Callable[[float], None]
    ) -> None:
        self.percent, self.now, self.sleep = percent, now, sleep
        self._deadline: datetime | None = None
        self._places: dict[tuple[str, str], _Place] = {}
        self._lock = Lock()

    def until(self, deadline: datetime | None) -> None:
        """From now on, no call waits beyond the deadline. A process has one caller at a time, who is cut off then."""
        self._deadline = deadline

    def has(self, seconds: float) -> bool:
        """Whether so much time is left."""
        return self._deadline is None or self.now() + timedelta(seconds=seconds) <= self._deadline

    def spent(self, account: str, region: str) -> Spent:
        """What the rate has cost in one place, since the process began."""
        return self._place(account, region).spent

    def pace(self, client: Any, where: Callable[[], tuple[str, str]]) -> None:
        """From now on the client, one of EC2, keeps to the rate of an account and region.

        It waits where the SDK documents a handler's place, before the request is built and signed.
        Source: https://docs.aws.amazon.com/boto3/latest/guide/events.html
        """

        def wait(*, model: Any, params: Mapping[str, Any], **_: Any) -> None:
            count = len(params.get("InstanceIds", ())) or params.get("MaxCount", 0)
            self._place(*where()).wait(model.name, count)

        def answered(*, operation: Any, response: Any, attempts: int, **_: Any) -> None:
            place = self._place(*where())
            if attempts > 1:
                place.repeated(operation.name)
            if response and response[1].get("Error", {}).get("Code") in THROTTLE_CODES:
                place.throttled(operation.name)

        client.meta.events.register("provide-client-params.ec2", wait)
        client.meta.events.register("needs-retry.ec2", answered)

    def _place(self, account: str, region: str) -> _Place:
        with self._lock:
            return self._places.setdefault((account, region), _Place(self))


def _kind(operation: str) -> Kind:
    return KINDS.get(operation, LOOKS if operation.startswith("Describe") else CHANGES)
