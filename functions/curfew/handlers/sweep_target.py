"""*trigger*: the queue of targets. Each message is one sweep of one account and region."""

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from .. import bootstrap
from ..app import App
from ..core.errors import CurfewError, RequestError, StaleTriggerError, SweepFailedError, unexpected
from ..core.report import PASSING
from ..orchestration.fan_out import sweep_target
from ..reporting import render
from ..reporting.telemetry import count, logger, publish
from ..schemas.messages import TargetRequest
from .deadline import deadline_of


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep the target of each message, and return the messages that failed.

    The queue delivers these again, and at last moves them to the dead-letter queue. A sweep that would fail again in
    the same way is not repeated: a plan over a limit, a disabled region.
    """
    return answer(event, context, bootstrap.app())


def answer(event: dict[str, Any], context: LambdaContext, app: App) -> dict[str, Any]:
    """Do the same with the given application."""
    deadline = deadline_of(app.now(), context)

    def record_handler(record: SQSRecord) -> None:
        logger.set_correlation_id(record.message_id)
        try:
            report = sweep_target(app, _target_request_of(record), deadline=deadline)
        except CurfewError as error:
            logger.error(f"message {record.message_id}: {error}")
            count("Stale" if isinstance(error, StaleTriggerError) else "Unswept")
            raise
        except Exception as error:  # a fault of Curfew's own; the batch processor does not log it
            logger.error(f"message {record.message_id}: {unexpected(error)}")
            count("Unswept")
            raise
        publish(report)
        if report.failed and report.status in PASSING:
            raise SweepFailedError(render.sentence(report))

    return dict(
        process_partial_response(
            event=event,
            record_handler=record_handler,
            processor=BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False),
            context=context,
        )
    )


def _target_request_of(record: SQSRecord) -> TargetRequest:
    try:
        return TargetRequest.parse(record.json_body)
    except ValueError:
        raise RequestError(f"the message {record.message_id} is not JSON") from None
