"""What all routes have in common: one resolver, who asks and until when, and how a request is checked.

Powertools reads the query from fields that API Gateway has joined with commas, takes the first of a list for an
object, and knows of no parameter that is too many. Here the query is read as it was sent, and what a route does not
declare is refused like every unknown key.
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

# What may go wrong on a route, and what it means there.
MEANING: Mapping[int, str] = {
    400: "The body is not one JSON object.",
    401: "Nobody has said who asks.",
    403: "Neither the owner nor an administrator asks. API Gateway's own refusal has the same status.",
    404: "There is no such thing.",
    409: "The state of things does not allow it; with Retry-After, not yet.",
    413: "The body has more than 64 KiB.",
    415: "The body does not say that it is JSON.",
    422: "Something in the request is wrong, and named.",
    500: "Something is broken here; the log has it under the request's id.",
    502: "The cloud refused, or did not answer.",
    503: "The cloud, the ledger or the queue cannot be used now.",
}
ALWAYS = (401, 422, 500, 503)
WITH_BODY = (400, 413, 415)
WHOLE = re.compile("[0-9]{1,9}", re.ASCII)
RETRY = {
    "Retry-After": {
        "description": "When to ask again, in seconds.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
LOCATION = {
    "Location": {"description": "Where it is looked at.", "schema": {"type": "string"}},
}


def _digits(value: object) -> object:
    """A number as one writes it: int() takes blanks, signs and underscores too."""
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
    """One request: the application that it is put to, who asks, since when, and when the function is cut off."""

    app: App
    caller: Caller
    at: datetime
    cut_off: datetime

    @property
    def clock(self) -> Clock:
        """The clock of the fleets' use cases. It shows when the request came."""
        return self.app.clock(self.cut_off).stopped_at(self.at)

    def within(self, seconds: int) -> datetime:
        """When to put the rest off, where there is a queue; where there is none, it is done as far as time goes."""
        return self.at + timedelta(seconds=seconds) if self.app.enqueue else self.cut_off


def routes() -> Router:
    """Some of the routes, for one module to declare."""
    return Router()  # type: ignore[no-untyped-call]


def example(summary: str, **body: Any) -> Example:
    """A body that one could send."""
    return Example(summary=summary, value=body)


def request_context(router: BaseRouter) -> RequestContext:
    """The request that is being answered."""
    return cast("RequestContext", router.context["request_context"])


def json_answer(
    body: BaseModel, status: HTTPStatus = HTTPStatus.OK, *, location: str = ""
) -> Response[Any]:
    """An answer in JSON; ``location`` is where what was begun is looked at."""
    return Response(
        status_code=status,
        content_type="application/json",
        headers={"Location": location} if location else {},
        body=body,
    )


def answers(
    good: Mapping[int, tuple[type[BaseModel], str]], *others: int, body: bool = False
) -> dict[int, Any]:
    """All that a route may answer, for its documentation: what it is good for, and every problem."""
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
    """A request whose query is read as it was sent: a comma in a value is a comma."""

    @property
    def resolved_query_string_parameters(self) -> dict[str, list[str]]:
        """Every parameter with each of its values."""
        return parse_qs(self.get("rawQueryString") or "", keep_blank_values=True)


class Checked(OpenAPIRequestValidationMiddleware):
    """Checks a request before its route sees it, and names every fault at once."""

    def handler(self, app: Any, next_middleware: Any) -> Response[Any]:
        """Raises RequestValidationError with all that is wrong, RequestError for a body that cannot be read."""
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
    """Powertools' resolver, with these two in the place of its own."""

    def __init__(self) -> None:
        super().__init__(
            enable_validation=True,
            # Without it, an answer that is wrong would be told as if the request were.
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
    """The names that the route of the request knows: what a misspelt one may have meant."""
    dependant = api.context["_route"].dependant
    models = [field.type_ for field in dependant.body_params]
    return frozenset(
        {field.alias for field in dependant.query_params}.union(
            *(model.model_fields for model in models)
        )
    )


def _undeclared(app: Any) -> list[dict[str, Any]]:
    """Parameters that the route does not have or that came twice, and a body where it takes none."""
    dependant = app.context["_route"].dependant
    known = {field.alias: field.field_info.annotation for field in dependant.query_params}
    fault = partial(dict[str, Any], type="value_error")
    faults = []
    for name, values in app.current_event.resolved_query_string_parameters.items():
        if name not in known:
            faults.append({"type": "extra_forbidden", "loc": ("query", name), "input": values[0]})
        elif len(values) > 1 and not _takes_several(known[name]):
            problem = ValueError("stands there more than once")
            faults.append(fault(loc=("query", name), input={}, ctx={"error": problem}))
    if not dependant.body_params and json_body.raw(app.current_event.raw_event).strip():
        problem = ValueError("is there, and this route takes none")
        faults.append(fault(loc=("body",), input={}, ctx={"error": problem}))
    return faults


def _takes_several(annotation: Any) -> bool:
    return any(
        getattr(one, "__origin__", one) is tuple for one in (annotation, *get_args(annotation))
    )
