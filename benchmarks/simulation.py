"""A night of a large estate, event by event: a queue, a limited number of functions, targets like those measured.

Pure: the profiles of targets come in, the night comes out. Nothing is assumed of a target that was not measured, but
for the three inputs of ``Estate`` that stand for AWS.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from .pace import seconds as paced

# How many run at first, and how many more every second, for a queue that triggers a function.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
FIRST, MORE = 5, 300 / 60
# A vCPU for so many MB. Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_PER_CPU = 1_769
SENT_AT_ONCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One measured sweep of one account and region.

    ``in_a_row`` is how many calls it waits for one after the other: fewer than all where some are made side by side.
    """

    calls: Mapping[str, int]
    in_a_row: float
    cpu: float
    reads: float
    writes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """How much there is, and what AWS gives: seconds a call, functions at once, MB of each, a cold start's seconds."""

    targets: int
    latency: float = 0.08
    at_once: int = 50
    memory: int = 512
    cold_start: float = 0.0
    percent: float | None = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """How it went: seconds until the last target was done, and everything that it used."""

    seconds: float
    busy: float
    calls: Mapping[str, int]
    reads: float
    writes: float
    cold_starts: int
    longest: float


def lasts(target: Target, estate: Estate) -> float:
    """How long one target takes in a warm function: its waits and its CPU, or its rate where that is slower."""
    working = target.in_a_row * estate.latency + target.cpu * MB_PER_CPU / estate.memory
    if estate.percent is None:
        return working
    return max(working, paced(target.calls, percent=estate.percent))


def night(estate: Estate, targets: Sequence[Target], *, seed: int = 0) -> Night:
    """Send one message a target, and let functions take them as they become free."""
    chance = Random(seed)  # noqa: S311  a simulation
    free: list[float] = []  # when each function that has started is free again
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
            if free and free[0] <= begins:  # one is free before another would be started
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
