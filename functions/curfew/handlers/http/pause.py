"""``/pause``: the switch that is read before every batch."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from ...core.access import only_administrator
from ...ledger.records import Pause
from ...reporting.telemetry import logger
from .request_bodies import PauseBody
from .responses import PauseAnswer
from .router import answers, example, json_answer, request_context, routes

router = routes()
PAUSES = {"exam": example("For an exam", reason="the exam of 4 March: everything stays on")}


@router.get(
    "/pause",
    operation_id="showPause",
    summary="Show the pause switch",
    description="Whether sweeps are paused, since when, by which caller and why.",
    tags=["pause"],
    responses=answers({200: (PauseAnswer, "The current state of the switch.")}),
)
def show_pause() -> Response[PauseAnswer]:
    """Return the state of the switch."""
    return json_answer(_pause_response(request_context(router).app.ledger.paused()))


@router.put(
    "/pause",
    operation_id="pause",
    summary="Pause all sweeps",
    description="From now on, no sweep of this ledger begins a batch. A batch that has begun may still finish. Only an "
    "administrator may do this.",
    tags=["pause"],
    responses=answers({200: (PauseAnswer, "Sweeps are paused.")}, 403, body=True),
)
def pause(
    body: Annotated[
        PauseBody,
        Body(description="The reason; every caller can read it.", openapi_examples=PAUSES),
    ],
) -> Response[PauseAnswer]:
    """Pause all sweeps."""
    context = request_context(router)
    only_administrator(context.caller)
    thrown = Pause(since=context.at, by=context.caller.id, reason=body.reason)
    context.app.ledger.pause(thrown)
    logger.warning("paused")
    return json_answer(_pause_response(thrown))


@router.delete(
    "/pause",
    operation_id="resume",
    summary="Resume sweeps",
    description="Sweeps may begin batches again. Only an administrator may do this.",
    tags=["pause"],
    responses=answers({200: (PauseAnswer, "Sweeps are not paused any more.")}, 403),
)
def resume() -> Response[PauseAnswer]:
    """Resume sweeps."""
    context = request_context(router)
    only_administrator(context.caller)
    context.app.ledger.resume()
    logger.warning("resumed")
    return json_answer(_pause_response(None))


def _pause_response(thrown: Pause | None) -> PauseAnswer:
    if thrown is None:
        return PauseAnswer(paused=False, since=None, by="", reason="")
    return PauseAnswer(paused=True, since=thrown.since, by=thrown.by, reason=thrown.reason)
