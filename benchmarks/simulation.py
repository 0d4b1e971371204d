"""Simulate a night of a large estate, event by event: a queue, a limited number of functions, and measured targets.

The simulation is a pure function of the targets. All its numbers are measured, except the inputs in ``Estate`` that
describe AWS.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from .pace import seconds as paced

# How many functions Lambda runs at first for a queue, and how many more it starts each second.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
FIRST, MORE = 5, 300 / 60
# Lambda gives a function one vCPU for this many MB.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_PER_CPU = 1_769
SENT_AT_ONCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One measured sweep of one account and region.

    ``in_a_row`` is how many calls it makes one after the other: fewer than all if it makes some in parallel.
    """

    calls: Mapping[str, int]
    in_a_row: float
    cpu: float
    reads: float
    writes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """The number of targets, and the inputs for AWS.

    ``latency`` is the seconds of a call, ``at_once`` the number of concurrent functions, ``memory`` the MB of each, and
    ``cold_start`` the seconds of one. ``percent`` is Curfew's share of EC2's rate, None for no rate limit.
    """

    targets: int
    latency: float = 0.08
    at_once: int = 50
    memory: int = 512
    cold_start: float = 0.0
    percent: float | None = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """The result of a night: seconds until the last target was done, and the resources used."""

    seconds: float
    busy: float
    calls: Mapping[str, int]
    reads: float
    writes: float
    cold_starts: int
    longest: float


def lasts(target: Target, estate: Estate) -> float:
    """Return the seconds for one target in a warm function: its waits and CPU time, or the rate limit's if longer."""
    working = target.in_a_row * estate.latency + target.cpu * MB_PER_CPU / estate.memory
    if estate.percent is None:
        return working
    return max(working, paced(target.calls, percent=estate.percent))


def night(estate: Estate, targets: Sequence[Target], *, seed: int = 0) -> Night:
    """Simulate a night: send one message for each target, and let free functions process them."""
    chance = Random(seed)  # noqa: S311  a simulation
    free: list[float] = []  # when each started function becomes free
    calls: Counter[str] = Counter()
    end = busy = reads = writes = longest = 0.0
    cold = 0
    for number in range(estate.targets):
        target = chance.choice(targets)
        sent = (number // SENT_AT_ONCE + 1) * estate.latency
        if free and (free[0] <= sent or len(free) == estate.at_once):
            begins, extra = max(sent, heapq.heappop(free)), 0.0
        else:
            begins, extra = max(sent, (len(free) - FIRST + 1) / MORE), estate.cold_start
            if free and free[0] <= begins:  # a function is free before another one starts
                begins, extra = max(sent, heapq.heappop(free)), 0.0
        cold += extra > 0
        took = lasts(target, estate) + extra
        heapq.heappush(free, begins + took)
        end, longest = max(end, begins + took), max(longest, took)
        busy += took
        calls.update(target.calls)
        reads, writes = reads + target.reads, writes + target.writes
    return Night(
        seconds=end,
        busy=busy,
        calls=dict(calls),
        reads=reads,
        writes=writes,
        cold_starts=cold,
        longest=longest,
    )
