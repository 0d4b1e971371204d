"""*find*, *decide* and *guard*: makes the plan of one sweep, and changes nothing in the cloud."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched

from ..aws.rate_limit import RateLimitStats
from ..core.errors import LedgerError, ListingError, ProviderError, RateLimitedError, unexpected
from ..core.instance import Attributes, Instance
from ..core.plan import Plan, decide, guard, over_limit, protect, refuse
from ..core.policy import EVERYTHING, Finding, could_match
from ..core.protection import attribute_protection
from ..core.report import Report, Status
from ..core.target import Mode
from .context import Sweep
from .lease_lookup import select_by_lease

READ_AT_ONCE = 20
LEASES_AT_ONCE = 100  # as many as the ledger reads in one call


def plan(sweep: Sweep) -> Report:
    """Find, decide and guard. Never raises: an error becomes the report's status and problem."""
    started, spent = sweep.clock.now(), sweep.rate_limit_stats()
    candidates: list[Instance] = []
    waiting: list[Instance] = []  # their leases are not read yet
    listed: set[str] = set()  # an instance may be listed twice, and counts once
    matched: set[str] = set()
    guarded: Plan | None = None
    try:
        narrow = sweep.policy.limits.percent == EVERYTHING
        for instance in sweep.provider.find(sweep.policy.selector, narrow=narrow):
            if not sweep.clock.has(timedelta(0)):
                raise _OutOfTimeError
            # The first copy decides whether the instance is a candidate; ``decide`` takes the safest verdict of all.
            if instance.id not in listed and could_match(instance, sweep.policy.selector):
                matched.add(instance.id)
            listed.add(instance.id)
            sweep.listed(len(listed))
            if instance.id in matched:
                waiting.append(instance)
            if len(waiting) == LEASES_AT_ONCE:
                candidates += _selected(sweep, waiting, started)
                waiting.clear()
        candidates += _selected(sweep, waiting, started)
        waiting.clear()
        guarded = _decided(sweep, candidates, len(listed), started)
        status = Status.REFUSED if guarded.refused else Status.COMPLETED
        problem = guarded.refused.reason if guarded.refused else ""
    except ListingError as error:
        guarded = _partial(sweep, [*candidates, *waiting], started, error)
        status, problem = Status.INCOMPLETE, str(error)
    except _OutOfTimeError:
        status, problem = Status.STOPPED, "out of time while listing: nothing is decided"
    except RateLimitedError as error:
        status, problem = Status.STOPPED, f"nothing is decided: {error}"
    except (LedgerError, ProviderError) as error:
        status, problem = Status.FAILED, str(error)
    except Exception as error:  # noqa: BLE001  a bug in one sweep must not stop the others
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
    return at_cost(sweep, report, spent)


def at_cost(sweep: Sweep, report: Report, before: RateLimitStats) -> Report:
    """Add the throttled calls and the seconds of rate limiting since ``before`` to the report."""
    cost = sweep.rate_limit_stats().since(before)
    return replace(
        report,
        throttles=report.throttles + cost.throttles,
        rate_limited=report.rate_limited + cost.seconds,
    )


class _OutOfTimeError(Exception):
    """The deadline passed before the end of the listing."""


def _is_disabled(sweep: Sweep) -> bool:
    try:
        return not sweep.provider.usable()
    except ProviderError:
        return False  # unknown: the report keeps the problem of the refused call


def _selected(sweep: Sweep, some: Sequence[Instance], now: datetime) -> list[Instance]:
    return select_by_lease(
        some, sweep.policy.selector, sweep.ledger.fleets, sweep.provider.target, now
    )


def _decided(sweep: Sweep, candidates: Sequence[Instance], listed: int, now: datetime) -> Plan:
    ids = [instance.id for instance in candidates]
    seen = sweep.ledger.record_first_seen(sweep.provider.target, ids, now)
    made = decide([replace(i, first_seen_at=seen[i.id]) for i in candidates], sweep.policy, now)
    made = replace(made, asked_by=sweep.asked_by)
    return guard(protect(made, _attributes(sweep, made, listed)), listed)


def _attributes(sweep: Sweep, made: Plan, listed: int) -> dict[str, Attributes]:
    """Return the attributes that may protect the plan's actions, read with two calls per instance.

    Reading stops as soon as the unprotected instances exceed a limit. An instance whose attributes are not read counts
    as protected, and the plan is still over the limit.
    """
    read: dict[str, Attributes] = {}
    for some in batched(made.actions, READ_AT_ONCE, strict=False):
        read |= sweep.provider.protections([action.instance.id for action in some])
        unprotected = sum(not attribute_protection(attributes) for attributes in read.values())
        if over_limit(unprotected, sweep.policy.limits, listed):
            break
    return read


def _partial(
    sweep: Sweep, candidates: Sequence[Instance], now: datetime, error: ListingError
) -> Plan:
    made = decide(candidates, sweep.policy, now)
    return refuse(made, Finding(rule="incomplete-listing", reason=f"nothing is decided: {error}"))
