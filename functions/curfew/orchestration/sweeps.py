"""*trigger*: runs a sweep request: resolves its targets once, then fans them out or sweeps them in place."""

from datetime import datetime
from typing import Any

from ..app import App
from ..core.errors import CurfewError, SweepFailedError
from ..core.target import Mode
from ..reporting import render
from ..reporting.telemetry import logger, publish
from ..schemas.messages import SweepRequest
from ..sweep.continuation import schedule_continuation
from ..sweep.executor import run_sweep
from .admission import effective_mode
from .fan_out import FannedOut, fan_out
from .launches import continue_interrupted
from .targets import ResolvedTargets, TargetResolver, sweeps


def sweep(
    app: App,
    request: SweepRequest,
    *,
    now: datetime,
    deadline: datetime | None,
    resolved: ResolvedTargets | None = None,
) -> dict[str, Any]:
    """Sweep every target of the request, and return the response of the Lambda function.

    ``resolved`` has the targets if the caller had to resolve them before. Raises RequestError, ProviderError or
    LedgerError before anything is done, and SweepFailedError after every report is published.
    """
    mode = effective_mode(app.settings.mode, request.mode)
    if mode is Mode.REPORT:
        app = app.in_report_mode()
    app.clock(deadline)  # from here on, the rate limiter waits no longer than that
    if resolved is None:
        resolved = TargetResolver(app).resolve(request)
    fanned_out = fan_out(app, request, resolved, now=now)
    reports = []
    for one in () if fanned_out else sweeps(app, request, resolved, deadline=deadline):
        report = schedule_continuation(one, run_sweep(one, mode), app.enqueue)
        publish(report)
        reports.append(report)
    if mode is Mode.ACT and resolved.policy.selector.expired:
        tend_launches(app, deadline)
    if fanned_out:
        return _answer(request, fanned_out)
    if failed := [report for report in reports if report.failed]:
        raise SweepFailedError("; ".join(map(render.sentence, failed)))
    return render.answer(reports)


def tend_launches(app: App, deadline: datetime | None) -> None:
    """Continue interrupted launches, and log those that are not finished. An error here does not fail the sweep."""
    try:
        unfinished = continue_interrupted(app, deadline=deadline)
    except CurfewError as error:
        logger.error(f"interrupted launches could not be continued: {error}")
        return
    for fleet in unfinished:
        logger.warning(
            f'the launch of "{fleet.name}" is not finished: {fleet.problem}',
            extra={"launch_id": fleet.launch_id},
        )


def _answer(request: SweepRequest, fanned_out: FannedOut) -> dict[str, Any]:
    """Log the messages that were sent and return the response. Raises SweepFailedError if a target has no message."""
    logger.info(f"{request.policy}: {fanned_out.sent} targets are swept by message")
    for target, problem in fanned_out.unsent.items():
        logger.error(f"{request.policy}: {target.account} {target.region} is not swept: {problem}")
    if fanned_out.unsent:
        first, problem = next(iter(fanned_out.unsent.items()))
        raise SweepFailedError(
            f"{request.policy}: {len(fanned_out.unsent)} targets could not be asked for, among them "
            f"{first.account} {first.region}: {problem}"
        )
    return {"dispatched": fanned_out.sent}
