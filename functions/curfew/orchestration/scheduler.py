"""*trigger*: what is due at a tick: the schedules of the policy file, and what the ledger says of their last rounds.

A round is a schedule's window that was begun. It is begun once by whoever is first, and again, a few times, only while
some target lacks it; so a tick may come late, twice, or not at all.
"""

from datetime import datetime, timedelta

from ..app import App
from ..core.schedule import Schedule
from ..core.target import Mode
from ..ledger.records import ScheduleRun
from ..schemas.messages import SweepRequest

# A window whose sweep failed is begun again so long after it was begun, and then no more: it was told three times. By
# then, a message that failed has come again, and what a sweep left open can be settled.
RETRY_DELAYS = (timedelta(minutes=30), timedelta(minutes=90))


def next_due(app: App, schedule: Schedule, now: datetime) -> SweepRequest | None:
    """The sweep that a tick has to make for a schedule, with the window that it is for; it counts as begun then.

    Raises LedgerError, ProviderError.
    """
    window = schedule.latest(app.policies.timezone, now)
    if window is None:
        return None
    request = SweepRequest(policy=schedule.policy, schedule=schedule.name, scheduled_at=window)
    last = app.ledger.schedule_run(schedule.name)
    if last is None or last.window < window:
        tries = 1
    elif last.window > window or not _retry_is_due(app, request, last, now):
        return None
    else:
        tries = last.tries + 1
    begun = ScheduleRun(
        schedule=schedule.name, window=window, begun_at=now, tries=tries, run_id=app.new_id()
    )
    return request if app.ledger.begin_schedule_run(begun, after=last) else None


def _retry_is_due(app: App, request: SweepRequest, last: ScheduleRun, now: datetime) -> bool:
    """Whether somebody lacks the window still. A report is made once: nothing says that it was not enough."""
    if app.settings.mode is not Mode.ACT or last.tries > len(RETRY_DELAYS):
        return False
    if now - last.begun_at < RETRY_DELAYS[last.tries - 1]:
        return False
    covered = {
        (t.account, t.region) for t in app.ledger.completed_targets(last.schedule, last.window)
    }
    return any((place.account, place.region) not in covered for place in app.places(request))
