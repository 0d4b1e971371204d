"""A sweep that runs short of time hands its rest on: written down, and carried on by message, a few times.

What is handed on is who was meant, and nothing that was decided: whoever carries on looks at exactly these again,
decides anew, and acts on no other. What the sweep has taken from the day's budget is theirs already.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

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
from ..ledger.protocols import StoredPlans
from ..ledger.records import PlanPhase, StoredPlan
from ..schemas.messages import Job
from .context import Sweep
from .executor import act
from .recheck import recheck
from .stored_plans import CONTINUATION, verdicts_of

# Lambda cuts off a chain of messages after about sixteen.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
MAX_ATTEMPTS = 8
# So long after it was written down, the rest is left to the next sweep.
LIFETIME = timedelta(hours=1)

type Enqueue = Callable[[Job], None]


def schedule_continuation(
    sweep: Sweep, report: Report, enqueue: Enqueue | None, *, before: int = 0
) -> Report:
    """Put off what a sweep did not come to, if time was all it lacked; the report says so then.

    ``before`` is how many hops there have been. Without a queue, or after too many hops, the report stays as it is.
    """
    left = [o.action for o in report.outcomes if o.result is Result.NOT_ATTEMPTED]
    if not (report.cut and left and enqueue):
        return report
    if before >= MAX_ATTEMPTS:
        return replace(
            report, problem=f"{report.problem}; {MAX_ATTEMPTS} others have carried it on already"
        )
    record = _record(sweep, report, attempt=before + 1)
    continuation = replace(report, plan=_plan(sweep, left), outcomes=())
    try:
        sweep.ledger.plans.save(record, continuation)
        enqueue(Job(work="resume", id=record.id))
    except (LedgerError, QueueError) as error:
        return replace(report, problem=f"{report.problem}; and it could not be handed on: {error}")
    problem = f"{len(left)} are carried on by message, the {_nth(before + 1)} of {MAX_ATTEMPTS}"
    status = Status.CONTINUED if report.status is Status.STOPPED else report.status
    return replace(report, status=status, problem=problem)


def get_continuation(id_: str, *, plans: StoredPlans) -> StoredPlan:
    """What a sweep has left. Raises NotFoundError, LedgerError."""
    record = plans.get(id_)
    if record is None or CONTINUATION not in record.summary:
        raise NotFoundError(f'there is no rest "{id_}" of any sweep')
    return record


def resume(record: StoredPlan, sweep: Sweep, enqueue: Enqueue | None) -> Report | str:
    """Take up what was handed on, once: the report, or in words why there is nothing to do.

    Raises ConflictError for what lay too long or was meant by other policies, LedgerError.
    """
    if record.phase is not PlanPhase.PLANNED:
        return f"the rest of {record.summary['root_sweep_id']} is {record.phase}: nothing is done"
    if sweep.clock.now() > record.expires_at:
        raise ConflictError(
            f"the rest of {record.summary['root_sweep_id']} lay too long: the next sweep finds it"
        )
    if record.policy_version != sweep.policy.version:
        raise ConflictError(
            f"the rest of {record.summary['root_sweep_id']} was meant by other policies: the next sweep finds it"
        )
    if not sweep.ledger.plans.begin(record, sweep.id):
        return f"the rest of {record.summary['root_sweep_id']} is taken up already: nothing is done"
    report = act(sweep, _plan_again(record, sweep))
    report = replace(
        report, root_sweep_id=record.summary["root_sweep_id"], attempt=record.summary["attempt"]
    )
    report = schedule_continuation(sweep, report, enqueue, before=report.attempt)
    ended = replace(record, phase=PlanPhase.ENDED, applied_by=sweep.id)
    try:
        sweep.ledger.plans.finish(ended, report)
    except LedgerError as error:  # the audit has what was done, and nobody takes this up again
        return replace(
            report,
            status=report.status if report.failed else Status.FAILED,
            problem="; ".join(filter(None, (report.problem, str(error)))),
        )
    return report


def continuation_fields(record: StoredPlan) -> dict[str, Any]:
    """What a sweep that carries on knows of the one before it, as fields of ``Sweep``."""
    summary = record.summary
    # One of them that failed leaves the window open.
    at = "" if summary["troubled"] else summary["scheduled_at"]
    return {
        "asked_by": f"carries on {summary['root_sweep_id']}, hop {summary['attempt']}",
        "reserved": True,
        "root_sweep_id": summary["root_sweep_id"],
        "schedule": summary["schedule"] if at else "",
        "scheduled_at": datetime.fromisoformat(at) if at else None,
    }


def _record(sweep: Sweep, report: Report, *, attempt: int) -> StoredPlan:
    now = sweep.clock.now()
    root_sweep_id = sweep.root_sweep_id or sweep.id
    return StoredPlan(
        id=f"{root_sweep_id}-hop-{attempt}",
        policy=sweep.policy.name,
        policy_version=sweep.policy.version,
        target=sweep.provider.target,
        asked_by=sweep.id,
        made_at=now,
        expires_at=now + LIFETIME,
        phase=PlanPhase.PLANNED,
        summary={
            CONTINUATION: True,
            "root_sweep_id": root_sweep_id,
            "attempt": attempt,
            "schedule": sweep.schedule,
            "scheduled_at": sweep.scheduled_at.isoformat() if sweep.scheduled_at else "",
            "listed": report.listed,
            "troubled": report.status is not Status.STOPPED,
        },
    )


def _plan_again(record: StoredPlan, sweep: Sweep) -> Report:
    """A plan over those that are left, made now; it needs no limit, being a part of one that kept to them."""
    now = sweep.clock.now()
    left = [
        one.judged
        for one in verdicts_of(record, sweep.ledger.plans)
        if isinstance(one.judged, Action)
    ]
    made, problem, status = _plan(sweep, []), "", Status.COMPLETED
    outcomes: tuple[Outcome, ...] = ()
    try:
        again = recheck(left, sweep.policy, provider=sweep.provider, ledger=sweep.ledger, now=now)
        made = _with_missing(replace(again.plan, asked_by=sweep.asked_by), again.missing)
    except RateLimitedError as error:
        # There was no time to look at them: whoever comes next does.
        made, status, problem = _plan(sweep, left), Status.STOPPED, f"nothing is decided: {error}"
        outcomes = tuple(
            Outcome(action=action, result=Result.NOT_ATTEMPTED, detail=problem) for action in left
        )
    except (LedgerError, ProviderError) as error:
        status, problem = Status.FAILED, str(error)
    except Exception as error:  # noqa: BLE001  a fault of ours is said in the report, as in every sweep
        status, problem = Status.FAILED, unexpected(error)
    return Report(
        sweep_id=sweep.id,
        target=record.target,
        policy=record.policy,
        mode=Mode.REPORT,
        status=status,
        started_at=now,
        finished_at=sweep.clock.now(),
        listed=int(record.summary["listed"]),
        plan=made,
        outcomes=outcomes,
        cut=bool(outcomes),
        problem=problem,
    )


def _with_missing(made: Plan, gone: Sequence[Action]) -> Plan:
    """Everybody who was left is accounted for."""
    kept = [
        Kept(instance=a.instance, rule="not-seen", reason="is not to be seen any more")
        for a in gone
    ]
    return replace(made, kept=tuple(sorted((*made.kept, *kept), key=lambda k: k.instance.id)))


def _plan(sweep: Sweep, actions: list[Action]) -> Plan:
    return Plan(policy=sweep.policy, made_at=sweep.clock.now(), actions=tuple(actions))


def _nth(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
