"""``/pause``: the switch that every batch looks at."""

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
    summary="Look at the pause switch",
    description="Whether sweeps are paused: since when, by whom and why.",
    tags=["pause"],
    responses=answers({200: (PauseAnswer, "The switch as it is now.")}),
)
def show_pause() -> Response[PauseAnswer]:
    """The switch as it is."""
    return json_answer(_pause_response(request_context(router).app.ledger.paused()))


@router.put(
    "/pause",
    operation_id="pause",
    summary="Throw the pause switch",
    description="No batch begins from now on, in any sweep of this ledger. What is under way finishes its batch. Only "
    "an administrator may.",
    tags=["pause"],
    responses=answers({200: (PauseAnswer, "It is thrown.")}, 403, body=True),
)
def pause(
    body: Annotated[
        PauseBody, Body(description="Everybody who asks will read it.", openapi_examples=PAUSES)
    ],
) -> Response[PauseAnswer]:
    """Throw it."""
    context = request_context(router)
    only_administrator(context.caller)
    thrown = Pause(since=context.at, by=context.caller.id, reason=body.reason)
    context.app.ledger.pause(thrown)
    logger.warning("paused")
    return json_answer(_pause_response(thrown))


@router.delete(
    "/pause",
    operation_id="resume",
    summary="Release the pause switch",
    description="Sweeps may begin batches again. Only an administrator may.",
    tags=["pause"],
    responses=answers({200: (PauseAnswer, "It is released.")}, 403),
)
def resume() -> Response[PauseAnswer]:
    """Release it."""
    context = request_context(router)
    only_administrator(context.caller)
    context.app.ledger.resume()
    logger.warning("resumed")
    return json_answer(_pause_response(None))


def _pause_response(thrown: Pause | None) -> PauseAnswer:
    if thrown is None:
        return PauseAnswer(paused=False, since=None, by="", reason="")
    return PauseAnswer(paused=True, since=thrown.since, by=thrown.by, reason=thrown.reason)
