"""EC2's request throttling: token buckets for each account and region, which all callers share.

Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .protocols import ApiError, Message


@dataclass(frozen=True, slots=True)
class Rate:
    """The size of a bucket in tokens, and how many tokens it regains each second."""

    size: float
    refill: float


NARROWED = Rate(100, 20)
UNNARROWED = Rate(50, 10)
MUTATING = Rate(50, 5)
REQUESTS = {
    "RunInstances": Rate(5, 2),
    "StartInstances": Rate(5, 2),
    "TerminateInstances": Rate(100, 5),
    "CreateTags": Rate(100, 10),
    "DeleteTags": Rate(100, 10),
}
# A second limit, in addition to that on calls: how many instances the calls may name.
RESOURCES = {
    "RunInstances": Rate(1000, 2),
    "StartInstances": Rate(1000, 2),
    "StopInstances": Rate(1000, 20),
    "TerminateInstances": Rate(1000, 20),
}
HALVED = frozenset({"DescribeInstances", "DescribeSpotInstanceRequests"})


@dataclass(slots=True)
class Bucket:
    """A bucket's tokens at the time ``at``."""

    rate: Rate
    tokens: float
    at: datetime

    def takes(self, tokens: float, now: datetime) -> bool:
        """Refill the bucket, take tokens if there are enough, and return whether it did."""
        back = (now - self.at).total_seconds() * self.rate.refill
        self.tokens, self.at = min(self.rate.size, self.tokens + back), now
        if tokens > self.tokens:
            return False
        self.tokens -= tokens
        return True


class Throttle:
    """All token buckets of a world."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def admit(self, message: Message, account: str, now: datetime) -> None:
        """Take the tokens of an EC2 call. Raise ApiError if a bucket has too few."""
        name, rate = _requests(message)
        place = (account, message.region)
        if not self._bucket((*place, name), rate, now).takes(1, now):
            raise ApiError("RequestLimitExceeded", "Request limit exceeded.", 503)
        operation = message.operation
        if operation in RESOURCES:
            wanted = _wanted(message.arguments)
            bucket = self._bucket((*place, operation, "resources"), RESOURCES[operation], now)
            if not bucket.takes(wanted, now):
                raise ApiError("RequestLimitExceeded", "Request limit exceeded.", 503)

    def _bucket(self, name: tuple[str, ...], rate: Rate, now: datetime) -> Bucket:
        return self._buckets.setdefault(name, Bucket(rate, rate.size, now))


def _requests(message: Message) -> tuple[str, Rate]:
    operation, arguments = message.operation, message.arguments
    if operation in REQUESTS:
        return operation, REQUESTS[operation]
    if not operation.startswith(("Describe", "Get")):
        return "mutating", MUTATING
    narrow = arguments.keys() & {"Filter", "MaxResults", "InstanceId", "SpotInstanceRequestId"}
    return (
        ("unnarrowed", UNNARROWED) if operation in HALVED and not narrow else ("narrowed", NARROWED)
    )


def _wanted(arguments: dict[str, Any]) -> int:
    return len(arguments.get("InstanceId", [])) or int(arguments.get("MaxCount", 1))
