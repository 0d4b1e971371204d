"""The ledger's records, frozen and independent of the store."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from ..core.plan import Action, Kept
from ..core.report import Outcome
from ..core.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of Curfew: since when, by which principal, and why."""

    since: datetime
    by: str
    reason: str

    def __str__(self) -> str:
        return f"paused since {self.since:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """A complete sweep of a policy over a target; without ``schedule``, a caller requested it directly."""

    sweep_id: str
    completed_at: datetime
    listed: int
    schedule: str = ""
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRun:
    """A run of a schedule's window and how often it was tried; ``mark`` distinguishes two that begin together."""

    schedule: str
    window: datetime
    begun_at: datetime
    tries: int = 1
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """One page of items; ``after`` is where the next page starts, empty on the last."""

    items: tuple[T, ...]
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An idempotency key: ``scope`` is the digest of key, caller and operation, ``body`` that of the request."""

    scope: str
    body: str

    @classmethod
    def of(cls, *scope: str, body: Any) -> Self:
        """Return the key of a request: ``scope`` identifies it, ``body`` is its content in JSON values."""
        return cls(scope=_digest(scope), body=_digest(body))


class PlanPhase(StrEnum):
    """The phase of a stored plan."""

    PLANNING = "planning"  # the plan is being made
    PLANNED = "planned"  # it can be applied until it expires
    APPLYING = "applying"  # it is being executed
    ENDED = "ended"  # it was applied, or it could not be made


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A stored plan. ``summary`` is its report in numbers; ``hash`` is the plan's fingerprint."""

    id: str
    policy: str
    policy_version: str
    target: Target
    asked_by: str
    made_at: datetime
    expires_at: datetime
    phase: PlanPhase = PlanPhase.PLANNING
    hash: str = ""
    applied_by: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)


class ContinuationPhase(StrEnum):
    """The phase of a continuation."""

    WAITING = "waiting"  # its message is on the way
    RESUMED = "resumed"  # a sweep acts on its instances
    ENDED = "ended"  # that sweep has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A sweep that ran out of time: what the next attempt has to know of it.

    The ledger keeps its actions beside it: the instances that the sweep did not reach. ``root_sweep_id`` is the first
    sweep of the chain, ``sweep_id`` the one before this attempt. ``schedule`` and ``scheduled_at`` are the window that
    the last attempt completes; ``troubled`` says that an attempt failed, which leaves the window open.
    """

    id: str
    root_sweep_id: str
    sweep_id: str
    attempt: int
    policy: str
    policy_version: str
    target: Target
    made_at: datetime
    expires_at: datetime
    listed: int
    troubled: bool = False
    schedule: str = ""
    scheduled_at: datetime | None = None
    phase: ContinuationPhase = ContinuationPhase.WAITING
    resumed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One row of a stored plan; ``outcome`` is the result of an applied action."""

    judged: Action | Kept
    outcome: Outcome | None = None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
