"""The result of a sweep: one outcome per action, one report per sweep.

A sweep returns its report. Logs, metrics and tables are made from it, and the tests check it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .plan import Action, Plan
from .target import Mode, Target


class Result(StrEnum):
    """The result of one action."""

    VERIFIED = "verified"  # a later describe showed the end state
    ACCEPTED = "accepted"  # the cloud accepted the call; the end state was not seen in time
    KEPT = (
        "kept-at-recheck"  # kept by the re-check before the call, or by the cloud's own protection
    )
    FAILED = "failed"  # the cloud refused the call
    UNKNOWN = "unknown"  # no answer, and a describe was inconclusive
    NOT_ATTEMPTED = "not-attempted"  # the sweep stopped before it


class Status(StrEnum):
    """How a sweep ended."""

    COMPLETED = "completed"  # the whole plan was executed, or shown in report mode
    REFUSED = "refused"  # the plan was over a limit: no call was made
    INCOMPLETE = "incomplete"  # the listing was incomplete: no call was made
    PAUSED = "paused"  # the pause switch stopped it
    STOPPED = "stopped"  # it ended early: out of time, or the cloud refused a call
    FAILED = "failed"  # an outcome failed or is unknown, or the sweep could not begin
    CONTINUED = "continued"  # out of time: a continuation does the rest
    DUPLICATE = "duplicate"  # this scheduled time is already swept
    DISABLED = "disabled"  # the account may not use this region


# A retry may end differently.
PASSING = frozenset({Status.INCOMPLETE, Status.STOPPED, Status.FAILED})
GOOD = frozenset({Status.COMPLETED, Status.CONTINUED, Status.PAUSED, Status.DUPLICATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One action with its result; ``detail`` explains the result where needed."""

    action: Action
    result: Result
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one sweep over one target, with every candidate.

    A continuation has the id of the first sweep as ``root_sweep_id`` and its own number as ``attempt``.
    ``resolved_intents`` has the results of intents that earlier, interrupted sweeps left open. ``cut``: time ran out
    before the last action, and nothing else went wrong. ``throttles`` is how many calls the cloud throttled,
    ``rate_limited`` for how many seconds Curfew's own rate limit held calls back.
    """

    sweep_id: str
    target: Target
    policy: str
    mode: Mode
    status: Status
    started_at: datetime
    finished_at: datetime
    listed: int = 0
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    resolved_intents: tuple[str, ...] = ()
    problem: str = ""
    cut: bool = False
    throttles: int = 0
    rate_limited: float = 0.0
    root_sweep_id: str = ""
    attempt: int = 0

    @property
    def failed(self) -> bool:
        """Whether an operator has to look. In report mode, a refused plan is no failure."""
        if self.status is Status.REFUSED:
            return self.mode is Mode.ACT
        return self.status not in GOOD

    def count(self, result: Result) -> int:
        """Return how many actions have this result."""
        return sum(outcome.result is result for outcome in self.outcomes)
