"""Stored plans over HTTP: make one, apply one, each now or by a job."""

from dataclasses import replace
from datetime import datetime

from ..app import App
from ..core.access import Caller
from ..core.errors import ConflictError
from ..core.report import Report
from ..ledger.records import PlanPhase, StoredPlan
from ..schemas.messages import Job
from ..sweep import stored_plans
from ..sweep.context import Sweep
from .admission import require_act_mode
from .queueing import MOST_AT_ONCE, JobResult, enqueued


def make_plan(app: App, record: StoredPlan, *, deadline: datetime | None) -> StoredPlan:
    """Make an opened plan now, or enqueue it if the listing takes too long. Raises LedgerError, QueueError."""
    made = stored_plans.store_plan(
        record,
        _sweep(app.in_report_mode(), record, deadline),
        in_time=app.enqueue is not None,
    )
    if made.phase is PlanPhase.PLANNING and app.enqueue:
        app.enqueue(Job(work="plan", id=record.id))
    return made


def apply_plan(
    app: App, record: StoredPlan, *, caller: Caller, deadline: datetime | None
) -> tuple[StoredPlan, Report | None]:
    """Apply a stored plan unchanged. Return its new record, and its report unless a job applies it later.

    Raises ConflictError for a plan that is stale, of other policies or being applied, in report mode and in a pause,
    LedgerError.
    """
    require_act_mode(app)
    stored_plans.check_applicable(record, version=app.policies.version, now=app.now())
    if pause := app.ledger.paused():
        raise ConflictError(str(pause))
    taken = replace(record, phase=PlanPhase.APPLYING, applied_by=caller.id)
    if not app.ledger.plans.begin(record, caller.id):
        raise ConflictError(f'the plan "{record.id}" is being applied already')
    job = Job(work="apply", id=record.id)
    if record.summary.get("actions", 0) > MOST_AT_ONCE and enqueued(app, job):
        return taken, None
    return _apply(app, taken, deadline)


def run_planning(app: App, job: Job, *, deadline: datetime | None) -> JobResult:
    """Make the plan that the job names, if it is not made yet. Raises NotFoundError, LedgerError."""
    record = stored_plans.get_plan(job.id, plans=app.ledger.plans)
    if record.phase is PlanPhase.PLANNING:
        sweep = _sweep(app.in_report_mode(), record, deadline)
        record = stored_plans.store_plan(record, sweep)
    return JobResult(message=f"the plan {record.id} is {record.phase}")


def run_application(app: App, job: Job, *, deadline: datetime | None) -> JobResult:
    """Apply the plan that the job names, if a caller has begun to. Raises NotFoundError, ConflictError, LedgerError."""
    record = stored_plans.get_plan(job.id, plans=app.ledger.plans)
    if record.phase is not PlanPhase.APPLYING:
        return JobResult(message=f"the plan {record.id} is {record.phase}: nothing is done")
    _, report = _apply(app, record, deadline)
    return JobResult(report=report)


def _sweep(app: App, record: StoredPlan, deadline: datetime | None) -> Sweep:
    sweep = app.sweep(app.policies.policy(record.policy), record.target, deadline)
    return replace(sweep, id=record.id, asked_by=record.asked_by)


def _apply(app: App, record: StoredPlan, deadline: datetime | None) -> tuple[StoredPlan, Report]:
    sweep = replace(
        _sweep(app, record, deadline),
        id=app.new_id(),  # a message that is delivered twice at the same time starts two sweeps
        asked_by=f"{record.asked_by}, applied by {record.applied_by}",
    )
    return stored_plans.apply_plan(record, sweep)
