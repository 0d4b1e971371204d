"""*trigger*: finds which schedules are due at a tick, from the policy file and the ledger's last runs.

A run is one window of a schedule. The first tick begins it; later ones begin it again, a few times, only while a target
has not completed it. So a tick may come late, twice or not at all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..app import App
from ..core.schedule import Schedule
from ..core.target import Mode
from ..ledger.records import ScheduleRun
from ..schemas.messages import SweepRequest
from .targets import ResolvedTargets, TargetResolver, not_completed

# How long after its last beginning a window is begun again while a target has not completed it. With two retries, an
# operator is notified three times. By then a failed message was delivered again, and open intents can be resolved.
RETRY_DELAYS = (timedelta(minutes=30), timedelta(minutes=90))


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSweep:
    """A sweep that is due. The ledger already has the beginning of its run."""

    request: SweepRequest
    resolved: ResolvedTargets


def next_due(app: App, schedule: Schedule, now: datetime) -> DueSweep | None:
    """Begin the run of a schedule that is due, and return its sweep; None if none is due.

    Raises RequestError, LedgerError, ProviderError.
    """
    window = schedule.latest(app.policies.timezone, now)
    if window is None:
        return None
    request = SweepRequest(policy=schedule.policy, schedule=schedule.name, scheduled_at=window)
    last = app.ledger.schedule_run(schedule.name)
    resolved: ResolvedTargets | None = None
    if last is None or last.window < window:
        tries = 1
    elif last.window > window or not _may_retry(app, last, now):
        return None
    else:
        resolved = TargetResolver(app).resolve(request)
        if _is_complete(app, resolved, last):
            return None
        tries = last.tries + 1
    run = ScheduleRun(
        schedule=schedule.name, window=window, begun_at=now, tries=tries, run_id=app.new_id()
    )
    if not app.ledger.begin_schedule_run(run, after=last):
        return None
    if resolved is None:
        resolved = TargetResolver(app).resolve(request)
    return DueSweep(request=request, resolved=resolved)


def _may_retry(app: App, last: ScheduleRun, now: datetime) -> bool:
    """Return whether a run may be begun again now. In report mode a window is swept once, since none completes it."""
    if app.settings.mode is not Mode.ACT or last.tries > len(RETRY_DELAYS):
        return False
    return now - last.begun_at >= RETRY_DELAYS[last.tries - 1]


def _is_complete(app: App, resolved: ResolvedTargets, last: ScheduleRun) -> bool:
    wanted = (*resolved.targets, *resolved.unreadable)
    return not not_completed(app, wanted, last.schedule, last.window)
