"""*trigger*: a tick of EventBridge Scheduler begins every sweep that is due."""

from datetime import datetime
from typing import Any

from ..app import App
from ..core.errors import CurfewError, SweepFailedError
from ..core.target import Mode
from ..reporting.telemetry import logger
from .scheduler import next_due
from .sweeps import sweep, tend_launches


def tick(app: App, *, deadline: datetime | None) -> dict[str, Any]:
    """Make every due sweep and return their answers by schedule. A sweep that fails does not stop the next.

    During a pause it begins no sweep, so that the windows wait, and only continues interrupted launches. Raises
    SweepFailedError after the last sweep, with the error of each that failed.
    """
    answers: dict[str, Any] = {}
    app.clock(deadline)  # from here on, the rate limiter waits no longer than that
    if app.settings.mode is Mode.ACT and app.ledger.paused():
        tend_launches(app, deadline)
        return {"due": answers}
    failed: list[str] = []
    for schedule in app.policies.schedules():
        logger.set_correlation_id(schedule.name)
        try:
            if due := next_due(app, schedule, app.now()):
                logger.set_correlation_id(due.request.window)
                answers[schedule.name] = sweep(
                    app, due.request, now=app.now(), deadline=deadline, resolved=due.resolved
                )
        except CurfewError as error:
            logger.error(f"{schedule.name}: {error}")
            failed.append(f"{schedule.name}: {error}")
    if failed:
        raise SweepFailedError("; ".join(failed))
    return {"due": answers}
