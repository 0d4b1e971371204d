"""The one tree of errors. Each says what is wrong, which value, where it stands and what to do.

CurfewError
├── ConfigError           the policy file or a setting is unusable: nothing is done
├── RequestError          the trigger asks for something that cannot be: nothing is done
│   └── StaleTriggerError     it asks too late
├── ListingError          the listing is incomplete: it is reported and never acted on
├── LedgerError           the ledger cannot be read or written: nothing more is done
├── ProviderError         the cloud refused or could not be reached
│   ├── ItemError             because of one instance: the batch is split
│   ├── ThrottledError        because of the rate: slow down, keep the plan
│   ├── AmbiguousError        no answer came, or none that tells: look before deciding anything
│   └── RefusedError          for a reason that concerns every instance, or an unknown one: stop
└── SweepFailedError      raised after the report, so that the invocation fails
"""


class CurfewError(Exception):
    """Anything that Curfew itself raises."""


class ConfigError(CurfewError):
    """The policy file or a setting is unusable."""


class RequestError(CurfewError):
    """The request is invalid, whoever sent it."""


class StaleTriggerError(RequestError):
    """The request is older than a sweep may be late."""


class ListingError(CurfewError):
    """A page of the listing failed, so what was listed is not the whole."""


class LedgerError(CurfewError):
    """The ledger did not answer, or refused."""


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


class ThrottledError(ProviderError):
    """The cloud asks for patience."""


class AmbiguousError(ProviderError):
    """No answer came back, or one that does not tell: the call may or may not have had its effect."""


class RefusedError(ProviderError):
    """The call was refused for a reason that no split and no waiting mends."""


class SweepFailedError(CurfewError):
    """At least one sweep did not end as it should; its report is written already."""


def unexpected(error: Exception) -> str:
    """An error that is none of ours, in a line that leads to its place in the code."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"unexpected {type(error).__name__}: {error}{place}"
