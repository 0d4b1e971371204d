"""*trigger*: a message of the queue names a job; a table names the function that does it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from ..app import App
from ..schemas.messages import Job
from ..sweep.continuation import get_continuation, resume
from .admission import require_act_mode
from .launches import run_launch
from .plans import run_application, run_planning
from .queueing import JobResult
from .terminations import run_termination


class JobFunction(Protocol):
    """Does a job, if the ledger says that it is still to be done."""

    def __call__(self, app: App, job: Job, *, deadline: datetime | None) -> JobResult:
        """Raise NotFoundError for what the ledger does not know, ConflictError, LedgerError."""


def run_job(app: App, job: Job, *, deadline: datetime | None) -> JobResult:
    """Do the job of a message. A message that comes twice, or too late, finds nothing left to do.

    Raises NotFoundError for what the ledger does not know, ConflictError while a launch is under way, and in report
    mode, in which only plans are made, LedgerError.
    """
    if job.work != "plan":
        require_act_mode(app)
    return JOBS[job.work](app, job, deadline=deadline)


def run_continuation(app: App, job: Job, *, deadline: datetime | None) -> JobResult:
    """Resume the sweep whose continuation the job names. Raises NotFoundError, ConflictError, LedgerError."""
    continuation = get_continuation(job.id, continuations=app.ledger.continuations)
    policy = app.policies.policy(continuation.policy)
    sweep = app.sweep(policy, continuation.target, deadline)
    report = resume(continuation, sweep, app.enqueue)
    if report is None:
        return JobResult(message=f"the continuation {job.id} was resumed before: nothing is done")
    return JobResult(report=report, final=True)


JOBS: Mapping[str, JobFunction] = {
    "launch": run_launch,
    "terminate": run_termination,
    "plan": run_planning,
    "apply": run_application,
    "resume": run_continuation,
}
