"""What the ledger keeps: frozen records, without a store."""

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
    """The pause switch, thrown: by whom, since when, and why."""

    since: datetime
    by: str
    reason: str

    def __str__(self) -> str:
        return f"paused since {self.since:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """A complete sweep of a policy over a target. Without a schedule, somebody asked for it directly."""

    sweep_id: str
    completed_at: datetime
    listed: int
    schedule: str = ""
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A window of a schedule that was begun, how often, and by whom; ``mark`` tells two apart that begin at once."""

    schedule: str
    window: datetime
    begun_at: datetime
    tries: int = 1
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """Some of many, and where to go on; ``after`` is empty on the last page."""

    items: tuple[T, ...]
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An idempotency key, digested together with whose it is and what for; ``body`` is the digest of what was asked."""

    scope: str
    body: str

    @classmethod
    def of(cls, *scope: str, body: Any) -> Self:
        """The key of a request: ``scope`` says whose and which, ``body``, in JSON values, what was asked."""
        return cls(scope=_digest(scope), body=_digest(body))


class PlanStep(StrEnum):
    """At which step a plan stands that somebody asked for."""

    PLANNING = "planning"  # the listing goes on
    PLANNED = "planned"  # it can be applied until it expires
    APPLYING = "applying"  # it is being carried out
    ENDED = "ended"  # there is nothing more to do: applied, or there never was a plan to apply


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """A plan that somebody asked for. ``summary`` is its report in numbers; ``hash`` what it would do."""

    id: str
    policy: str
    policy_version: str
    target: Target
    asked_by: str
    made_at: datetime
    expires_at: datetime
    step: PlanStep = PlanStep.PLANNING
    hash: str = ""
    applied_by: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One row of a kept plan, with what became of it, if it was an action that was applied."""

    judged: Action | Kept
    outcome: Outcome | None = None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
