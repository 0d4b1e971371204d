"""*trigger*: one sweep of many targets becomes a message for each: none waits for another or falls with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..app import App
from ..core.errors import RequestError, StaleTriggerError
from ..core.policy import format_duration
from ..core.report import Report
from ..core.target import Mode, Place
from ..schemas.messages import SweepRequest, TargetRequest
from ..sweep.continuation import schedule_continuation
from ..sweep.executor import run_sweep
from .admission import MAX_LATENESS, effective_mode

# Later than this after it was asked for, nobody expects a sweep any more; a message may come from a dead-letter queue,
# days later. With 50 at once, 8,500 targets take less than an hour.
MAX_MESSAGE_AGE = timedelta(hours=6)
SKEW = timedelta(minutes=5)  # by which the clocks of two machines may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """How many messages were sent, and which places should have one and have none."""

    sent: int
    unsent: tuple[Place, ...]


def dispatch(
    app: App, request: SweepRequest, places: Sequence[Place], *, now: datetime
) -> Dispatched | None:
    """Send one message for each place; nothing, if there is no queue for it, or but one place.

    Nor for regions that no configuration names: whoever takes messages would obey none of them. What has completed the
    window already is not asked for again. Raises LedgerError, ProviderError.
    """
    if app.fan_out is None or len(places) < 2:
        return None
    resolver = app.target_resolver()
    if resolver.is_outside_config(request, app.policies.policy(request.policy)):
        return None
    nowhere = tuple(place for place in places if place.problem)
    done = _done(app, request)
    wanted = [p for p in places if not p.problem and (p.account, p.region) not in done]
    unsent = app.fan_out(
        [
            TargetRequest(
                policy=request.policy,
                region=place.region,
                account=place.account or resolver.account,
                asked_at=now,
                mode=request.mode,
                schedule=request.schedule,
                scheduled_at=request.scheduled_at,
            )
            for place in wanted
        ]
    )
    left = tuple(
        Place(region=one.region, account=one.account, problem="the queue did not take it")
        for one in unsent
    )
    return Dispatched(sent=len(wanted) - len(left), unsent=(*nowhere, *left))


def sweep_target(app: App, request: TargetRequest, *, deadline: datetime) -> Report:
    """Sweep the one target of a message, if it is one of ours and not too old. The mode and the policies are ours.

    Raises StaleTriggerError, RequestError before anything is done, ProviderError if the organization does not answer.
    """
    _refuse_untimely(request, app.now())
    mode = effective_mode(app.settings.mode, request.mode)
    if mode is Mode.REPORT:
        app = app.in_report_mode()
    policy = app.policies.policy(request.policy)
    place = Place(region=request.region, account=request.account)
    if not app.contains(place, policy):
        raise RequestError(
            f'{request.account} {request.region} is no target of the policy "{request.policy}": it is not swept'
        )
    one = app.sweep(
        policy,
        place.region,
        place.account,
        clock=app.clock(deadline),
        schedule=request.schedule,
        scheduled_at=request.scheduled_at,
    )
    return schedule_continuation(one, run_sweep(one, mode), app.enqueue)


def _refuse_untimely(request: TargetRequest, now: datetime) -> None:
    """A message of the future would never be stale, and a window of the future would count as swept when it comes.

    Raises StaleTriggerError.
    """
    place, late = f"{request.account} {request.region}", now - request.asked_at
    if late > MAX_MESSAGE_AGE:
        raise StaleTriggerError(
            f"the sweep of {place} was asked for {format_duration(late)} ago, more than "
            f"{format_duration(MAX_MESSAGE_AGE)}: a stale message is not obeyed"
        )
    if late < -SKEW:
        raise StaleTriggerError(
            f"the sweep of {place} was asked for at {request.asked_at.isoformat()}, which is still to come: "
            "the message is not obeyed"
        )
    if request.scheduled_at and request.scheduled_at - request.asked_at > MAX_LATENESS:
        raise StaleTriggerError(
            f"the sweep of {place} is for {request.scheduled_at.isoformat()}, more than "
            f"{format_duration(MAX_LATENESS)} after it was asked for: the message is not obeyed"
        )


def _done(app: App, request: SweepRequest) -> frozenset[tuple[str, str]]:
    """Where the window is complete, by account and region. Raises LedgerError."""
    if app.settings.mode is not Mode.ACT or request.scheduled_at is None:
        return frozenset()
    ours = {(schedule.name, schedule.policy) for schedule in app.policies.schedules()}
    if (request.schedule, request.policy) not in ours:
        return frozenset()
    done = app.ledger.completed_targets(request.schedule, request.scheduled_at)
    return frozenset((target.account, target.region) for target in done)
