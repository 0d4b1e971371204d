"""*trigger*: EventBridge Scheduler or a direct invocation requests a sweep, a tick begins what is due, and the queue
delivers jobs.
"""

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from .. import bootstrap
from ..app import App
from ..core.errors import CurfewError, RequestError, SweepFailedError
from ..orchestration import jobs, sweeps
from ..orchestration import tick as ticks
from ..orchestration.admission import reject_stale
from ..reporting import render
from ..reporting.telemetry import logger, publish
from ..schemas.messages import Job, SweepRequest, TickRequest
from .deadline import deadline_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep and return every verdict, or do the jobs of the messages.

    Raises RequestError or ConfigError before anything is done, and SweepFailedError after the reports are published,
    so that a sweep that needs an operator is a failed invocation. Failed messages are in the answer, each by its id.
    """
    if _is_messages(event):
        return handle_messages(event, context, bootstrap.app())
    if "tick" in event:
        return tick(TickRequest.parse(event), context, bootstrap.app())
    return sweep(SweepRequest.parse(event), context, bootstrap.app())


def sweep(request: SweepRequest, context: LambdaContext, app: App) -> dict[str, Any]:
    """Sweep with the given application; raises as the handler does."""
    now = app.now()
    reject_stale(request, now)
    logger.set_correlation_id(request.window or context.aws_request_id)
    return sweeps.sweep(app, request, now=now, deadline=deadline_of(now, context))


def tick(_request: TickRequest, context: LambdaContext, app: App) -> dict[str, Any]:
    """Make every sweep that is due with the given application; raises as the handler does."""
    return ticks.tick(app, deadline=deadline_of(app.now(), context))


def handle_messages(event: dict[str, Any], context: LambdaContext, app: App) -> dict[str, Any]:
    """Do the job of each message with the given application, and return the messages that failed.

    A resumed sweep is over whatever its result, and so is its message. Raises SweepFailedError if it failed, as for
    every sweep.
    """
    # It imports asyncio and the events of every service: a third of the cold start, and schedules do not need it.
    from aws_lambda_powertools.utilities.batch import (
        BatchProcessor,
        EventType,
        process_partial_response,
    )

    deadline = deadline_of(app.now(), context)
    failed: list[str] = []

    def record_handler(record: "SQSRecord") -> None:
        logger.set_correlation_id(record.message_id)
        try:
            result = jobs.run_job(app, _job_of(record), deadline=deadline)
            if result.report is None:
                logger.info(result.message)
                return
            publish(result.report)
            if result.report.failed and result.final:
                failed.append(render.sentence(result.report))
            elif result.report.failed:
                raise SweepFailedError(render.sentence(result.report))
        except CurfewError as error:
            logger.error(f"message {record.message_id}: {error}")
            raise

    answer = process_partial_response(
        event=event,
        record_handler=record_handler,
        processor=BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False),
        context=context,
    )
    if failed:
        raise SweepFailedError("; ".join(failed))
    return dict(answer)


def _is_messages(event: object) -> bool:
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return True
    return False


def _job_of(record: "SQSRecord") -> Job:
    try:
        return Job.parse(record.json_body)
    except ValueError:
        raise RequestError(f"the message {record.message_id} is not JSON") from None
