"""What one sweep is made from.

The stages of a sweep, each in a module of this package:

    planner ──► executor ──► execution ──► zone_worker ──► verify, outcomes
    find        duplicate    one worker    recheck           (execution)
    decide      pause        per zone      claim, intents
    guard       budget                     release, call
                   │                           │
                   └─► recovery                └─► out of time: continuation
                       (open intents)

``planner`` changes nothing in the cloud. Only ``zone_worker`` ends an instance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ..aws.rate_limit import RateLimitStats
from ..clock import Clock
from ..concurrency import TaskRunner, run_sequentially
from ..core.policy import Policy
from ..ledger.protocols import Ledger
from ..providers.base import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Everything that one sweep needs, put together by ``bootstrap``.

    ``root_sweep_id`` is the sweep that this one carries on, if it does, and ``reserved`` says that what it does has
    been taken from the day's budget.
    """

    id: str
    policy: Policy
    provider: Provider
    ledger: Ledger
    clock: Clock
    timezone: ZoneInfo
    schedule: str = ""
    scheduled_at: datetime | None = None
    asked_by: str = ""
    root_sweep_id: str = ""
    reserved: bool = False
    listed: Callable[[int], None] = lambda _count: None
    rate_limit_stats: Callable[[], RateLimitStats] = RateLimitStats
    run_tasks: TaskRunner = run_sequentially
