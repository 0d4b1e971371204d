"""Translates OpenStack's errors into Curfew's, whose class says what to do next.

The HTTP status decides. The message has the cloud's text without the body, and the request id for its operators.
Source: https://docs.openstack.org/api-ref/compute/#faults
"""

from keystoneauth1.exceptions import ConnectionError as NoConnectionError
from requests.exceptions import RequestException

from ...core.errors import (
    AmbiguousError,
    CapacityError,
    ItemError,
    ProtectedError,
    ProviderError,
    RefusedError,
    ThrottledError,
)

THROTTLED = frozenset({413, 429})
# No answer, or an unreadable one.
UNANSWERED = (NoConnectionError, RequestException, ValueError, LookupError, TypeError)
LOCKED = "is locked"
QUOTA = "Quota exceeded"
NO_HOST = "No valid host"


def translated(error: Exception, *, acting: bool = False) -> ProviderError:
    """Return the CurfewError for an SDK error. An unknown error becomes RefusedError, which stops the sweep."""
    return _error_of(error, _kind(error, acting=acting))


def refused_launch(error: Exception) -> ProviderError:
    """Return the CurfewError for an SDK error of a launch: the quota may be used up, or no host have capacity."""
    status, words = _status(error), _words(error)
    if status == 403 and QUOTA in words:
        return _error_of(error, RefusedError, before="the project's quota is used up: ")
    if NO_HOST in words:
        return _error_of(error, CapacityError)
    kind = _kind(error, acting=True)
    return _error_of(error, RefusedError if issubclass(kind, ItemError) else kind)


def _kind(error: Exception, *, acting: bool) -> type[ProviderError]:
    status = _status(error)
    if status in THROTTLED:
        return ThrottledError
    if status >= 500 or (not status and isinstance(error, UNANSWERED)):
        return AmbiguousError  # the call may have taken effect
    if acting and status == 409 and LOCKED in _words(error):
        return ProtectedError
    if acting and status in {404, 409}:
        return ItemError
    return RefusedError


def _status(error: Exception) -> int:
    """Return the HTTP status; zero without an answer."""
    for name in ("status_code", "http_status"):
        status = getattr(error, name, None)
        if isinstance(status, int):
            return status
    return 0


def _words(error: Exception) -> str:
    details = getattr(error, "details", None) or getattr(error, "message", None) or str(error)
    return " ".join(str(details).split())


def _error_of[E: ProviderError](error: Exception, kind: type[E], *, before: str = "") -> E:
    status, words = _status(error), _words(error)
    request_id = str(getattr(error, "request_id", None) or "")
    if status:
        message = f"{before}{status}: {words} (request {request_id or 'unknown'})"
        return kind(message, code=str(status), request_id=request_id)
    return kind(f"{before}{type(error).__name__}: {words}", code=type(error).__name__)
