"""The input of one sweep, and the stages that it runs through, each with its module.

    find ──► decide ──► guard ──► act ──────────────────────────────────────► report
    └─────── planner ───────┘     executor       duplicate, pause, budget     executor
             └─ lease_lookup      ├─ recovery    open intents                 └─ continuation
                                  └─ execution   verification, outcomes          if time is up:
                                     ├─ run_state    shared by the workers       enqueue the rest
                                     └─ zone_worker  one per action and zone
                                        ├─ recheck   describe and decide again before each call
                                        └─ batch     the actions of one call

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
    """Everything that one sweep needs, assembled by ``bootstrap``.

    ``root_sweep_id`` is the sweep that this one continues, or empty. ``reserved``: the day's budget already includes
    its actions. ``listed`` receives the number of instances listed so far.
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
