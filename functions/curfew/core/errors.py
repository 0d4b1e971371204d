"""The one tree of errors. Each says what is wrong, which value, where it stands and what to do.

CurfewError
├── ConfigError           the policy file or a setting is unusable: nothing is done
├── RequestError          the trigger asks for something that cannot be: nothing is done
│   ├── StaleTriggerError     it asks too late
│   ├── NotFoundError         it names something that there is not
│   ├── ForbiddenError        it comes from somebody who may not ask for it
│   ├── ConflictError         what is there does not allow it, or not now
│   └── ReusedKeyError        its idempotency key came before, with something else
├── ListingError          the listing is incomplete: it is reported and never acted on
├── LedgerError           the ledger cannot be read or written: nothing more is done
├── QueueError            work could not be put off: whoever asked for it asks again
├── ProviderError         the cloud refused or could not be reached
│   ├── ItemError             because of one instance: the batch is split
│   │   └── ProtectedError            which is protected: it is kept
│   ├── ThrottledError        because of the rate: slow down, keep the plan
│   │   └── PacedError            because of Curfew's own: it made no call
│   ├── AmbiguousError        no answer came, or none that tells: look before deciding anything
│   ├── CapacityError         because there is none left of this kind, here: ask elsewhere
│   ├── MismatchError         because the token is known with another call: look, and never ask anew
│   └── RefusedError          for a reason that concerns every instance, or an unknown one: stop
├── SweepFailedError      raised after the report, so that the invocation fails
└── LaunchFailedError     likewise, after a launch that brought fewer instances than asked for
"""


class CurfewError(Exception):
    """Anything that Curfew itself raises."""


class ConfigError(CurfewError):
    """The policy file or a setting is unusable."""


class RequestError(CurfewError):
    """The request is invalid, whoever sent it."""


class StaleTriggerError(RequestError):
    """The request is older than a sweep may be late."""


class NotFoundError(RequestError):
    """There is nothing of that name."""


class ForbiddenError(RequestError):
    """The caller may not do this."""


class ConflictError(RequestError):
    """The state of things does not allow it. ``retry_after`` is when it may, in seconds; none means never."""

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ReusedKeyError(RequestError):
    """An idempotency key stands for one request; this is another."""


class ListingError(CurfewError):
    """A page of the listing failed, so what was listed is not the whole."""


class LedgerError(CurfewError):
    """The ledger did not answer, or refused."""


class QueueError(CurfewError):
    """A message could not be sent."""


class ProviderError(CurfewError):
    """The cloud refused a call or did not answer.

    ``code`` is the cloud's own error code, ``request_id`` what its support asks for; both may be empty.
    """

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class ItemError(ProviderError):
    """One instance of the batch made the call fail."""


class ProtectedError(ItemError):
    """The cloud itself keeps an instance from its end."""


class ThrottledError(ProviderError):
    """The cloud asks for patience."""


class PacedError(ThrottledError):
    """Curfew's own rate has kept a call back, and it was not made. ``late``: there is no time left to make it in."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class AmbiguousError(ProviderError):
    """No answer came back, or one that does not tell: the call may or may not have had its effect."""


class CapacityError(ProviderError):
    """The cloud has no capacity of this kind left here, or not enough."""


class MismatchError(ProviderError):
    """A client token was sent before, with another call."""


class RefusedError(ProviderError):
    """The call was refused for a reason that no split and no waiting mends."""


class SweepFailedError(CurfewError):
    """At least one sweep did not end as it should; its report is written already."""


class LaunchFailedError(CurfewError):
    """A scheduled launch did not bring what it should; what it brought is recorded already."""


def unexpected(error: Exception) -> str:
    """An error that is none of ours, in a line that leads to its place in the code."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"unexpected {type(error).__name__}: {error}{place}"
