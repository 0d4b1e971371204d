"""The use case: one sweep over one target, in two steps that are never mixed.

``plan`` finds, decides and guards, and changes nothing in the cloud. ``act`` carries such a plan out. Report mode
is a sweep that stops after the first step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import batched
from zoneinfo import ZoneInfo

from ..aws.rate_limit import Spent
from ..clock import Clock
from ..concurrency import Abreast, in_turn
from ..core.errors import LedgerError, ListingError, PacedError, ProviderError, unexpected
from ..core.instance import Attributes, Instance, Mode
from ..core.plan import Plan, decide, guard, over_limit, protect, refuse
from ..core.policy import EVERYTHING, NOT_SELECTED, Finding, Policy, mismatch, out_of_lease
from ..core.protection import shielded
from ..core.report import Outcome, Report, Result, Status
from ..ledger.protocols import Ledger, Watermark
from ..providers.base import Provider
from . import recovery
from .execution import Executed, execute
from .lease_lookup import remembered

READ_AT_ONCE = 20
SWEPT = "this scheduled time has been swept already"
LEASES_AT_ONCE = 100  # as many as the ledger reads in one call


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Everything that one sweep needs, put together by ``bootstrap``.

    ``root`` is the sweep that this one carries on, if it does, and ``reserved`` says that what it does has been taken
    from the day's budget.
    """

    id: str
    policy: Policy
    provider: Provider
    ledger: Ledger
    clock: Clock
    timezone: ZoneInfo
    schedule: str = ""
    scheduled_at: datetime | None = None
    asked_by: str = ""
    root: str = ""
    reserved: bool = False
    listed: Callable[[int], None] = lambda _count: None
    spent: Callable[[], Spent] = Spent
    abreast: Abreast = in_turn


def run(sweep: Sweep, mode: Mode) -> Report:
    """The whole of a sweep in its mode. A time that has been swept already is not listed again."""
    if mode is not Mode.ACT:
        return plan(sweep)
    started = sweep.clock.now()
    try:
        done = _swept_already(sweep)
    except LedgerError:
        done = False  # whoever acts asks again
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


def plan(sweep: Sweep) -> Report:
    """Find, decide, guard. Whatever goes wrong becomes the report's status and problem; nothing is raised."""
    started, spent = sweep.clock.now(), sweep.spent()
    candidates: list[Instance] = []
    waiting: list[Instance] = []  # for a look into the ledger
    listed: set[str] = set()  # an instance may come twice, and counts once
    guarded: Plan | None = None
    try:
        narrow = sweep.policy.limits.percent == EVERYTHING
        for instance in sweep.provider.find(sweep.policy.selector, narrow=narrow):
            if not sweep.clock.has(timedelta(0)):
                raise _OutOfTimeError
            listed.add(instance.id)
            sweep.listed(len(listed))
            if not mismatch(instance, sweep.policy.selector):
                waiting.append(instance)
            if len(waiting) == LEASES_AT_ONCE:
                candidates += meant(sweep, waiting, started)
                waiting.clear()
        candidates += meant(sweep, waiting, started)
        waiting.clear()
        guarded = _decided(sweep, candidates, len(listed), started)
        status = Status.REFUSED if guarded.refused else Status.COMPLETED
        problem = guarded.refused.reason if guarded.refused else ""
    except ListingError as error:
        guarded = _partial(sweep, [*candidates, *waiting], started, error)
        status, problem = Status.INCOMPLETE, str(error)
    except _OutOfTimeError:
        status, problem = Status.STOPPED, "out of time while listing: nothing is decided"
    except PacedError as error:
        status, problem = Status.STOPPED, f"nothing is decided: {error}"
    except (LedgerError, ProviderError) as error:
        status, problem = Status.FAILED, str(error)
    except Exception as error:  # noqa: BLE001  a fault of ours in one sweep must not keep others from being made
        status, problem = Status.FAILED, unexpected(error)
    if status in {Status.INCOMPLETE, Status.FAILED} and not listed and _is_disabled(sweep):
        status, problem = Status.DISABLED, f"{sweep.provider.target} is not enabled in this account"
    report = Report(
        sweep_id=sweep.id,
        target=sweep.provider.target,
        policy=sweep.policy.name,
        mode=Mode.REPORT,
        status=status,
        started_at=started,
        finished_at=sweep.clock.now(),
        listed=len(listed),
        plan=guarded,
        problem=problem,
    )
    return _at_cost(sweep, report, spent)


