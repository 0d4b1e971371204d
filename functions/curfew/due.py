"""*trigger*: what is due at a tick: the schedules of the policy file, and what the ledger says of their last rounds.

A round is a schedule's window that was begun. It is begun once by whoever is first, and again, a few times, only while
some target lacks it; so a tick may come late, twice, or not at all.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from .bootstrap import App
from .core.model import Mode
from .core.schedule import Schedule
from .ledger import Round
from .requests import SweepRequest

# A window whose sweep failed is begun again so long after it was begun, and then no more: it was told three times.
AGAIN = (timedelta(minutes=15), timedelta(hours=1))


def due(app: App, now: datetime) -> list[SweepRequest]:
    """The sweeps that a tick has to make, each with its schedule and the window that it is for.

    Raises LedgerError, ProviderError. Nothing is due while the pause switch is thrown: a window waits, as long as it
    may be caught up.
    """
    if app.settings.mode is Mode.ACT and app.ledger.paused():
        return []
    wanted = [_request(app, one, now) for one in app.policies.schedules()]
    return [request for request in wanted if request]


def _request(app: App, schedule: Schedule, now: datetime) -> SweepRequest | None:
    window = schedule.latest(app.policies.timezone, now)
    if window is None:
        return None
    request = SweepRequest(policy=schedule.policy, schedule=schedule.name, scheduled_at=window)
    last = app.ledger.round(schedule.name)
    if last is None or last.window < window:
        fresh = Round(schedule=schedule.name, window=window, begun_at=now)
        return request if app.ledger.begin(fresh, after=last) else None
    if last.window > window or not _again(app, request, last, now):
        return None
    further = replace(last, begun_at=now, tries=last.tries + 1)
    return request if app.ledger.begin(further, after=last) else None


def _again(app: App, request: SweepRequest, last: Round, now: datetime) -> bool:
    """Whether somebody lacks the window still. A report is made once: nothing says that it was not enough."""
    if app.settings.mode is not Mode.ACT or last.tries > len(AGAIN):
        return False
    if now - last.begun_at < AGAIN[last.tries - 1]:
        return False
    covered = {(t.account, t.region) for t in app.ledger.covered(last.schedule, last.window)}
    return any((place.account, place.region) not in covered for place in app.places(request))
