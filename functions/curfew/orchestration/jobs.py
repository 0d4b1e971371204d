"""*trigger*: runs the job that a message of the queue names. ``JOBS`` has the function of each kind of job."""

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
    """Run the job of a message. A message that comes twice, or too late, finds nothing left to do.

    Raises NotFoundError for an id that the ledger does not have, ConflictError in report mode for every job but a plan
    and while a launch is under way, LedgerError.
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
