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

from ..aws.rate_limit import Spent
from ..clock import Clock
from ..concurrency import Abreast, in_turn
from ..core.policy import Policy
from ..ledger.protocols import Ledger
from ..providers.base import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Everything that one sweep needs, put together by ``bootstrap``.

    ``root`` is the sweep that this one carries on, if it does, and ``reserved`` says that what it does has been taken
    from the day's budget.
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
    root: str = ""
    reserved: bool = False
    listed: Callable[[int], None] = lambda _count: None
    spent: Callable[[], Spent] = Spent
    abreast: Abreast = in_turn
