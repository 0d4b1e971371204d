"""The early termination of a fleet: a claim, and then a sweep like any other, now or by a job."""

from dataclasses import replace
from datetime import datetime

from ..app import App
from ..core.access import Caller
from ..core.errors import ConflictError
from ..core.lease import Fleet
from ..core.report import Report
from ..fleets.lifecycle import RETRY_AFTER, claim, termination_policy
from ..schemas.messages import Job
from ..schemas.policy_file import SweepLimits
from ..sweep.executor import act
from ..sweep.planner import plan
from .admission import require_act_mode
from .launches import continue_launch, get_fleet
from .queueing import MOST_AT_ONCE, JobResult, enqueued


def terminate(
    app: App, fleet: Fleet, *, caller: Caller, deadline: datetime | None
) -> tuple[str, Report | None]:
    """Terminate a fleet before its lease expires. Return the sweep's id, and its report unless a job does it.

    Raises ForbiddenError, ConflictError, LedgerError.
    """
    require_act_mode(app)
    sweep_id = app.new_id()
    claim(fleet, caller=caller, by=sweep_id, ledger=app.ledger, now=app.now())
    job = Job(work="terminate", id=sweep_id, fleet=fleet.name)
    if fleet.count > MOST_AT_ONCE and enqueued(app, job):
        return sweep_id, None
    return sweep_id, _sweep(app, fleet, sweep_id, asked_by=caller.id, deadline=deadline)


def run_termination(app: App, job: Job, *, deadline: datetime | None) -> JobResult:
    """Sweep a fleet whose termination was accepted. Raises NotFoundError, ConflictError, LedgerError."""
    fleet = get_fleet(app, job)
    # If the message is delivered twice at the same time, two sweeps must not share one claim.
    own = app.new_id()
    if not app.ledger.fleets.hand_over(fleet.name, fleet.launch_id, job.id, own, now=app.now()):
        return JobResult(
            message=f'the sweep {job.id} has no claim on the fleet "{fleet.name}": nothing is done'
        )
    return JobResult(report=_sweep(app, fleet, own, asked_by="", deadline=deadline))


def _sweep(
    app: App, fleet: Fleet, sweep_id: str, *, asked_by: str, deadline: datetime | None
) -> Report:
    """Resolve a launch call with an unknown result, then sweep the claimed fleet. Raises ConflictError, LedgerError."""
    if not fleet.phase.finished:
        fleet = continue_launch(app, fleet, deadline=deadline)
    if not fleet.phase.finished:
        app.ledger.fleets.unclaim(fleet.name, fleet.launch_id, sweep_id)
        raise ConflictError(
            f'the fleet "{fleet.name}" is still being launched: try again',
            retry_after=RETRY_AFTER,
        )
    file = app.policies.content
    policy = termination_policy(
        fleet,
        file.protect.protection(),
        file.limits.limits(SweepLimits()),
        version=app.policies.version,
    )
    sweep = replace(app.sweep(policy, fleet.target, deadline), id=sweep_id, asked_by=asked_by)
    report = act(sweep, plan(sweep))
    if not app.ledger.fleets.members(fleet.launch_id):
        app.ledger.fleets.close(fleet, now=app.now())
    # A sweep that ended before its first batch still has the claim.
    app.ledger.fleets.unclaim(fleet.name, fleet.launch_id, sweep_id)
    return report
