"""*trigger*: EventBridge Scheduler launches a fleet, for example each working day at eight until six in the evening."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from .. import bootstrap
from ..app import App
from ..core.errors import LaunchFailedError
from ..core.lease import Phase, format_utc, instant_of
from ..core.target import Mode
from ..fleets.lifecycle import FleetSpec
from ..ledger.records import Key
from ..orchestration import launches
from ..orchestration.admission import reject_stale
from ..orchestration.targets import provider_for_template
from ..reporting import render
from ..reporting.telemetry import logger
from ..schemas.messages import LaunchRequest
from .deadline import deadline_of


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Launch the fleet of this schedule and time, and return it. A repeated delivery launches nothing more.

    In report mode, return what would be launched. Raises RequestError, ConfigError or ConflictError before anything is
    done, and LaunchFailedError if fewer instances were launched than the schedule requests.
    """
    return launch(LaunchRequest.parse(event), context, bootstrap.app())


def launch(request: LaunchRequest, context: LambdaContext, app: App) -> dict[str, Any]:
    """Launch with the given application; raises as the handler does."""
    now = app.now()
    logger.set_correlation_id(request.schedule or request.key or context.aws_request_id)
    reject_stale(request, now)
    spec = spec_of(app, request, request.scheduled_at or now)
    if app.settings.mode is not Mode.ACT:
        logger.info(f'report mode: would launch "{spec.template}" as "{spec.name}"')
        return {"mode": "report", "fleet": spec.name, "until": format_utc(spec.expires_at)}
    deadline = deadline_of(now, context)
    provider = provider_for_template(app, request.template, request.region)
    begun = app.fleets(provider, app.clock(deadline).stopped_at(now)).begin(spec)
    launched = launches.launch(app, begun, deadline=deadline)
    logger.info(
        f'the launch of "{launched.name}" is {launched.phase}',
        extra={"launch_id": launched.launch_id, "problem": launched.problem},
    )
    if launched.phase not in {Phase.LAUNCHED, Phase.LAUNCHING}:
        raise LaunchFailedError(
            f'the launch of "{launched.name}" is {launched.phase}: {launched.problem}'
        )
    return render.fleet(launched)


def spec_of(app: App, request: LaunchRequest, at: datetime) -> FleetSpec:
    """Return the launch that the request means at that instant. Raises RequestError for an unknown template."""
    entry = app.policies.fleet(request.template)
    zone = app.policies.timezone
    ends = (
        instant_of(request.clock, zone, at)
        if request.clock
        else at + (request.ttl or entry.ttl.default)
    )
    key_parts = request.key or f"{request.schedule}@{request.scheduled_at}"
    return launches.fleet_spec(
        app,
        request.template,
        name=f"{request.fleet}-{at.astimezone(zone):%Y%m%d-%H%M}",
        owner=request.owner or request.schedule or "schedule",
        expires_at=ends,
        key=Key.of("launch", key_parts, body=request.model_dump(mode="json")),
        count=request.count,
        tags=request.tags,
    )
