"""What all routes share: the resolver, the caller and deadline of a request, and its validation.

Powertools reads the query from fields that API Gateway has joined with commas, takes the first element of a list for
the object, and accepts unknown parameters. Curfew reads the query as it was sent, and refuses a parameter that the
route does not declare, like every unknown key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, NoReturn, cast, get_args
from urllib.parse import parse_qs

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter, Router
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as NoRouteError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.middlewares.openapi_validation import (
    OpenAPIRequestValidationMiddleware,
)
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.models import Example
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from pydantic import BaseModel, BeforeValidator, Field

from ...app import App
from ...clock import Clock
from ...core.access import Caller
from . import json_body
from .problems import PROBLEM_JSON
from .responses import Problem

# The meaning of each error status in the documentation of a route.
MEANING: Mapping[int, str] = {
    400: "The body is not one JSON object.",
    401: "The request has no authenticated caller.",
    403: "The caller is neither the owner nor an administrator. API Gateway's own refusal has the same status.",
    404: "It does not exist.",
    409: "The current state does not allow it; with Retry-After, not yet.",
    413: "The body has more than 64 KiB.",
    415: "The content type of the body is not JSON.",
    422: "The request is invalid; the problem says why.",
    500: "An internal error; the log has it under the id of the request.",
    502: "The cloud refused, or did not answer.",
    503: "The cloud, the ledger or the queue cannot be used now.",
}
IN_TIME = 20  # seconds for the cloud; API Gateway waits for 30
ALWAYS = (401, 422, 500, 503)
WITH_BODY = (400, 413, 415)
WHOLE = re.compile("[0-9]{1,9}", re.ASCII)
RETRY = {
    "Retry-After": {
        "description": "After how many seconds to send the request again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
LOCATION = {
    "Location": {
        "description": "Where to see the fleet or the plan.",
        "schema": {"type": "string"},
    },
}


def _digits(value: object) -> object:
    """Return the value. Raises ValueError unless it has only digits: int() accepts blanks, signs and underscores."""
    if isinstance(value, str) and not WHOLE.fullmatch(value):
        raise ValueError("is not a whole number")
    return value


def _true_or_false(value: object) -> object:
    if isinstance(value, str) and value not in {"true", "false"}:
        raise ValueError("is neither true nor false")
    return value


Limit = Annotated[int, BeforeValidator(_digits), Field(ge=1, le=1000)]
Flag = Annotated[bool, BeforeValidator(_true_or_false)]
After = Annotated[str, Field(max_length=4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """One request: the application, the caller, when the request came, and when Lambda ends the function."""

    app: App
    caller: Caller
    at: datetime
    cut_off: datetime

    @property
    def clock(self) -> Clock:
        """The clock of the fleets' use cases. It shows when the request came."""
        return self.app.clock(self.within(IN_TIME)).stopped_at(self.at)

    def within(self, seconds: int) -> datetime:
        """Return when to defer the rest: ``seconds`` after the request, or without a queue at the function's end."""
        return self.at + timedelta(seconds=seconds) if self.app.enqueue else self.cut_off


def routes() -> Router:
    """Return a router for the routes of one module."""
    return Router()  # type: ignore[no-untyped-call]


def example(summary: str, **body: Any) -> Example:
    """Return an example of a body, for the documentation."""
    return Example(summary=summary, value=body)


def request_context(router: BaseRouter) -> RequestContext:
    """Return the request that is being answered."""
    return cast("RequestContext", router.context["request_context"])


def json_answer(
    body: BaseModel, status: HTTPStatus = HTTPStatus.OK, *, location: str = ""
) -> Response[Any]:
    """Return a JSON response; ``location`` is where to see what the request has begun."""
    return Response(
        status_code=status,
        content_type="application/json",
        headers={"Location": location} if location else {},
        body=body,
    )


