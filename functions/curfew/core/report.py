"""What became of it: one outcome per action, one report per sweep.

The report is the return value, the source of logs, metrics and tables, and the oracle of the tests.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .plan import Action, Plan
from .target import Mode, Target


class Result(StrEnum):
    """What became of one action."""

    VERIFIED = "verified"  # seen in its end state by a later describe
    ACCEPTED = "accepted"  # the cloud said yes; the end state was not seen in time
    KEPT = "kept-at-recheck"  # spared by the look just before the call, or by the cloud's own protection
    FAILED = "failed"  # the cloud said no
    UNKNOWN = "unknown"  # no answer, and looking did not tell
    NOT_ATTEMPTED = "not-attempted"  # the sweep stopped before it


class Status(StrEnum):
    """How a sweep ended."""

    COMPLETED = "completed"  # it did, or in report mode showed, all that the plan said
    REFUSED = "refused"  # the plan was over a limit: nothing was done
    INCOMPLETE = "incomplete"  # the listing was not whole: nothing was done
    PAUSED = "paused"  # the pause switch stopped it
    STOPPED = "stopped"  # it ended early: out of time, or refused by the cloud
    FAILED = "failed"  # some outcome failed or is unknown, or the sweep could not be made at all
    CONTINUED = "continued"  # time was up: the rest goes on by message
    DUPLICATE = "duplicate"  # this scheduled time has been swept already
    DISABLED = "disabled"  # the account may not use this region


# Whoever asked for it may ask again: it might end otherwise.
PASSING = frozenset({Status.INCOMPLETE, Status.STOPPED, Status.FAILED})
GOOD = frozenset({Status.COMPLETED, Status.CONTINUED, Status.PAUSED, Status.DUPLICATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One action and what became of it, in words where it is not plain."""

    action: Action
    result: Result
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One sweep over one target, accounted for to the last candidate.

    One that carries on where another was cut has the first one's id as ``root``; ``hop`` says how often it was handed
    on.

    ``settled`` says what became of the intents of earlier sweeps that broke off; ``cut``, that time was up before the
    last action, and nothing else was wrong.
    ``throttles`` is how often the cloud
    said that the calls come too fast, ``paced`` for how many seconds Curfew's own rate kept them back.
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
    settled: tuple[str, ...] = ()
    problem: str = ""
    cut: bool = False
    throttles: int = 0
    paced: float = 0.0
    root: str = ""
    hop: int = 0

    @property
    def failed(self) -> bool:
        """Whether somebody has to look. A refused plan is only news while nothing would be done anyway."""
        if self.status is Status.REFUSED:
            return self.mode is Mode.ACT
        return self.status not in GOOD

    def count(self, result: Result) -> int:
        """How many actions ended like this."""
        return sum(outcome.result is result for outcome in self.outcomes)
