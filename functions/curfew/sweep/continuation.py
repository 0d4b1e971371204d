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
    PacedError,
    ProviderError,
    QueueError,
    unexpected,
)
from ..core.plan import Action, Kept, Plan
from ..core.report import Outcome, Report, Result, Status
from ..core.target import Mode
from ..ledger.protocols import Plans
from ..ledger.records import PlanRecord, PlanStep
from ..schemas.messages import WorkRequest
from .context import Sweep
from .executor import act
from .recheck import recheck
from .stored_plans import REST, verdicts_of

# Lambda cuts off a chain of messages after about sixteen.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
HOPS = 8
# So long after it was written down, the rest is left to the next sweep.
KEPT = timedelta(hours=1)

type Defer = Callable[[WorkRequest], None]


def hand_on(sweep: Sweep, report: Report, defer: Defer | None, *, before: int = 0) -> Report:
    """Put off what a sweep did not come to, if time was all it lacked; the report says so then.

    ``before`` is how many hops there have been. Without a queue, or after too many hops, the report stays as it is.
    """
    left = [o.action for o in report.outcomes if o.result is Result.NOT_ATTEMPTED]
    if not (report.cut and left and defer):
        return report
    if before >= HOPS:
        return replace(
            report, problem=f"{report.problem}; {HOPS} others have carried it on already"
        )
    record = _record(sweep, report, hop=before + 1)
    rest = replace(report, plan=_plan(sweep, left), outcomes=())
    try:
        sweep.ledger.plans.save(record, rest)
        defer(WorkRequest(work="resume", id=record.id))
    except (LedgerError, QueueError) as error:
        return replace(report, problem=f"{report.problem}; and it could not be handed on: {error}")
    problem = f"{len(left)} are carried on by message, the {_nth(before + 1)} of {HOPS}"
    status = Status.CONTINUED if report.status is Status.STOPPED else report.status
    return replace(report, status=status, problem=problem)


def found(id_: str, *, plans: Plans) -> PlanRecord:
    """What a sweep has left. Raises NotFoundError, LedgerError."""
    record = plans.get(id_)
    if record is None or REST not in record.summary:
        raise NotFoundError(f'there is no rest "{id_}" of any sweep')
    return record


def carry_on(record: PlanRecord, sweep: Sweep, defer: Defer | None) -> Report | str:
    """Take up what was handed on, once: the report, or in words why there is nothing to do.

    Raises ConflictError for what lay too long or was meant by other policies, LedgerError.
    """
    if record.step is not PlanStep.PLANNED:
        return f"the rest of {record.summary['root']} is {record.step}: nothing is done"
    if sweep.clock.now() > record.expires_at:
        raise ConflictError(
            f"the rest of {record.summary['root']} lay too long: the next sweep finds it"
        )
    if record.policy_version != sweep.policy.version:
        raise ConflictError(
            f"the rest of {record.summary['root']} was meant by other policies: the next sweep finds it"
        )
    if not sweep.ledger.plans.begin(record, sweep.id):
        return f"the rest of {record.summary['root']} is taken up already: nothing is done"
    report = act(sweep, _planned(record, sweep))
    report = replace(report, root=record.summary["root"], hop=record.summary["hop"])
    report = hand_on(sweep, report, defer, before=report.hop)
    ended = replace(record, step=PlanStep.ENDED, applied_by=sweep.id)
    try:
        sweep.ledger.plans.finish(ended, report)
    except LedgerError as error:  # the audit has what was done, and nobody takes this up again
        return replace(
            report,
            status=report.status if report.failed else Status.FAILED,
            problem="; ".join(filter(None, (report.problem, str(error)))),
        )
    return report


def continuing(record: PlanRecord) -> dict[str, Any]:
    """What a sweep that carries on knows of the one before it, as fields of ``Sweep``."""
    summary = record.summary
    # One of them that failed leaves the window open.
    at = "" if summary["troubled"] else summary["scheduled_at"]
    return {
        "asked_by": f"carries on {summary['root']}, hop {summary['hop']}",
        "reserved": True,
        "root": summary["root"],
        "schedule": summary["schedule"] if at else "",
        "scheduled_at": datetime.fromisoformat(at) if at else None,
    }


def _record(sweep: Sweep, report: Report, *, hop: int) -> PlanRecord:
    now = sweep.clock.now()
    root = sweep.root or sweep.id
    return PlanRecord(
        id=f"{root}-hop-{hop}",
        policy=sweep.policy.name,
        policy_version=sweep.policy.version,
        target=sweep.provider.target,
        asked_by=sweep.id,
        made_at=now,
        expires_at=now + KEPT,
        step=PlanStep.PLANNED,
        summary={
            REST: True,
            "root": root,
            "hop": hop,
            "schedule": sweep.schedule,
            "scheduled_at": sweep.scheduled_at.isoformat() if sweep.scheduled_at else "",
            "listed": report.listed,
            "troubled": report.status is not Status.STOPPED,
        },
    )


def _planned(record: PlanRecord, sweep: Sweep) -> Report:
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
        made = _with_the_gone(replace(again.plan, asked_by=sweep.asked_by), again.missing)
    except PacedError as error:
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


def _with_the_gone(made: Plan, gone: Sequence[Action]) -> Plan:
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