def answers(
    good: Mapping[int, tuple[type[BaseModel], str]], *others: int, body: bool = False
) -> dict[int, Any]:
    """Return the documentation of all responses of a route: ``good`` by status, and the problems of each status."""
    found: dict[int, Any] = {
        status: {
            "description": words,
            "content": {"application/json": {"model": model}},
            **({"headers": LOCATION} if status != HTTPStatus.OK else {}),
        }
        for status, (model, words) in good.items()
    }
    for status in sorted({*ALWAYS, *others, *(WITH_BODY if body else ())}):
        found[status] = {
            "description": MEANING[status],
            "content": {PROBLEM_JSON: {"model": Problem}},
            **({"headers": RETRY} if status in {409, 503} else {}),
        }
    return found


class Event(APIGatewayProxyEventV2):
    """A request whose query is read as it was sent: a comma is a part of the value."""

    @property
    def resolved_query_string_parameters(self) -> dict[str, list[str]]:
        """Every parameter with all of its values."""
        return parse_qs(self.get("rawQueryString") or "", keep_blank_values=True)


class Checked(OpenAPIRequestValidationMiddleware):
    """Validates a request before its route receives it, and reports all errors at once."""

    def handler(self, app: Any, next_middleware: Any) -> Response[Any]:
        """Call the route. Raises RequestValidationError with all errors, RequestError for an unreadable body."""
        faults = _undeclared(app)
        places = {fault["loc"] for fault in faults}
        try:
            super().handler(app, cast("NextMiddleware", _nothing))
        except RequestValidationError as error:
            faults += [fault for fault in error.errors() if tuple(fault["loc"]) not in places]
        if faults:
            raise RequestValidationError(faults)
        return cast("Response[Any]", next_middleware(app))

    def _get_body(self, app: Any) -> dict[str, Any]:
        return json_body.read(app.current_event.raw_event) or {}


class Resolver(APIGatewayHttpResolver):
    """Powertools' resolver, with ``Event`` and ``Checked`` in place of its own."""

    def __init__(self) -> None:
        super().__init__(
            enable_validation=True,
            # Otherwise an invalid response would be reported as an invalid request.
            response_validation_error_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
            debug=False,
        )
        self._request_validation_middleware = Checked()  # type: ignore[no-untyped-call]

    def _to_proxy_event(self, event: dict[str, Any]) -> Event:
        return Event(event)

    def _handle_not_found(self, method: str, path: str) -> NoReturn:
        raise NoRouteError


def _nothing(app: Any) -> Response[Any]:  # noqa: ARG001  in the place of a middleware
    return Response(HTTPStatus.OK)


def words_of(api: Any) -> frozenset[str]:
    """Return the names that the route knows: a misspelt name may have meant one of them."""
    dependant = api.context["_route"].dependant
    models = [field.type_ for field in dependant.body_params]
    return frozenset(
        {field.alias for field in dependant.query_params}.union(
            *(model.model_fields for model in models)
        )
    )


def _undeclared(app: Any) -> list[dict[str, Any]]:
    """Return the errors for unknown or repeated parameters, and for a body where the route takes none."""
    dependant = app.context["_route"].dependant
    known = {field.alias: field.field_info.annotation for field in dependant.query_params}
    fault = partial(dict[str, Any], type="value_error")
    faults = []
    for name, values in app.current_event.resolved_query_string_parameters.items():
        if name not in known:
            faults.append({"type": "extra_forbidden", "loc": ("query", name), "input": values[0]})
        elif len(values) > 1 and not _takes_several(known[name]):
            problem = ValueError("is given more than once")
            faults.append(fault(loc=("query", name), input={}, ctx={"error": problem}))
    if not dependant.body_params and json_body.raw(app.current_event.raw_event).strip():
        problem = ValueError("is given, but this route takes none")
        faults.append(fault(loc=("body",), input={}, ctx={"error": problem}))
    return faults


def _takes_several(annotation: Any) -> bool:
    return any(
        getattr(one, "__origin__", one) is tuple for one in (annotation, *get_args(annotation))
    )
