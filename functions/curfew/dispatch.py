"""*trigger*: one sweep of many targets becomes a message for each: none waits for another or falls with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .bootstrap import App
from .core.errors import RequestError, StaleTriggerError
from .core.model import Mode, Place
from .core.policy import spoken
from .core.report import Report
from .relay import hand_on
from .requests import SweepRequest, TargetRequest
from .sweep import permitted, run

# Later than this after it was asked for, nobody expects a sweep any more; a message may come from a dead-letter queue,
# days later. With 50 at once, 8,500 targets take less than an hour.
OLDEST = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """How many messages were sent, and which places have none."""

    sent: int
    unsent: tuple[Place, ...]


def dispatch(
    app: App, request: SweepRequest, places: Sequence[Place], *, now: datetime
) -> Dispatched | None:
    """Send one message for each place; nothing, if there is no queue for it, or but one place."""
    if app.fan_out is None or len(places) < 2:
        return None
    home = app.atlas().account
    unsent = app.fan_out(
        [
            TargetRequest(
                policy=request.policy,
                region=place.region,
                account=place.account or home,
                asked_at=now,
                mode=request.mode,
                schedule=request.schedule,
                scheduled_at=request.scheduled_at,
            )
            for place in places
        ]
    )
    left = tuple(Place(region=one.region, account=one.account) for one in unsent)
    return Dispatched(sent=len(places) - len(left), unsent=left)


def sweep_target(app: App, request: TargetRequest, *, deadline: datetime) -> Report:
    """Sweep the one target of a message, if it is one of ours and not too old. The mode and the policies are ours.

    Raises StaleTriggerError, RequestError before anything is done, ProviderError if the organization does not answer.
    """
    late = app.now() - request.asked_at
    if late > OLDEST:
        raise StaleTriggerError(
            f"the sweep of {request.account} {request.region} was asked for {spoken(late)} ago, more than "
            f"{spoken(OLDEST)}: a stale message is not obeyed"
        )
    mode = permitted(app.settings.mode, request.mode)
    if mode is Mode.REPORT:
        app = app.reporting()
    policy = app.policies.policy(request.policy)
    place = Place(region=request.region, account=request.account)
    if not app.knows(place, policy):
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
    return hand_on(one, run(one, mode), app.defer)
