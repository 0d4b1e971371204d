"""Converts errors to HTTP problems: one type for each class of error, and no details that are only for the log."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as NoRouteError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from ...core.errors import (
    ConflictError,
    ForbiddenError,
    LedgerError,
    ListingError,
    NotFoundError,
    ProviderError,
    QueueError,
    RequestError,
    ReusedKeyError,
    ThrottledError,
)
from ...reporting.telemetry import logger
from ...schemas.validation_errors import describe_errors
from .json_body import MediaTypeError, TooLargeError, UnreadableError
from .responses import Fault, Problem, redact

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER = 5  # seconds, after a throttled call or without the ledger or the queue


class UnauthenticatedError(RequestError):
    """The request has no authenticated caller."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem. ``detail`` replaces the text of the error, which is then only for the log."""

    name: str
    status: HTTPStatus
    title: str
    detail: str = ""


INVALID = ProblemType("invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request")
REUSED = ProblemType("reused-key", HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency key reused")
UNREADABLE = ProblemType("unreadable", HTTPStatus.BAD_REQUEST, "Unreadable request")
UNAUTHENTICATED = ProblemType("unauthenticated", HTTPStatus.UNAUTHORIZED, "Unauthenticated")
FORBIDDEN = ProblemType("forbidden", HTTPStatus.FORBIDDEN, "Forbidden")
NO_ROUTE = ProblemType(
    "no-route",
    HTTPStatus.NOT_FOUND,
    "No such route",
    "no route has this path and method",
)
NOT_FOUND = ProblemType("not-found", HTTPStatus.NOT_FOUND, "Not found")
CONFLICT = ProblemType("conflict", HTTPStatus.CONFLICT, "Conflict with the current state")
TOO_LARGE = ProblemType("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Body too large")
MEDIA_TYPE = ProblemType("media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
CLOUD = ProblemType("cloud", HTTPStatus.BAD_GATEWAY, "Error of the cloud")
THROTTLED = ProblemType("throttled", HTTPStatus.SERVICE_UNAVAILABLE, "Throttled by the cloud")
LEDGER = ProblemType(
    "ledger",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Ledger unavailable",
    "Curfew does nothing more without the ledger; send the request again",
)
QUEUE = ProblemType(
    "queue",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Queue unavailable",
    "the rest of the request could not be enqueued; send the request again",
)
INTERNAL = ProblemType(
    "internal",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Internal error",
    "the log has the error under the id of the request",
)
# The first match counts, so narrower classes come first.
PROBLEM_TYPES: tuple[tuple[type[Exception], ProblemType], ...] = (
    (UnauthenticatedError, UNAUTHENTICATED),
    (NoRouteError, NO_ROUTE),
    (NotFoundError, NOT_FOUND),
    (ForbiddenError, FORBIDDEN),
    (ConflictError, CONFLICT),
    (ReusedKeyError, REUSED),
    (TooLargeError, TOO_LARGE),
    (MediaTypeError, MEDIA_TYPE),
    (UnreadableError, UNREADABLE),
    (RequestError, INVALID),
    (RequestValidationError, INVALID),
    (ThrottledError, THROTTLED),
    (ListingError, CLOUD),
    (ProviderError, CLOUD),
    (LedgerError, LEDGER),
    (QueueError, QUEUE),
)


def problem(error: Exception, request_id: str, known: Collection[str] = ()) -> Response[str]:
    """Log an error and return its response. ``known`` are the keys that a misspelt key may have meant."""
    problem_type = next(
        (problem_type for class_, problem_type in PROBLEM_TYPES if isinstance(error, class_)),
        INTERNAL,
    )
    faults = _faults(error.errors(), known) if isinstance(error, RequestValidationError) else ()
    _log(problem_type, error)
    details = Problem(
        type=f"urn:curfew:problem:{problem_type.name}",
        title=problem_type.title,
        status=problem_type.status,
        detail=problem_type.detail or _counted(faults) or redact(str(error)),
        request_id=request_id,
        errors=faults,
    )
    return Response(
        status_code=problem_type.status,
        content_type=PROBLEM_JSON,
        headers=_headers(problem_type, error),
        body=json.dumps(details.model_dump(mode="json", exclude_defaults=True)),
    )


def _faults(faults: Sequence[Mapping[str, Any]], known: Collection[str]) -> tuple[Fault, ...]:
    return tuple(
        Fault(where=".".join(map(str, path)), problem=words)
        for path, words in describe_errors(faults, known)
    )


def _counted(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    first = f"{faults[0].where} {faults[0].problem}"
    more = len(faults) - 1
    return f"{first}; and {more} more" if more else first


def _headers(problem_type: ProblemType, error: Exception) -> dict[str, str | list[str]]:
    if isinstance(error, ConflictError):
        return {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if problem_type.status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER)}
    return {}


def _log(problem_type: ProblemType, error: Exception) -> None:
    """Log a bug with its trace, a failure of the cloud, ledger or queue as an error, and the rest as info."""
    if problem_type is INTERNAL:
        logger.error("unexpected error", exc_info=error)
    elif problem_type.status.is_server_error:
        logger.error(f"{problem_type.name}: {error}")
    else:
        logger.info(f"refused: {problem_type.name}", extra={"status": int(problem_type.status)})
