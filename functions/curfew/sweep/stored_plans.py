"""Stored plans: a caller requests one, reads it, and has it applied as it is, while it is fresh.

A stored plan is the plan of a sweep that stopped before it acted. Applying it goes the same way as every sweep: each
instance is described and judged again just before its call, so that with time a plan can only lose actions.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..core.errors import ConflictError, LedgerError, NotFoundError
from ..core.lease import format_utc
from ..core.plan import Action, Kept, Plan
from ..core.report import Report, Status
from ..core.target import Mode
from ..ledger.protocols import StoredPlans
from ..ledger.records import PlanPhase, StoredPlan, Verdict
from ..reporting import render
from .context import Sweep
from .executor import act
from .planner import plan
from .run_state import SHELF_LIFE

VERDICTS_PER_PAGE = 500


def store_plan(record: StoredPlan, sweep: Sweep, *, in_time: bool = False) -> StoredPlan:
    """Find, decide and guard, and store the result. Raises LedgerError.

    With ``in_time``, nothing is stored if time runs out before the end of the listing, and the record is returned
    unchanged: a job makes the plan later.
    """
    report = plan(sweep)
    if in_time and report.status is Status.STOPPED:
        return record
    phase = PlanPhase.PLANNED if report.status is Status.COMPLETED else PlanPhase.ENDED
    made = replace(
        record,
        phase=phase,
        hash=report.plan.hash if report.plan else "",
        made_at=report.started_at,
        expires_at=report.started_at + SHELF_LIFE,
        summary=render.summary(report),
    )
    sweep.ledger.plans.save(made, report)
    return made


def get_plan(id_: str, *, plans: StoredPlans) -> StoredPlan:
    """Return a stored plan. Raises NotFoundError, LedgerError."""
    record = plans.get(id_)
    if record is None:
        raise NotFoundError(f'there is no plan "{id_}"')
    return record


def check_applicable(record: StoredPlan, *, version: str, now: datetime) -> None:
    """Raise ConflictError for a plan that may not be applied: not planned, stale, or of other policies."""
    if record.phase is not PlanPhase.PLANNED:
        raise ConflictError(
            f'the plan "{record.id}" is {record.phase}: only a planned one can be applied'
        )
    if now > record.expires_at:
        raise ConflictError(
            f'the plan "{record.id}" is stale: it expired at {format_utc(record.expires_at)}; make a new one'
        )
    _same_policies(record, version)


def apply_plan(record: StoredPlan, sweep: Sweep) -> tuple[StoredPlan, Report]:
    """Act on a plan that is being applied, and store its outcomes.

    Raises ConflictError if the policies have changed since the plan was applied, LedgerError.
    """
    _same_policies(record, sweep.policy.version)
    planned = _report(record, sweep)
    report = act(sweep, planned)
    ended = replace(record, phase=PlanPhase.ENDED, summary=render.summary(report))
    sweep.ledger.plans.finish(ended, report)
    return ended, report


def _same_policies(record: StoredPlan, version: str) -> None:
    if record.policy_version != version:
        raise ConflictError(
            f'the plan "{record.id}" was made with the policies {record.policy_version}, and they have changed '
            f"to {version}: make a new one"
        )


def _report(record: StoredPlan, sweep: Sweep) -> Report:
    """Return the report of the planned sweep. Raises LedgerError if the stored plan was changed."""
    judged = [verdict.judged for verdict in _verdicts(record, sweep.ledger.plans)]
    made = Plan(
        policy=sweep.policy,
        made_at=record.made_at,
        actions=tuple(v for v in judged if isinstance(v, Action)),
        kept=tuple(v for v in judged if isinstance(v, Kept)),
        asked_by=sweep.asked_by,
    )
    if made.hash != record.hash:
        raise LedgerError(f'the plan "{record.id}" is not what was planned: it was tampered with')
    return Report(
        sweep_id=sweep.id,
        target=record.target,
        policy=record.policy,
        mode=Mode.REPORT,
        status=Status.COMPLETED,
        started_at=record.made_at,
        finished_at=record.made_at,
        listed=_listed(record.summary),
        plan=made,
    )


def _verdicts(record: StoredPlan, plans: StoredPlans) -> list[Verdict]:
    """Return all verdicts of a stored plan. Raises LedgerError."""
    verdicts: list[Verdict] = []
    after = ""
    while True:
        page = plans.verdicts(record, limit=VERDICTS_PER_PAGE, after=after)
        verdicts.extend(page.items)
        if not page.after:
            return verdicts
        after = page.after


def _listed(summary: Mapping[str, Any]) -> int:
    return int(summary.get("listed", 0))
