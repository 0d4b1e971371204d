"""``POST /fleets``: launch with a lease, once per key."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header
from pydantic import Field

from ...core.errors import ProviderError
from ...core.lease import Fleet
from ...fleets import lifecycle as fleets
from ...ledger.records import Key
from ...orchestration import jobs
from ...reporting.telemetry import logger
from .presenters import about, shown, to_the_second
from .request_bodies import LaunchBody
from .responses import FleetView
from .router import Asked, answers, asked, example, json_answer, routes

router = routes()
IN_TIME = 20  # seconds; API Gateway waits for 30
LAUNCHES = {
    "pair": example("A pair, as its template has it", template="t2-pair"),
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
    description="Launches instances from a template of the policy file. Whoever launches owns the fleet. The same "
    "`Idempotency-Key` with the same body answers with the same fleet, however often it comes; with another body it "
    "is refused. A launch that the cloud refuses is a fleet too: its `step` says so, and its `problem` why.",
    tags=["fleets"],
    responses=answers(
        {
            200: (FleetView, "The key came before: this is its fleet, as it is now."),
            201: (FleetView, "Launched, as far as there was capacity."),
            202: (FleetView, "Begun, and carried on; look again where Location says."),
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
            description="Any text of your own that tells this launch from every other: send it again to ask again.",
        ),
    ],
) -> Response[FleetView]:
    """Launch once, or find what the same request has launched."""
    ask = asked(router)
    app, register = ask.app, ask.app.ledger.fleets
    jobs.acting(app)
    told_apart = Key.of(ask.caller.id, "POST /fleets", key, body=body.model_dump(mode="json"))
    known = register.recall(told_apart)
    begun = known or _begun(ask, body, told_apart)
    carried = begun
    if not begun.step.finished:
        carried = jobs.launch(app, begun, deadline=ask.within(IN_TIME))
    logger.info(f'the launch of "{carried.name}" is {carried.step}', extra=about(carried))
    status = HTTPStatus.OK if known else HTTPStatus.CREATED
    if not carried.step.finished:
        status = HTTPStatus.ACCEPTED
    location = "" if status is HTTPStatus.OK else f"/fleets/{carried.name}"
    return json_answer(_seen(ask, carried), status, location=location)


def _begun(ask: Asked, body: LaunchBody, key: Key) -> Fleet:
    app = ask.app
    entry = app.policies.fleet(body.template)
    provider = app.launching(body.template, body.region)
    expires_at = body.until or ask.at + (body.ttl or entry.ttl.default)
    wish = app.wish(
        body.template,
        name=body.name or f"{body.template[:55]}-{key.scope[:8]}",
        owner=ask.caller.id,
        expires_at=to_the_second(expires_at),
        key=key,
        count=body.count,
        tags=body.tags,
    )
    return fleets.begin(wish, provider=provider, ledger=app.ledger, now=ask.at)


def _seen(ask: Asked, fleet: Fleet) -> FleetView:
    """The fleet with its instances; what cannot be looked at does not make a launch fail."""
    with suppress(ProviderError):
        provider = ask.app.at(fleet.target)
        return shown(ask, fleets.look(fleet, provider=provider, ledger=ask.app.ledger, now=ask.at))
    members = ask.app.ledger.fleets.members(fleet.operation)
    return shown(ask, fleets.View(fleet=fleet, members=members, instances={}))
