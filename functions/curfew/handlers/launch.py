"""*trigger*: EventBridge Scheduler asks for a fleet, every working day at eight, until six in the evening."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from .. import bootstrap
from ..app import App
from ..core.errors import LaunchFailedError
from ..core.lease import Step, instant_of, told
from ..core.target import Mode
from ..fleets import lifecycle
from ..ledger.records import Key
from ..orchestration import jobs
from ..orchestration.admission import refuse_stale
from ..reporting import render
from ..reporting.telemetry import logger
from ..schemas.messages import LaunchRequest
from .sweep import until


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Launch the fleet of this schedule and time, once, whatever is delivered twice; answer with it.

    In report mode it answers with what it would launch. Raises RequestError, ConfigError or ConflictError before
    anything is done, and LaunchFailedError if there are fewer instances than the schedule asks for.
    """
    return launch(LaunchRequest.parse(event), context, bootstrap.app())


def launch(request: LaunchRequest, context: LambdaContext, app: App) -> dict[str, Any]:
    """Launch with an application that is handed in; raises as the handler does."""
    now = app.now()
    logger.set_correlation_id(request.schedule or request.key or context.aws_request_id)
    refuse_stale(request, now)
    wish = wished(app, request, request.scheduled_at or now)
    if app.settings.mode is not Mode.ACT:
        logger.info(f'report mode: would launch "{wish.template}" as "{wish.name}"')
        return {"mode": "report", "fleet": wish.name, "until": told(wish.expires_at)}
    provider = app.launching(request.template, request.region)
    begun = lifecycle.begin(wish, provider=provider, ledger=app.ledger, now=now)
    launched = jobs.launch(app, begun, deadline=until(now, context))
    logger.info(
        f'the launch of "{launched.name}" is {launched.step}',
        extra={"operation": launched.operation, "problem": launched.problem},
    )
    if launched.step not in {Step.LAUNCHED, Step.LAUNCHING}:
        raise LaunchFailedError(
            f'the launch of "{launched.name}" is {launched.step}: {launched.problem}'
        )
    return render.fleet(launched)


def wished(app: App, request: LaunchRequest, at: datetime) -> lifecycle.Wish:
    """What the schedule asks for at that instant. Raises RequestError for a template that there is not."""
    entry = app.policies.fleet(request.template)
    zone = app.policies.timezone
    ends = (
        instant_of(request.clock, zone, at)
        if request.clock
        else at + (request.ttl or entry.ttl.default)
    )
    told_apart = request.key or f"{request.schedule}@{request.scheduled_at}"
    return app.wish(
        request.template,
        name=f"{request.fleet}-{at.astimezone(zone):%Y%m%d-%H%M}",
        owner=request.owner or request.schedule or "schedule",
        expires_at=ends,
        key=Key.of("launch", told_apart, body=request.model_dump(mode="json")),
        count=request.count,
        tags=request.tags,
    )
