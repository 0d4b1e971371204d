"""*trigger*: EventBridge Scheduler or a direct invocation asks for a sweep."""

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from .. import bootstrap, render
from ..core.errors import SweepFailedError
from ..core.model import Mode
from ..observability import logger, publish
from ..schemas import SweepRequest
from ..sweep import act, permitted, plan, refuse_stale

# Left over for the report after the last batch.
MARGIN = timedelta(seconds=10)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep and answer with every verdict.

    Raises RequestError or ConfigError before anything is done, and SweepFailedError after the report is written, so
    that a sweep that somebody has to look at is a failed invocation.
    """
    request = SweepRequest.parse(event)
    app = bootstrap.app()
    now = app.now()
    logger.set_correlation_id(_correlation(request, context))
    mode = permitted(app.settings.mode, request.mode)
    refuse_stale(request, now)
    deadline = now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - MARGIN
    reports = []
    for sweep in app.sweeps(request, deadline=deadline):
        report = plan(sweep)
        if mode is Mode.ACT:
            report = act(sweep, report)
        publish(report)
        reports.append(report)
    if failed := [report for report in reports if report.failed]:
        raise SweepFailedError("; ".join(map(render.sentence, failed)))
    return render.answer(reports)


def _correlation(request: SweepRequest, context: LambdaContext) -> str:
    if request.schedule and request.scheduled_at:
        return f"{request.schedule}@{request.scheduled_at.isoformat()}"
    return context.aws_request_id
