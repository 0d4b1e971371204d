"""The error tree. Each message reads ``<what> <value>: <why>; <remedy>``.

CurfewError
├── ConfigError           the policy file or a setting is invalid: Curfew does nothing
├── RequestError          the request is invalid: Curfew does nothing
│   ├── StaleTriggerError     it is too old
│   ├── NotFoundError         it names something that does not exist
│   ├── ForbiddenError        its caller may not do this
│   ├── ConflictError         the current state does not allow it, or not yet
│   └── ReusedKeyError        its idempotency key belongs to another request
├── ListingError          the listing is incomplete: Curfew reports it and never acts on it
├── LedgerError           the ledger cannot be read or written: Curfew stops
├── QueueError            a job could not be enqueued: the caller asks again
├── ProviderError         the cloud refused a call or could not be reached
│   ├── ItemError             because of one instance: Curfew splits the batch
│   │   └── ProtectedError            because that instance is protected: Curfew keeps it
│   ├── ThrottledError        because of a rate limit: Curfew slows down and keeps the plan
│   │   └── RateLimitedError      because of Curfew's own rate limit: it made no call
│   ├── AmbiguousError        the call's effect is unknown: Curfew describes before it decides anything
│   ├── CapacityError         because the pool has no capacity: Curfew tries the next pool
│   ├── MismatchError         because the token belongs to another call: Curfew never sends it again
│   └── RefusedError          for a reason that concerns every instance, or an unknown reason: Curfew stops
├── SweepFailedError      raised after the report is written, so that the invocation fails
└── LaunchFailedError     the same, after a launch with fewer instances than requested
"""


class CurfewError(Exception):
    """Base class of the errors that Curfew raises."""


class ConfigError(CurfewError):
    """The policy file or a setting is invalid."""


class RequestError(CurfewError):
    """The request is invalid."""


class StaleTriggerError(RequestError):
    """The request is too old to act on."""


class NotFoundError(RequestError):
    """Nothing of that name exists."""


class ForbiddenError(RequestError):
    """The caller may not do this."""


class ConflictError(RequestError):
    """The current state does not allow the request. It may after ``retry_after`` seconds; None means never."""

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ReusedKeyError(RequestError):
    """The idempotency key belongs to another request."""


class ListingError(CurfewError):
    """A page of the listing failed, so that the listing is incomplete."""


class LedgerError(CurfewError):
    """The ledger refused a call or did not answer."""


class QueueError(CurfewError):
    """The queue did not accept a message."""


class ProviderError(CurfewError):
    """The cloud refused a call or did not answer.

    ``code`` is the cloud's error code, ``request_id`` its id of the call, for its support; both may be empty.
    """

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class ItemError(ProviderError):
    """One instance of the batch made the call fail."""


class ProtectedError(ItemError):
    """The cloud refused the call because an instance is protected."""


class ThrottledError(ProviderError):
    """The cloud refused the call because of a rate limit."""


class RateLimitedError(ThrottledError):
    """Curfew's own rate limit held the call back; it was not made. ``late``: too little time is left to make it."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class AmbiguousError(ProviderError):
    """The answer is missing or inconclusive: the call may or may not have had its effect."""


class CapacityError(ProviderError):
    """The pool has no capacity left, or not enough."""


class MismatchError(ProviderError):
    """The client token was already sent with another call."""


class RefusedError(ProviderError):
    """The cloud refused the call for a reason that neither a split nor a retry resolves."""


class SweepFailedError(CurfewError):
    """At least one sweep failed; its report is already written."""


class LaunchFailedError(CurfewError):
    """A scheduled launch has fewer instances than requested; those it has are already recorded."""


def unexpected(error: Exception) -> str:
    """Return one line for an error that is no CurfewError, with the file and line that raised it."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"unexpected {type(error).__name__}: {error}{place}"
