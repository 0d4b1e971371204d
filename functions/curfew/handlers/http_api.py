"""*trigger*: receives HTTP requests from API Gateway."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from .. import bootstrap
from ..app import App
from ..core.errors import RequestError
from ..reporting.telemetry import logger
from .deadline import deadline_of
from .http import fleets, instances, launches, openapi, pause, sweeps
from .http.authentication import caller_of
from .http.problems import UnauthenticatedError, problem
from .http.router import RequestContext, Resolver, words_of

# The response of a Lambda function has 6 MB at most, including what surrounds the body.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LONGEST = 5_800_000
ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

api = Resolver()
for routes in (instances, launches, fleets, sweeps, pause, openapi):
    api.include_router(routes.router)


@logger.inject_lambda_context(
    clear_state=True, correlation_id_path=correlation_paths.API_GATEWAY_HTTP
)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request. An error is logged and answered as a problem."""
    try:
        app = bootstrap.app()
    except Exception as error:  # noqa: BLE001  the caller gets a problem, and no trace
        return _finished(_sent(problem(error, _request_id(event))))
    return answer(event, context, app)


def answer(event: dict[str, Any], context: LambdaContext, app: App) -> dict[str, Any]:
    """Answer a request with the given application."""
    request_id = _request_id(event)
    try:
        caller = caller_of(event, app.settings)
        if caller is None:
            raise UnauthenticatedError("no caller was authenticated: sign the request")
        logger.append_keys(caller=caller.id)
        now = app.now()
        cut_off = deadline_of(now, context)
        app.clock(cut_off)  # from here on, the rate limiter waits no longer than that
        api.append_context(  # type: ignore[no-untyped-call]
            request_context=RequestContext(
                app=app,
                caller=caller,
                at=now.replace(microsecond=0),
                cut_off=cut_off,
            )
        )
        found = api.resolve(event, context)
        if len(found["body"]) > LONGEST:
            raise RequestError("the response would be too long: request fewer with limit")
    except Exception as error:  # noqa: BLE001  the caller gets a problem, and no trace
        found = _sent(problem(error, request_id))
    finally:
        api.clear_context()  # type: ignore[no-untyped-call]
    return _finished(found)


@api.exception_handler(Exception)  # type: ignore[untyped-decorator]
def _wrong(error: Exception) -> Response[str]:
    """Return the problem for an error of a route, in place of Powertools' own response."""
    return problem(error, _request_id(api.current_event.raw_event), words_of(api))


def _finished(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "statusCode": int(found["statusCode"]),
        "headers": {**found["headers"], **ALWAYS},
    }


def _sent(response: Response[str]) -> dict[str, Any]:
    return {
        "statusCode": response.status_code,
        "headers": response.headers,
        "cookies": [],
        "body": response.body,
        "isBase64Encoded": False,
    }


def _request_id(event: Mapping[str, Any]) -> str:
    context = event.get("requestContext")
    return str(context.get("requestId", "")) if isinstance(context, Mapping) else ""
