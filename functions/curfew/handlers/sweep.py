"""*trigger*: EventBridge Scheduler or a direct invocation asks for a sweep; the queue, for work that was put off."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from .. import bootstrap
from ..app import App
from ..core.errors import CurfewError, RequestError, SweepFailedError
from ..core.report import Report
from ..core.target import Mode
from ..orchestration import jobs
from ..orchestration.admission import effective_mode, reject_stale
from ..orchestration.fan_out import Dispatched, dispatch
from ..orchestration.scheduler import next_due
from ..reporting import render
from ..reporting.telemetry import logger, publish
from ..schemas.messages import Job, SweepRequest, TickRequest
from ..sweep.continuation import schedule_continuation
from ..sweep.executor import run_sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

# Left over for the report after the last batch.
MARGIN = timedelta(seconds=10)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep and answer with every verdict, or carry on what the messages name.

    Raises RequestError or ConfigError before anything is done, and SweepFailedError after the report is written, so
    that a sweep that somebody has to look at is a failed invocation. Messages that fail are answered as such, each
    for itself.
    """
    if _is_messages(event):
        return handle_messages(event, context, bootstrap.app())
    if "tick" in event:
        return tick(TickRequest.parse(event), context, bootstrap.app())
    return sweep(SweepRequest.parse(event), context, bootstrap.app())


def sweep(request: SweepRequest, context: LambdaContext, app: App) -> dict[str, Any]:
    """Sweep with an application that is handed in; raises as the handler does."""
    reject_stale(request, app.now())
    return _swept(request, context, app)


def tick(_request: TickRequest, context: LambdaContext, app: App) -> dict[str, Any]:
    """Make every sweep that is due. One that fails keeps no other from being made.

    Raises SweepFailedError afterwards, with what each of them said.
    """
    answers: dict[str, Any] = {}
    failed: list[str] = []
    acts = app.settings.mode is Mode.ACT
    if acts and app.ledger.paused():
        # No sweep begins, and its window waits; what was launched is looked after all the same.
        _tidy(app, deadline_of(app.now(), context))
        return {"due": answers}
    for schedule in app.policies.schedules():
        try:
            if request := next_due(app, schedule, app.now()):
                answers[schedule.name] = _swept(request, context, app)
        except CurfewError as error:
            logger.error(f"{schedule.name}: {error}")
            failed.append(f"{schedule.name}: {error}")
    if failed:
        raise SweepFailedError("; ".join(failed))
    return {"due": answers}


def _swept(request: SweepRequest, context: LambdaContext, app: App) -> dict[str, Any]:
    now = app.now()
    logger.set_correlation_id(_correlation(request, context))
    mode = effective_mode(app.settings.mode, request.mode)
    if mode is Mode.REPORT:
        app = app.in_report_mode()
    deadline = deadline_of(now, context)
    dispatched = dispatch(app, request, app.places(request), now=now)
    reports = []
    for one in () if dispatched else app.sweeps(request, deadline=deadline):
        report = schedule_continuation(one, run_sweep(one, mode), app.enqueue)
        publish(report)
        reports.append(report)
    if mode is Mode.ACT and app.policies.policy(request.policy).selector.expired:
        _tidy(app, deadline)
    if dispatched:
        return _sent(request, dispatched)
    if failed := [report for report in reports if report.failed]:
        raise SweepFailedError("; ".join(map(render.sentence, failed)))
    return render.answer(reports)


def _sent(request: SweepRequest, dispatched: Dispatched) -> dict[str, Any]:
    """What was dispatched, for the log and as the answer. Raises SweepFailedError for what could not be."""
    logger.info(f"{request.policy}: {dispatched.sent} targets are swept by message")
    if dispatched.unsent:
        for one in dispatched.unsent:
            logger.error(
                f"{request.policy}: {one.account} {one.region} is not swept: {one.problem}"
            )
        first = dispatched.unsent[0]
        raise SweepFailedError(
            f"{request.policy}: {len(dispatched.unsent)} targets could not be asked for, among them "
            f"{first.account} {first.region}: {first.problem}"
        )
    return {"dispatched": dispatched.sent}


def deadline_of(now: datetime, context: LambdaContext) -> datetime:
    """When to begin nothing more, so that what was done can still be written down."""
    return now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - MARGIN


def _tidy(app: App, deadline: datetime) -> None:
    """Whoever ends leases looks after the launches that broke off; that they are not finished fails no sweep."""
    try:
        unfinished = jobs.tidy(app, deadline=deadline)
    except CurfewError as error:
        logger.error(f"launches that broke off could not be taken up: {error}")
        return
    for fleet in unfinished:
        logger.warning(
            f'the launch of "{fleet.name}" is not finished: {fleet.problem}',
            extra={"launch_id": fleet.launch_id},
        )


def _is_messages(event: object) -> bool:
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return True
    return False


def handle_messages(event: dict[str, Any], context: LambdaContext, app: App) -> dict[str, Any]:
    """Carry on what each message names, and answer with the messages that failed.

    A sweep that was carried on is over however it ended, and its message with it. If somebody has to look at it, that
    is a failed invocation, as with every sweep: raises SweepFailedError.
    """
    # It brings asyncio and the events of every service: a third of this module's start, and schedules want none of it.
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
            done = jobs.run_job(app, asked := _job_of(record), deadline=deadline)
            if asked.work == "resume" and isinstance(done, Report) and done.failed:
                publish(done)
                failed.append(render.sentence(done))
            else:
                _report_job(done)
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


def _report_job(done: Report | str) -> None:
    if isinstance(done, str):
        logger.info(done)
        return
    publish(done)
    if done.failed:
        raise SweepFailedError(render.sentence(done))


def _job_of(record: "SQSRecord") -> Job:
    try:
        return Job.parse(record.json_body)
    except ValueError:
        raise RequestError(f"the message {record.message_id} is not JSON") from None


def _correlation(request: SweepRequest, context: LambdaContext) -> str:
    if request.schedule and request.scheduled_at:
        return f"{request.schedule}@{request.scheduled_at.isoformat()}"
    return context.aws_request_id
