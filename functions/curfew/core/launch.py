"""Decide the next call of a launch from the attempts so far. Pure functions, no I/O.

The launch spec is frozen before the first call, so that a later change cannot alter a repeated call. Each call is one
attempt with its own token; a token is never sent with a different call. An attempt without a result is repeated before
any other is made. Only a definite "no capacity" leads to the next pool.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .lease import Phase
from .target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One source of capacity: an instance type in a subnet, or in the account's default subnet."""

    instance_type: str
    subnet: str = ""

    def __str__(self) -> str:
        return f"{self.instance_type} in {self.subnet}" if self.subnet else self.instance_type


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """A launch with all details resolved, frozen. ``version`` is the fingerprint of its policy file."""

    launch_id: str
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
        """The pools in order of preference: the first type in every subnet, then the next type."""
        return tuple(
            Pool(instance_type=type_, subnet=subnet)
            for type_ in self.instance_types
            for subnet in self.subnets or ("",)
        )


class AttemptResult(StrEnum):
    """The result of an attempt."""

    OPEN = "open"  # not known yet, or inconclusive
    LAUNCHED = "launched"  # the requested number of instances, or fewer
    EMPTY = "empty"  # the pool has no capacity
    REFUSED = "refused"  # for a reason that no other pool resolves
    MISMATCH = "mismatch"  # the token belongs to another call, which must never happen


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call for ``count`` instances of one pool, with its result."""

    number: int
    pool: int
    count: int
    result: AttemptResult = AttemptResult.OPEN
    launched: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of a launch: no call is left to make. ``problem`` says why instances are missing, if any are."""

    phase: Phase
    problem: str = ""


def next_step(spec: LaunchSpec, attempts: Sequence[Attempt]) -> Attempt | Finished:
    """Return the attempt to make now, or the end of the launch. ``attempts`` are all so far, in order.

    A pool that launched fewer instances than requested is asked for the rest until it has no capacity.
    """
    if not attempts:
        return Attempt(number=1, pool=0, count=spec.count)
    last = attempts[-1]
    had = sum(attempt.launched for attempt in attempts)
    missing = spec.count - had
    if last.result is AttemptResult.OPEN:
        return last
    if last.result is AttemptResult.MISMATCH:
        return Finished(phase=Phase.ATTENTION, problem=last.problem)
    if missing <= 0:
        return Finished(phase=Phase.LAUNCHED)
    pool = last.pool + 1 if last.result is AttemptResult.EMPTY else last.pool
    if last.result is AttemptResult.REFUSED or pool >= len(spec.pools):
        phase = Phase.PARTIAL if had else Phase.FAILED
        return Finished(phase=phase, problem=f"{had} of {spec.count} launched: {last.problem}")
    return Attempt(number=last.number + 1, pool=pool, count=missing)


def token(spec: LaunchSpec, attempt: Attempt) -> str:
    """Return the client token of an attempt: equal for the same attempt of the same launch, different for any other.

    EC2 accepts 64 ASCII characters. A token is unique per region, or per zone if the call names a subnet, so Curfew
    never sends one to a second pool.
    Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    pool = spec.pools[attempt.pool]
    parts = (
        spec.launch_id,
        str(spec.target),
        pool.instance_type,
        pool.subnet,
        str(attempt.number),
    )
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
