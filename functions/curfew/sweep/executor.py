"""*act*: executes a plan, unless its scheduled time is already swept, sweeps are paused or it exceeds the day's budget.

Report mode is a sweep that stops after ``planner.plan``.
"""

from dataclasses import replace

from ..core.errors import LedgerError, ProviderError, unexpected
from ..core.plan import refuse
from ..core.policy import Finding
from ..core.report import Outcome, Report, Result, Status
from ..core.target import Mode
from ..ledger.records import Watermark
from . import recovery
from .context import Sweep
from .execution import Executed, execute
from .planner import at_cost, plan

SWEPT = "this scheduled time has been swept already"


def run_sweep(sweep: Sweep, mode: Mode) -> Report:
    """Run a sweep in its mode and return its report. A scheduled time that is already swept is not listed again."""
    if mode is not Mode.ACT:
        return plan(sweep)
    started = sweep.clock.now()
    try:
        done = _swept_already(sweep)
    except LedgerError:
        done = False  # ``act`` asks again
    if not done:
        return act(sweep, plan(sweep))
    return Report(
        sweep_id=sweep.id,
        target=sweep.provider.target,
        policy=sweep.policy.name,
        mode=Mode.ACT,
        status=Status.DUPLICATE,
        started_at=started,
        finished_at=sweep.clock.now(),
        problem=SWEPT,
    )


def act(sweep: Sweep, planned: Report) -> Report:
    """Execute a planned sweep and return its report. Does nothing unless the planning completed.

    Never raises: an error becomes the report's status and problem.
    """
    spent = sweep.rate_limit_stats()
    return at_cost(sweep, _acted(sweep, planned), spent)


def _acted(sweep: Sweep, planned: Report) -> Report:
    report = replace(planned, mode=Mode.ACT)
    try:
        if planned.plan is None or planned.status is not Status.COMPLETED:
            return report
        if _swept_already(sweep):
            return _nothing(report, Status.DUPLICATE, SWEPT)
        if pause := sweep.ledger.paused():
            return _nothing(report, Status.PAUSED, str(pause))
        report = replace(
            report,
            resolved_intents=recovery.resolve_open_intents(
                sweep.provider, sweep.ledger, sweep.clock.now()
            ),
        )
        report = _within_the_day(sweep, report)
        if report.status is not Status.COMPLETED:
            return replace(report, finished_at=sweep.clock.now())
        executed = execute(
            planned.plan,
            sweep_id=sweep.id,
            provider=sweep.provider,
            ledger=sweep.ledger,
            clock=sweep.clock,
            run_tasks=sweep.run_tasks,
        )
        report = replace(
            report,
            outcomes=executed.outcomes,
            problem=executed.problem,
            cut=executed.cut,
            finished_at=sweep.clock.now(),
        )
        # A step of its own: it reads the ledger, and the outcomes must survive if that fails.
        report = replace(report, status=_status(sweep, executed))
        if report.status is Status.COMPLETED:
            sweep.ledger.complete(sweep.provider.target, report.policy, _watermark(sweep, report))
    except (LedgerError, ProviderError) as error:
        return _nothing(report, Status.FAILED, str(error))
    except Exception as error:  # noqa: BLE001  a bug in one sweep must not stop the others
        return _nothing(report, Status.FAILED, unexpected(error))
    return report


def _swept_already(sweep: Sweep) -> bool:
    """Return whether the schedule's sweep of this time, or of a later one, is complete. Raises LedgerError."""
    if sweep.scheduled_at is None:
        return False
    last = sweep.ledger.watermark(sweep.provider.target, sweep.policy.name, sweep.schedule)
    return bool(last and last.scheduled_at and sweep.scheduled_at <= last.scheduled_at)


def _within_the_day(sweep: Sweep, report: Report) -> Report:
    """Reserve the plan's actions in the day's budget, or refuse the whole plan. Raises LedgerError."""
    made = report.plan
    if made is None or not made.actions or sweep.reserved:
        return report
    count, limit = len(made.actions), sweep.policy.limits.per_day
    today = sweep.clock.now().astimezone(sweep.timezone).date()
    if sweep.ledger.reserve(sweep.provider.target, today, count, limit):
        return report
    finding = Finding(
        rule="limit-per-day",
        reason=f"the plan has {count} actions, more than remain of the {limit} for {today}",
    )
    return replace(
        report, status=Status.REFUSED, plan=refuse(made, finding), problem=finding.reason
    )


def _status(sweep: Sweep, executed: Executed) -> Status:
    results = {outcome.result for outcome in executed.outcomes}
    if results & {Result.FAILED, Result.UNKNOWN}:
        return Status.FAILED
    if Result.NOT_ATTEMPTED in results:
        return Status.PAUSED if sweep.ledger.paused() else Status.STOPPED
    return Status.FAILED if executed.problem else Status.COMPLETED


def _watermark(sweep: Sweep, report: Report) -> Watermark:
    return Watermark(
        sweep_id=sweep.id,
        completed_at=report.finished_at,
        listed=report.listed,
        schedule=sweep.schedule,
        scheduled_at=sweep.scheduled_at,
    )


def _nothing(report: Report, status: Status, problem: str) -> Report:
    """Return the report of an act that ends early: an action without an outcome was not attempted."""
    actions = report.plan.actions if report.plan else ()
    outcomes = report.outcomes or tuple(
        Outcome(action=action, result=Result.NOT_ATTEMPTED, detail=problem) for action in actions
    )
    return replace(report, status=status, problem=problem, outcomes=outcomes)
