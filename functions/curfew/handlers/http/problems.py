"""What went wrong, as an answer: one kind for each error of ours, and nothing that only the log should have."""

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
from ...schemas.validation_errors import said
from .json_body import MediaTypeError, TooLargeError, UnreadableError
from .responses import Fault, Problem, discreet

PROBLEM_JSON = "application/problem+json"
AGAIN = 5  # seconds after which whoever met a busy cloud or ledger may come again


class UnauthenticatedError(RequestError):
    """Nobody has said who asks."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem; ``detail`` is said in place of the error's own words, which are for the log."""

    name: str
    status: HTTPStatus
    title: str
    detail: str = ""


INVALID = Kind("invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not valid")
REUSED = Kind("reused-key", HTTPStatus.UNPROCESSABLE_ENTITY, "The key stands for another request")
UNREADABLE = Kind("unreadable", HTTPStatus.BAD_REQUEST, "The request cannot be read")
NOBODY = Kind("unauthenticated", HTTPStatus.UNAUTHORIZED, "Nobody knows who asks")
FORBIDDEN = Kind("forbidden", HTTPStatus.FORBIDDEN, "You may not do this")
NO_ROUTE = Kind(
    "no-route",
    HTTPStatus.NOT_FOUND,
    "There is no such route",
    "no route has this path and method",
)
NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, "There is no such thing")
CONFLICT = Kind("conflict", HTTPStatus.CONFLICT, "It cannot be done now")
TOO_LARGE = Kind("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
MEDIA_TYPE = Kind(
    "media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is not said to be JSON"
)
CLOUD = Kind("cloud", HTTPStatus.BAD_GATEWAY, "The cloud did not do it")
THROTTLED = Kind("throttled", HTTPStatus.SERVICE_UNAVAILABLE, "The cloud asks for patience")
LEDGER = Kind(
    "ledger",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The ledger cannot be used",
    "nothing more is done without the ledger; ask again",
)
QUEUE = Kind(
    "queue",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The queue cannot be used",
    "what has begun could not be put off; ask again",
)
INTERNAL = Kind(
    "internal",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something is broken here",
    "the log has it under the request's id",
)
# The first that fits counts, so the narrower ones come first.
KINDS: tuple[tuple[type[Exception], Kind], ...] = (
    (UnauthenticatedError, NOBODY),
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
    """The answer to whoever met the error. ``known`` are the keys that a misspelt one may have meant."""
    kind = next((kind for class_, kind in KINDS if isinstance(error, class_)), INTERNAL)
    faults = _faults(error.errors(), known) if isinstance(error, RequestValidationError) else ()
    _log(kind, error)
    told = Problem(
        type=f"urn:curfew:problem:{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=kind.detail or _counted(faults) or discreet(str(error)),
        request_id=request_id,
        errors=faults,
    )
    return Response(
        status_code=kind.status,
        content_type=PROBLEM_JSON,
        headers=_headers(kind, error),
        body=json.dumps(told.model_dump(mode="json", exclude_defaults=True)),
    )


def _faults(faults: Sequence[Mapping[str, Any]], known: Collection[str]) -> tuple[Fault, ...]:
    return tuple(
        Fault(where=".".join(map(str, path)), problem=words) for path, words in said(faults, known)
    )


def _counted(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    first = f"{faults[0].where} {faults[0].problem}"
    more = len(faults) - 1
    return f"{first}; and {more} more" if more else first


def _headers(kind: Kind, error: Exception) -> dict[str, str | list[str]]:
    if isinstance(error, ConflictError):
        return {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if kind.status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(AGAIN)}
    return {}


def _log(kind: Kind, error: Exception) -> None:
    """A fault of ours with its trace, trouble elsewhere as an error, what was asked wrongly as news."""
    if kind is INTERNAL:
        logger.error("unexpected error", exc_info=error)
    elif kind.status.is_server_error:
        logger.error(f"{kind.name}: {error}")
    else:
        logger.info(f"refused: {kind.name}", extra={"status": int(kind.status)})
