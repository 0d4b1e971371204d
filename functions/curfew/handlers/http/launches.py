"""``POST /fleets``: launch a fleet with a lease, once per idempotency key."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header
from pydantic import Field

from ...core.errors import ProviderError
from ...core.lease import Fleet
from ...fleets.lifecycle import View
from ...ledger.records import Key
from ...orchestration import launches
from ...orchestration.admission import require_act_mode
from ...orchestration.targets import provider_for_template
from ...reporting.telemetry import logger
from .presenters import about, fleets_at, to_the_second, view_response
from .request_bodies import LaunchBody
from .responses import FleetView
from .router import IN_TIME, RequestContext, answers, example, json_answer, request_context, routes

router = routes()
LAUNCHES = {
    "pair": example("A pair, with the defaults of its template", template="t2-pair"),
    "more": example(
        "More of them, until this evening",
        template="t2-pair",
        name="load-test",
        count=6,
        until="2026-03-04T18:00:00Z",
        tags={"team": "search"},
    ),
}
IdempotencyKey = Annotated[str, Field(pattern="^[!-~]{1,128}$")]


@router.post(
    "/fleets",
    operation_id="launchFleet",
    summary="Launch a fleet with a lease",
    description="Launches instances from a template of the policy file. The caller owns the fleet. The same "
    "`Idempotency-Key` with the same body returns the same fleet, however often it is sent; with another body it is "
    "refused. A launch that the cloud refuses is a fleet too: its `phase` says so, and its `problem` says why.",
    tags=["fleets"],
    responses=answers(
        {
            200: (FleetView, "The key was sent before: its fleet, as it is now."),
            201: (FleetView, "Launched, as far as there was capacity."),
            202: (FleetView, "Begun; continues in the background. Ask again at Location."),
        },
        409, 502,
        body=True,
    ),
)  # fmt: skip
def launch_fleet(
    body: Annotated[
        LaunchBody,
        Body(description="What to launch, and for how long.", openapi_examples=LAUNCHES),
    ],
    key: Annotated[
        IdempotencyKey,
        Header(
            alias="Idempotency-Key",
            description="A text of your choice that identifies this launch. Send it again to repeat the request.",
        ),
    ],
) -> Response[FleetView]:
    """Launch a fleet, or return the fleet that the same request has launched."""
    context = request_context(router)
    app, register = context.app, context.app.ledger.fleets
    require_act_mode(app)
    key_parts = Key.of(context.caller.id, "POST /fleets", key, body=body.model_dump(mode="json"))
    known = register.recall(key_parts)
    begun = known or _begun(context, body, key_parts)
    continued = begun
    if not begun.phase.finished:
        continued = launches.launch(app, begun, deadline=context.within(IN_TIME))
    logger.info(f'the launch of "{continued.name}" is {continued.phase}', extra=about(continued))
    status = HTTPStatus.OK if known else HTTPStatus.CREATED
    if not continued.phase.finished:
        status = HTTPStatus.ACCEPTED
    location = "" if status is HTTPStatus.OK else f"/fleets/{continued.name}"
    return json_answer(_seen(context, continued), status, location=location)


def _begun(context: RequestContext, body: LaunchBody, key: Key) -> Fleet:
    app = context.app
    entry = app.policies.fleet(body.template)
    provider = provider_for_template(app, body.template, body.region)
    expires_at = body.until or context.at + (body.ttl or entry.ttl.default)
    spec = launches.fleet_spec(
        app,
        body.template,
        name=body.name or f"{body.template[:55]}-{key.scope[:8]}",
        owner=context.caller.id,
        expires_at=to_the_second(expires_at),
        key=key,
        count=body.count,
        tags=body.tags,
    )
    return app.fleets(provider, context.clock).begin(spec)


def _seen(context: RequestContext, fleet: Fleet) -> FleetView:
    """Return the fleet with its instances, or without their states if the cloud cannot be read."""
    with suppress(ProviderError):
        return view_response(context, fleets_at(context, fleet).view(fleet))
    members = context.app.ledger.fleets.members(fleet.launch_id)
    return view_response(context, View(fleet=fleet, members=members, instances={}))
