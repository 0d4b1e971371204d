"""``/fleets``: list, show, renew and terminate fleets."""

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from ...core.access import only_owner
from ...core.errors import ConflictError, ListingError
from ...core.lease import Fleet
from ...core.report import Status
from ...orchestration.admission import require_act_mode
from ...orchestration.terminations import terminate
from ...reporting import render
from ...reporting.telemetry import logger, publish
from ...schemas.fields import Name
from . import pagination
from .presenters import (
    about,
    fleet_response,
    fleets_at,
    rows_of,
    summary_of,
    there,
    to_the_second,
    view_response,
)
from .request_bodies import LeaseBody
from .responses import EndAnswer, FleetAnswer, FleetPage, FleetView, LeaseAnswer
from .router import (
    After,
    Flag,
    Limit,
    RequestContext,
    answers,
    example,
    json_answer,
    request_context,
    routes,
)

router = routes()
LEASES = {
    "ttl": example("Four hours from now", ttl="4h"),
    "until": example("Until a given instant", until="2026-03-04T18:00:00Z"),
}
LISTING = ["fleets"]
UNDONE = frozenset({Status.REFUSED, Status.PAUSED})
FleetName = Annotated[Name, Path(description="The name of the fleet.")]


@router.get(
    "/fleets",
    operation_id="listFleets",
    summary="List fleets",
    description="A page of fleets in the order of their names, each with owner, lease and phase.",
    tags=["fleets"],
    responses=answers({200: (FleetPage, "A page of fleets.")}),
)
def list_fleets(
    limit: Annotated[Limit, Query(description="The most fleets of one page.")] = 100,
    after: Annotated[After, Query(description="The `after` of the page before.")] = "",
    ended: Annotated[Flag, Query(description="Whether to include fleets that have ended.")] = False,  # noqa: FBT002  a parameter of the query
) -> Response[FleetPage]:
    """Return one page of the register."""
    context = request_context(router)
    listing = [*LISTING, ended]
    page = context.app.ledger.fleets.page(
        limit=limit, after=pagination.opened(listing, after), ended=ended
    )
    return json_answer(
        FleetPage(
            fleets=tuple(FleetAnswer(**fleet_response(context, fleet)) for fleet in page.items),
            after=pagination.sealed(listing, page.after),
        )
    )


@router.get(
    "/fleets/<name>",
    operation_id="showFleet",
    summary="Show a fleet",
    description="The fleet with its owner, its lease, the phase of its launch, and its instances.",
    tags=["fleets"],
    responses=answers({200: (FleetView, "The fleet and its instances as they are now.")}, 404, 502),
)
def show_fleet(name: FleetName) -> Response[FleetView]:
    """Return one fleet with the current state of its instances."""
    context = request_context(router)
    fleet = there(context, name)
    return json_answer(view_response(context, fleets_at(context, fleet).view(fleet)))


@router.patch(
    "/fleets/<name>",
    operation_id="renewFleet",
    summary="Renew or shorten a lease",
    description="Sets a new end of the lease, counted from now and within the bounds of the template. After a 200, "
    "no sweep terminates the fleet before that end. Only the owner or an administrator may do this.",
    tags=["fleets"],
    responses=answers({200: (LeaseAnswer, "The new lease.")}, 403, 404, 409, 502, body=True),
)
def renew_fleet(
    name: FleetName,
    body: Annotated[
        LeaseBody,
        Body(
            description="The new end: a duration from now, or an instant.", openapi_examples=LEASES
        ),
    ],
) -> Response[LeaseAnswer]:
    """Set a new end of the lease."""
    context = request_context(router)
    require_act_mode(context.app)
    fleet = there(context, name)
    expires_at = to_the_second(body.expires_at(context.at))
    renewed, warning = fleets_at(context, fleet).renew(fleet, expires_at, caller=context.caller)
    logger.info(f'the lease of "{name}" is set', extra=about(renewed))
    return json_answer(LeaseAnswer(**fleet_response(context, renewed), warning=warning))


@router.delete(
    "/fleets/<name>",
    operation_id="terminateFleet",
    summary="Terminate a fleet",
    description="Terminates the instances that have the fleet's tag and that the ledger has recorded for it, with a "
    "sweep like any other: it keeps protected instances, and instances that only have the tag, each with its reason. "
    "200 means that the sweep ran; `rows` has the outcome of each instance. For a fleet that has ended, the answer is "
    "200 and nothing is done. Only the owner or an administrator may do this.",
    tags=["fleets"],
    responses=answers(
        {
            200: (EndAnswer, "The outcome of each instance."),
            202: (EndAnswer, "Begun; continues in the background. Ask again at Location."),
        },
        403, 404, 409, 502,
    ),
)  # fmt: skip
def terminate_fleet(name: FleetName) -> Response[EndAnswer]:
    """Terminate a fleet."""
    context = request_context(router)
    require_act_mode(context.app)
    fleet = there(context, name)
    only_owner(context.caller, fleet)
    if fleet.ended_at:
        return json_answer(_end(context, fleet))
    if pause := context.app.ledger.paused():
        raise ConflictError(str(pause))
    sweep_id, report = terminate(
        context.app, fleet, caller=context.caller, deadline=context.cut_off
    )
    if report is None:
        fleet = there(context, name)
        answer = _end(context, fleet, sweep_id=sweep_id)
        return json_answer(answer, HTTPStatus.ACCEPTED, location=f"/fleets/{name}")
    publish(report)
    if report.status in UNDONE:
        raise ConflictError(report.problem)
    if report.plan is None or report.status is Status.INCOMPLETE:
        raise ListingError(f"nothing was terminated: {report.problem}")
    return json_answer(
        _end(
            context,
            there(context, name),
            sweep_id=sweep_id,
            sweep=summary_of(render.summary(report)),
            rows=rows_of(report),
        )
    )


def _end(context: RequestContext, fleet: Fleet, **more: Any) -> EndAnswer:
    nothing: dict[str, Any] = {"sweep_id": "", "sweep": None, "rows": ()}
    return EndAnswer(fleet=FleetAnswer(**fleet_response(context, fleet)), **(nothing | more))
