"""*trigger*: turns a sweep of many targets into one message for each target.

So no target waits for another, and none fails with another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..app import App
from ..core.errors import RequestError, StaleTriggerError
from ..core.policy import format_duration
from ..core.report import Report
from ..core.target import Mode, Target
from ..schemas.messages import SweepRequest, TargetRequest
from ..sweep.continuation import schedule_continuation
from ..sweep.executor import run_sweep
from .admission import MAX_LATENESS, effective_mode
from .targets import ResolvedTargets, TargetResolver, not_completed

# An older message is rejected: it may come from a dead-letter queue, days later. With 50 functions at a time, 8,500
# targets take less than an hour.
MAX_MESSAGE_AGE = timedelta(hours=6)
SKEW = timedelta(minutes=5)  # by which the clocks of two machines may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class FannedOut:
    """The number of messages sent, and for each target without one the reason."""

    sent: int
    unsent: Mapping[Target, str]


def fan_out(
    app: App, request: SweepRequest, resolved: ResolvedTargets, *, now: datetime
) -> FannedOut | None:
    """Send one message for each target that has not completed the window. Raises LedgerError.

    Return None, and send nothing, without a queue, for a single target, and if the request names a region outside of
    the configuration: the receiver of a message rejects such a target.
    """
    if app.fan_out is None or len(resolved) < 2 or resolved.outside_config:
        return None
    wanted = _wanted(app, request, resolved)
    unsent = app.fan_out(
        [
            TargetRequest(
                policy=request.policy,
                region=target.region,
                account=target.account,
                asked_at=now,
                mode=request.mode,
                schedule=request.schedule,
                scheduled_at=request.scheduled_at,
            )
            for target in wanted
        ]
    )
    refused = {(one.account, one.region) for one in unsent}
    left = {
        target: "the queue did not take it"
        for target in wanted
        if (target.account, target.region) in refused
    }
    return FannedOut(sent=len(wanted) - len(left), unsent={**resolved.unreadable, **left})


def sweep_target(app: App, request: TargetRequest, *, deadline: datetime) -> Report:
    """Sweep the target of a message, if it is configured here and the message is not too old.

    The mode and the policies are this deployment's. Raises StaleTriggerError or RequestError before anything is done,
    ProviderError if the organization does not answer.
    """
    _reject_untimely(request, app.now())
    mode = effective_mode(app.settings.mode, request.mode)
    if mode is Mode.REPORT:
        app = app.in_report_mode()
    app.clock(deadline)  # from here on, the rate limiter waits no longer than that
    policy = app.policies.policy(request.policy)
    resolver = TargetResolver(app)
    target = resolver.target(request.account, request.region)
    if not resolver.contains(target, policy):
        raise RequestError(
            f'{request.account} {request.region} is no target of the policy "{request.policy}": it is not swept'
        )
    sweep = replace(
        app.sweep(policy, target, deadline),
        schedule=request.schedule,
        scheduled_at=request.scheduled_at,
    )
    return schedule_continuation(sweep, run_sweep(sweep, mode), app.enqueue)


def _reject_untimely(request: TargetRequest, now: datetime) -> None:
    """Raise StaleTriggerError for a message that is too old, or whose time is in the future.

    Until then, a message of the future would never be too old; and the window that it names would count as swept before
    it begins.
    """
    place, age = f"{request.account} {request.region}", now - request.asked_at
    if age > MAX_MESSAGE_AGE:
        raise StaleTriggerError(
            f"the sweep of {place} was asked for {format_duration(age)} ago, more than "
            f"{format_duration(MAX_MESSAGE_AGE)}: a stale message is not obeyed"
        )
    if age < -SKEW:
        raise StaleTriggerError(
            f"the sweep of {place} was asked for at {request.asked_at.isoformat()}, which is still to come: "
            "the message is not obeyed"
        )
    if request.scheduled_at and request.scheduled_at - request.asked_at > MAX_LATENESS:
        raise StaleTriggerError(
            f"the sweep of {place} is for {request.scheduled_at.isoformat()}, more than "
            f"{format_duration(MAX_LATENESS)} after it was asked for: the message is not obeyed"
        )


def _wanted(app: App, request: SweepRequest, resolved: ResolvedTargets) -> list[Target]:
    """Return the targets that have not completed the window of the request. Raises LedgerError."""
    configured = {(schedule.name, schedule.policy) for schedule in app.policies.schedules()}
    in_window = (request.schedule, request.policy) in configured
    if app.settings.mode is not Mode.ACT or request.scheduled_at is None or not in_window:
        return list(resolved.targets)
    return not_completed(app, resolved.targets, request.schedule, request.scheduled_at)
