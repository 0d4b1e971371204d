"""What one trigger begins and another may carry on: the use cases put together, each with its use of the time.

Over HTTP an answer has to come within 30 seconds. What fits is done at once; the rest is put off to the queue, where
the SweepFunction takes it up by the same functions. Where there is no queue, everything is done at once.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from ..app import App
from ..core.access import Caller
from ..core.errors import ConflictError, NotFoundError, ProviderError, QueueError
from ..core.lease import Fleet
from ..core.report import Report
from ..core.target import Mode
from ..fleets import launcher
from ..fleets import lifecycle as fleets
from ..ledger.records import PlanPhase, StoredPlan
from ..schemas.messages import Job
from ..schemas.policy_file import SweepLimits
from ..sweep import continuation, stored_plans
from ..sweep.context import Sweep
from ..sweep.executor import act
from ..sweep.planner import plan

# Orders with so many looks take about ten seconds; more of them would outlast the request.
AT_ONCE = 20
# Whoever was asked for a launch gets so long to begin with it.
BEGUN = timedelta(minutes=3)


def require_act_mode(app: App) -> None:
    """Raise ConflictError in report mode, in which nothing is launched, changed or ended."""
    if app.settings.mode is not Mode.ACT:
        raise ConflictError("this stack runs in report mode: deploy it with Mode=act to let it act")


def launch(app: App, fleet: Fleet, *, deadline: datetime | None) -> Fleet:
    """Carry the launch on, here and now, and put off what is left. Raises LedgerError, QueueError."""
    continued = _launch_further(app, fleet, deadline)
    if not continued.phase.finished and app.enqueue:
        app.enqueue(Job(work="launch", id=fleet.launch_id, fleet=fleet.name))
    return continued


def end(
    app: App, fleet: Fleet, *, caller: Caller, deadline: datetime | None
) -> tuple[str, Report | None]:
    """Terminate a fleet that its owner gives up: the sweep's id, and its report unless it was put off.

    Raises ForbiddenError, ConflictError, LedgerError.
    """
    require_act_mode(app)
    sweep_id = app.new_id()
    fleets.terminate(fleet, caller=caller, by=sweep_id, ledger=app.ledger, now=app.now())
    if fleet.count > AT_ONCE and _enqueued(
        app, Job(work="terminate", id=sweep_id, fleet=fleet.name)
    ):
        return sweep_id, None
    return sweep_id, _end(app, fleet, sweep_id, asked_by=caller.id, deadline=deadline)


def make_plan(app: App, record: StoredPlan, *, deadline: datetime | None) -> StoredPlan:
    """Make a plan that is written down, here and now, or put it off if the listing takes too long.

    Raises LedgerError, QueueError.
    """
    made = stored_plans.store_plan(
        record,
        _sweep_for_plan(app.in_report_mode(), record, deadline),
        in_time=app.enqueue is not None,
    )
    if made.phase is PlanPhase.PLANNING and app.enqueue:
        app.enqueue(Job(work="plan", id=record.id))
    return made


def apply_plan(
    app: App, record: StoredPlan, *, caller: Caller, deadline: datetime | None
) -> tuple[StoredPlan, Report | None]:
    """Carry out a kept plan, and nothing else: the plan as it is then, and its report unless it was put off.

    Raises ConflictError for a plan that is stale, of other policies, or taken; also in report mode, and when paused.
    """
    require_act_mode(app)
    stored_plans.check_applicable(record, version=app.policies.version, now=app.now())
    if pause := app.ledger.paused():
        raise ConflictError(str(pause))
    taken = replace(record, phase=PlanPhase.APPLYING, applied_by=caller.id)
    if not app.ledger.plans.begin(record, caller.id):
        raise ConflictError(f'the plan "{record.id}" is being applied already')
    if record.summary.get("actions", 0) > AT_ONCE and _enqueued(
        app, Job(work="apply", id=record.id)
    ):
        return taken, None
    return _apply(app, taken, deadline)


def run_job(app: App, job: Job, *, deadline: datetime | None) -> Report | str:
    """Do what a message says was put off, if the ledger says so too: the report, or what came of it in words.

    A message that comes twice, or too late, finds nothing left to do. Raises NotFoundError for what the ledger does
    not know, ConflictError in report mode, in which only plans are made, and while a launch is under way, LedgerError.
    """
    if job.work != "plan":
        require_act_mode(app)
    match job.work:
        case "launch":
            fleet = _launch_further(app, _fleet(app, job), deadline)
            return f'the launch of "{fleet.name}" is {fleet.phase}'
        case "terminate":
            fleet = _fleet(app, job)
            # Delivered twice at once, the message must not be two sweeps with one claim.
            own = app.new_id()
            if not app.ledger.fleets.hand_over(
                fleet.name, fleet.launch_id, job.id, own, now=app.now()
            ):
                return (
                    f'the sweep {job.id} has no claim on the fleet "{fleet.name}": nothing is done'
                )
            return _end(app, fleet, own, deadline=deadline)
        case "plan":
            record = stored_plans.get_plan(job.id, plans=app.ledger.plans)
            if record.phase is PlanPhase.PLANNING:
                record = stored_plans.store_plan(
                    record, _sweep_for_plan(app.in_report_mode(), record, deadline)
                )
            return f"the plan {record.id} is {record.phase}"
        case "resume":
            record = continuation.get_continuation(job.id, plans=app.ledger.plans)
            sweep = app.sweep(
                app.policies.policy(record.policy),
                record.target.region,
                record.target.account,
                clock=app.clock(deadline),
                **continuation.continuation_fields(record),
            )
            return continuation.resume(record, sweep, app.enqueue)
        case "apply":
            record = stored_plans.get_plan(job.id, plans=app.ledger.plans)
            if record.phase is not PlanPhase.APPLYING:
                return f"the plan {record.id} is {record.phase}: nothing is done"
            return _apply(app, record, deadline)[1]


def tidy(app: App, *, deadline: datetime | None) -> list[Fleet]:
    """Take up each launch that broke off, and write down which fleets have ended by themselves.

    The fleets that are not finished even so. Raises LedgerError.
    """
    unfinished = [
        _launch_further(app, fleet, deadline)
        for fleet in app.ledger.fleets.unfinished()
        if app.now() - fleet.created_at > BEGUN
    ]
    for fleet in app.running_fleets():
        if fleet.phase.finished:
            with suppress(ProviderError):  # it is looked at again the next time
                fleets.view(
                    fleet,
                    provider=app.provider_for(fleet.target),
                    ledger=app.ledger,
                    now=app.now(),
                )
    return [fleet for fleet in unfinished if not fleet.phase.finished]


def _enqueued(app: App, job: Job) -> bool:
    """Whether the work was put off. What has been claimed is not left lying: without a queue it is done at once."""
    if app.enqueue is None:
        return False
    try:
        app.enqueue(job)
    except QueueError:
        return False
    return True


def _launch_further(app: App, fleet: Fleet, deadline: datetime | None) -> Fleet:
    return launcher.continue_launch(
        fleet,
        worker=app.new_id(),
        provider=app.provider_for(fleet.target),
        ledger=app.ledger,
        clock=app.clock(deadline),
    )


def _end(
    app: App, fleet: Fleet, sweep_id: str, *, asked_by: str = "", deadline: datetime | None
) -> Report:
    """Sweep a fleet that is claimed. A call of its launch that nobody knows the end of is resolved before."""
    if (
        not fleet.phase.finished
        and not (fleet := _launch_further(app, fleet, deadline)).phase.finished
    ):
        app.ledger.fleets.unclaim(fleet.name, fleet.launch_id, sweep_id)
        raise ConflictError(
            f'the fleet "{fleet.name}" is still being launched: try again',
            retry_after=fleets.RETRY_AFTER,
        )
    file = app.policies.content
    sweep = app.sweep(
        fleets.termination_policy(
            fleet,
            file.protect.protection(),
            file.limits.limits(SweepLimits()),
            version=app.policies.version,
        ),
        fleet.target.region,
        fleet.target.account,
        id=sweep_id,
        clock=app.clock(deadline),
        asked_by=asked_by,
    )
    report = act(sweep, plan(sweep))
    if not app.ledger.fleets.members(fleet.launch_id):
        app.ledger.fleets.close(fleet, now=app.now())
    # A sweep that ended before its first batch has not let go of it.
    app.ledger.fleets.unclaim(fleet.name, fleet.launch_id, sweep_id)
    return report


def _sweep_for_plan(app: App, record: StoredPlan, deadline: datetime | None) -> Sweep:
    return app.sweep(
        app.policies.policy(record.policy),
        record.target.region,
        record.target.account,
        id=record.id,
        clock=app.clock(deadline),
        asked_by=record.asked_by,
    )


def _apply(app: App, record: StoredPlan, deadline: datetime | None) -> tuple[StoredPlan, Report]:
    sweep = replace(
        _sweep_for_plan(app, record, deadline),
        id=app.new_id(),  # a plan that is delivered twice at once is two sweeps
        asked_by=f"{record.asked_by}, applied by {record.applied_by}",
    )
    return stored_plans.apply_plan(record, sweep)


def _fleet(app: App, job: Job) -> Fleet:
    fleet = app.ledger.fleets.get(job.fleet or "")
    if fleet is None:
        raise NotFoundError(f'there is no fleet "{job.fleet}"')
    return fleet
