"""A sweep that runs out of time schedules its continuation: a record in the ledger and a message, a few times at most.

A continuation names the instances that the sweep did not reach, and contains no decision. The sweep that resumes it
describes exactly these instances again, decides again and acts on no other. The day's budget already has them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from ..core.errors import (
    ConflictError,
    LedgerError,
    NotFoundError,
    ProviderError,
    QueueError,
    RateLimitedError,
    unexpected,
)
from ..core.plan import Action, Kept, Plan
from ..core.report import Outcome, Report, Result, Status
from ..core.target import Mode
from ..ledger.protocols import Continuations
from ..ledger.records import Continuation, ContinuationPhase
from ..schemas.messages import Job
from .context import Sweep
from .executor import act
from .recheck import recheck

# Lambda stops a chain of messages after about sixteen.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
MAX_ATTEMPTS = 8
# A continuation that is older is left to the next sweep.
LIFETIME = timedelta(hours=1)

type Enqueue = Callable[[Job], None]


def schedule_continuation(
    sweep: Sweep, report: Report, enqueue: Enqueue | None, *, before: int = 0
) -> Report:
    """Schedule a continuation for the actions that a sweep did not reach in time, and return the updated report.

    ``before`` is the number of attempts so far. Without a queue, or after the last attempt, the report stays as it is.
    """
    left = [o.action for o in report.outcomes if o.result is Result.NOT_ATTEMPTED]
    if not (report.cut and left and enqueue):
        return report
    if before >= MAX_ATTEMPTS:
        problem = f"{report.problem}; this was the last of {MAX_ATTEMPTS} continuations"
        return replace(report, problem=problem)
    continuation = _continuation(sweep, report, attempt=before + 1)
    try:
        sweep.ledger.continuations.save(continuation, left)
        enqueue(Job(work="resume", id=continuation.id))
    except (LedgerError, QueueError) as error:
        problem = f"{report.problem}; and the continuation could not be scheduled: {error}"
        return replace(report, problem=problem)
    problem = f"{len(left)} are left to continuation {before + 1} of {MAX_ATTEMPTS}"
    status = Status.CONTINUED if report.status is Status.STOPPED else report.status
    return replace(report, status=status, problem=problem)


def get_continuation(id_: str, *, continuations: Continuations) -> Continuation:
    """Return a continuation. Raises NotFoundError, LedgerError."""
    continuation = continuations.get(id_)
    if continuation is None:
        raise NotFoundError(f'there is no continuation "{id_}"')
    return continuation


def resume(continuation: Continuation, sweep: Sweep, enqueue: Enqueue | None) -> Report | None:
    """Act on what is left, once, and return the report; None if another sweep has resumed it.

    Raises ConflictError for a continuation that is too old or of other policies, LedgerError.
    """
    root = continuation.root_sweep_id
    if continuation.phase is not ContinuationPhase.WAITING:
        return None
    if sweep.clock.now() > continuation.expires_at:
        raise ConflictError(
            f"the continuation of {root} expired at {continuation.expires_at.isoformat()}: the next sweep finds the "
            "instances"
        )
    if continuation.policy_version != sweep.policy.version:
        raise ConflictError(
            f"the continuation of {root} has other policies, {continuation.policy_version}, than now, "
            f"{sweep.policy.version}: the next sweep finds the instances"
        )
    if not sweep.ledger.continuations.begin(continuation, sweep.id):
        return None
    sweep = _resuming(continuation, sweep)
    report = act(sweep, _plan_again(continuation, sweep))
    report = replace(report, root_sweep_id=root, attempt=continuation.attempt)
    report = schedule_continuation(sweep, report, enqueue, before=continuation.attempt)
    try:
        sweep.ledger.continuations.end(continuation)
    except LedgerError as error:  # the audit has the outcomes, and no sweep resumes it again
        return replace(
            report,
            status=report.status if report.failed else Status.FAILED,
            problem="; ".join(filter(None, (report.problem, str(error)))),
        )
    return report


def _resuming(continuation: Continuation, sweep: Sweep) -> Sweep:
    """Return the sweep with the root and the window of the one that it continues. A failed attempt has no window."""
    in_window = continuation.scheduled_at is not None and not continuation.troubled
    return replace(
        sweep,
        asked_by=f"continuation {continuation.attempt} of {continuation.root_sweep_id}",
        reserved=True,
        root_sweep_id=continuation.root_sweep_id,
        schedule=continuation.schedule if in_window else "",
        scheduled_at=continuation.scheduled_at if in_window else None,
    )


def _continuation(sweep: Sweep, report: Report, *, attempt: int) -> Continuation:
    now = sweep.clock.now()
    root_sweep_id = sweep.root_sweep_id or sweep.id
    return Continuation(
        id=f"{root_sweep_id}-attempt-{attempt}",
        root_sweep_id=root_sweep_id,
        sweep_id=sweep.id,
        attempt=attempt,
        policy=sweep.policy.name,
        policy_version=sweep.policy.version,
        target=sweep.provider.target,
        made_at=now,
        expires_at=now + LIFETIME,
        listed=report.listed,
        troubled=report.status is not Status.STOPPED,
        schedule=sweep.schedule,
        scheduled_at=sweep.scheduled_at,
    )


def _plan_again(continuation: Continuation, sweep: Sweep) -> Report:
    """Return a plan of the instances that are left. No limit applies: the first plan was within the limits."""
    now = sweep.clock.now()
    left = sweep.ledger.continuations.actions(continuation)
    made, problem, status = _plan(sweep, ()), "", Status.COMPLETED
    outcomes: tuple[Outcome, ...] = ()
    try:
        again = recheck(left, sweep.policy, provider=sweep.provider, ledger=sweep.ledger, now=now)
        made = _with_missing(replace(again.plan, asked_by=sweep.asked_by), again.missing)
    except RateLimitedError as error:
        # No time was left to describe the instances: the next continuation does it.
        made, status, problem = _plan(sweep, left), Status.STOPPED, f"nothing is decided: {error}"
        outcomes = tuple(
            Outcome(action=action, result=Result.NOT_ATTEMPTED, detail=problem) for action in left
        )
    except (LedgerError, ProviderError) as error:
        status, problem = Status.FAILED, str(error)
    except Exception as error:  # noqa: BLE001  a fault of Curfew's own is in the report, as in every sweep
        status, problem = Status.FAILED, unexpected(error)
    return Report(
        sweep_id=sweep.id,
        target=continuation.target,
        policy=continuation.policy,
        mode=Mode.REPORT,
        status=status,
        started_at=now,
        finished_at=sweep.clock.now(),
        listed=continuation.listed,
        plan=made,
        outcomes=outcomes,
        cut=bool(outcomes),
        problem=problem,
    )


def _with_missing(made: Plan, gone: Sequence[Action]) -> Plan:
    """Return the plan with every instance that was left: one that cannot be seen is kept."""
    kept = [
        Kept(instance=a.instance, rule="not-seen", reason="is not to be seen any more")
        for a in gone
    ]
    return replace(made, kept=tuple(sorted((*made.kept, *kept), key=lambda k: k.instance.id)))


def _plan(sweep: Sweep, actions: Sequence[Action]) -> Plan:
    return Plan(policy=sweep.policy, made_at=sweep.clock.now(), actions=tuple(actions))
