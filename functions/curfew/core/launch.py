"""How a fleet is launched, worked out from data alone: which call comes next, after all that came before.

The order is frozen before the first call, so that nothing that changes meanwhile changes a repeated call. Each call
is an attempt with a token of its own; the same token is only ever sent with the same call. An attempt that has no
answer yet is repeated before anything else is tried, and only a clear "no" leads to the next pool.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .lease import Step
from .target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One source of capacity: a type in a subnet, or in whichever the account has by default."""

    instance_type: str
    subnet: str = ""

    def __str__(self) -> str:
        return f"{self.instance_type} in {self.subnet}" if self.subnet else self.instance_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A launch, resolved to the last detail and frozen. ``version`` fingerprints the policy file it came from."""

    operation: str
    target: Target
    image: str
    instance_types: tuple[str, ...]
    count: int
    tags: Mapping[str, str]
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    key: str = ""
    profile: str = ""
    user_data: str = field(default="", repr=False)
    spot: bool = False
    networks: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Where to ask, in the order of preference: each type in every subnet, then the next type."""
        return tuple(
            Pool(instance_type=type_, subnet=subnet)
            for type_ in self.instance_types
            for subnet in self.subnets or ("",)
        )


class Answer(StrEnum):
    """What the cloud said to an attempt."""

    OPEN = "open"  # nothing yet, or nothing that tells
    LAUNCHED = "launched"  # as many as were asked for, or fewer
    EMPTY = "empty"  # the pool has no capacity
    REFUSED = "refused"  # for a reason that no other pool mends
    MISMATCH = "mismatch"  # the token is known with another call: that may never be


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call for some instances of one pool, and what came of it."""

    number: int
    pool: int
    count: int
    answer: Answer = Answer.OPEN
    launched: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Nothing more is to be asked: the step at which the launch stays, and why if it is not all there."""

    step: Step
    problem: str = ""


def upcoming(order: Order, attempts: Sequence[Attempt]) -> Attempt | Ending:
    """The attempt to make now, or the ending. ``attempts`` are all so far, in their order.

    A pool that gave fewer than asked for is asked for the rest, until it says that it has no more.
    """
    if not attempts:
        return Attempt(number=1, pool=0, count=order.count)
    last = attempts[-1]
    had = sum(attempt.launched for attempt in attempts)
    missing = order.count - had
    if last.answer is Answer.OPEN:
        return last
    if last.answer is Answer.MISMATCH:
        return Ending(step=Step.ATTENTION, problem=last.problem)
    if missing <= 0:
        return Ending(step=Step.LAUNCHED)
    pool = last.pool + 1 if last.answer is Answer.EMPTY else last.pool
    if last.answer is Answer.REFUSED or pool >= len(order.pools):
        step = Step.PARTIAL if had else Step.FAILED
        return Ending(step=step, problem=f"{had} of {order.count} launched: {last.problem}")
    return Attempt(number=last.number + 1, pool=pool, count=missing)


def token(order: Order, attempt: Attempt) -> str:
    """The client token of an attempt: the same for the same attempt of the same order, and for no other.

    EC2 takes 64 ASCII characters, and remembers a token by region, or by zone where the call names a subnet; so a
    token is never sent to a second pool.
    Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    pool = order.pools[attempt.pool]
    parts = (
        order.operation,
        str(order.target),
        pool.instance_type,
        pool.subnet,
        str(attempt.number),
    )
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