def act(sweep: Sweep, planned: Report) -> Report:
    """Carry out a planned sweep. One that is not whole, or over a limit, comes back as it is, with nothing done.

    Like ``plan``, it raises nothing.
    """
    spent = sweep.spent()
    return _at_cost(sweep, _acted(sweep, planned), spent)


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
            report, settled=recovery.settle(sweep.provider, sweep.ledger, sweep.clock.now())
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
            abreast=sweep.abreast,
        )
        report = replace(
            report,
            outcomes=executed.outcomes,
            problem=executed.problem,
            cut=executed.cut,
            finished_at=sweep.clock.now(),
        )
        # Apart, since asking the ledger may fail, and the outcomes must not be lost then.
        report = replace(report, status=_status(sweep, executed))
        if report.status is Status.COMPLETED:
            sweep.ledger.complete(sweep.provider.target, report.policy, _watermark(sweep, report))
    except (LedgerError, ProviderError) as error:
        return _nothing(report, Status.FAILED, str(error))
    except Exception as error:  # noqa: BLE001  as above
        return _nothing(report, Status.FAILED, unexpected(error))
    return report


def _at_cost(sweep: Sweep, report: Report, before: Spent) -> Report:
    """The report with what the rate has cost since."""
    cost = sweep.spent().since(before)
    return replace(
        report, throttles=report.throttles + cost.throttles, paced=report.paced + cost.seconds
    )


class _OutOfTimeError(Exception):
    """The deadline came before the end of the listing."""


def _is_disabled(sweep: Sweep) -> bool:
    try:
        return not sweep.provider.usable()
    except ProviderError:
        return False  # then nobody knows, and what was refused is what is told


def meant(sweep: Sweep, some: Sequence[Instance], now: datetime) -> list[Instance]:
    """Those that the selector means by what the ledger says, each with what it says. Raises LedgerError."""
    known = remembered(some, sweep.ledger.fleets, sweep.provider.target)
    findings = [out_of_lease(i, sweep.policy.selector, now) for i in known]
    return [
        i
        for i, finding in zip(known, findings, strict=True)
        if finding is None or finding.rule != NOT_SELECTED
    ]


def _decided(sweep: Sweep, candidates: Sequence[Instance], listed: int, now: datetime) -> Plan:
    ids = [instance.id for instance in candidates]
    seen = sweep.ledger.witness(sweep.provider.target, ids, now)
    made = decide([replace(i, first_seen_at=seen[i.id]) for i in candidates], sweep.policy, now)
    made = replace(made, asked_by=sweep.asked_by)
    return guard(protect(made, _attributes(sweep, made, listed)), listed)


def _attributes(sweep: Sweep, made: Plan, listed: int) -> dict[str, Attributes]:
    """Read what may protect the plan's actions, two calls an instance, until all are read or a limit is passed anyway.

    What is not read counts as protected, so a plan that is over a limit stays over it.
    """
    read: dict[str, Attributes] = {}
    for some in batched(made.actions, READ_AT_ONCE, strict=False):
        read |= sweep.provider.protections([action.instance.id for action in some])
        unprotected = sum(not shielded(attributes) for attributes in read.values())
        if over_limit(unprotected, sweep.policy.limits, listed):
            break
    return read


def _partial(
    sweep: Sweep, candidates: Sequence[Instance], now: datetime, error: ListingError
) -> Plan:
    made = decide(candidates, sweep.policy, now)
    return refuse(made, Finding(rule="incomplete-listing", reason=f"nothing is decided: {error}"))


def _swept_already(sweep: Sweep) -> bool:
    """Whether the same schedule's sweep of this time, or of a later one, is complete. Raises LedgerError."""
    if sweep.scheduled_at is None:
        return False
    last = sweep.ledger.watermark(sweep.provider.target, sweep.policy.name, sweep.schedule)
    return bool(last and last.scheduled_at and sweep.scheduled_at <= last.scheduled_at)


def _within_the_day(sweep: Sweep, report: Report) -> Report:
    """Reserve the plan in the day's budget, or refuse it whole. Raises LedgerError."""
    made = report.plan
    if made is None or not made.actions or sweep.reserved:
        return report
    count, limit = len(made.actions), sweep.policy.limits.per_day
    today = sweep.clock.now().astimezone(sweep.timezone).date()
    if sweep.ledger.reserve(sweep.provider.target, today, count, limit):
        return report
    finding = Finding(
        rule="limit-per-day",
        reason=f"the plan has {count} actions, more than is left of the {limit} of {today}",
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
    """The report of an act that ended here: what has no outcome yet was not attempted."""
    actions = report.plan.actions if report.plan else ()
    outcomes = report.outcomes or tuple(
        Outcome(action=action, result=Result.NOT_ATTEMPTED, detail=problem) for action in actions
    )
    return replace(report, status=status, problem=problem, outcomes=outcomes)
