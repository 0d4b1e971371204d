"""The faults of calls: those that a test scripts for certain calls, and random ones with a profile's probabilities."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .protocols import ApiError, Message
from .rng import Rng


class FaultKind(StrEnum):
    """The kinds of faults. "After" means after the call has its effect. Those in ``PAGES`` apply to listings."""

    ERROR = "error"
    ERROR_AFTER = "error-after"
    CUT = "cut"
    CUT_AFTER = "cut-after"
    SLOW = "slow"
    THROTTLED = "throttled"
    GARBLED = "garbled"
    STALE = "stale"
    EMPTY_PAGE = "empty-page"
    SHORT_PAGE = "short-page"
    SAME_TOKEN = "same-token"  # noqa: S105  the token of a page
    SHUFFLED = "shuffled"
    TWICE = "twice"
    UNNAMED = "unnamed"
    IDLE = "idle"
    UNFILTERED = "unfiltered"
    ALTERED = "altered"
    UNPROCESSED = "unprocessed"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a call.

    ``code``, ``status`` and ``message`` describe an error; without them, it is the service's usual one. ``seconds`` is
    the delay of a slow response or the age of a stale read; ``share`` is the part of a read that is stale. ``ids`` are
    the ids that a response leaves out, a random one if empty. ``edit`` changes the body of an altered response.
    """

    kind: FaultKind
    code: str = ""
    status: int = 0
    message: str = ""
    seconds: float = 20.0
    share: float = 1.0
    ids: frozenset[str] = frozenset()
    edit: Callable[[bytes], bytes] | None = None

    def error(self, service: str) -> ApiError:
        """Return the error that the service reports for this fault."""
        causes = TROUBLE if self.kind in {FaultKind.ERROR, FaultKind.ERROR_AFTER} else THROTTLE
        code, status = causes.get(service, causes[""])
        message = "An internal error has occurred" if causes is TROUBLE else "Rate exceeded"
        if service == "ec2" and causes is THROTTLE:
            message = "Request limit exceeded."
        status = self.status or (400 if self.code else status)
        return ApiError(self.code or code, self.message or message, status)


# Sources: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html,
# https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
TROUBLE = {
    "ec2": ("InternalError", 500),
    "dynamodb": ("InternalServerError", 500),
    "": ("InternalFailure", 500),
}
THROTTLE = {
    "ec2": ("RequestLimitExceeded", 503),
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "": ("Throttling", 400),
}

PAGES = frozenset(
    {
        FaultKind.EMPTY_PAGE,
        FaultKind.SHORT_PAGE,
        FaultKind.SAME_TOKEN,
        FaultKind.SHUFFLED,
        FaultKind.TWICE,
    }
)
ENDING_CALLS = frozenset({"TerminateInstances", "StopInstances", "CancelSpotInstanceRequests"})
READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem"})
WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})

type Profile = Mapping[FaultKind, float]

CALM: Profile = {}
ROUGH: Profile = {
    FaultKind.ERROR: 0.01,
    FaultKind.ERROR_AFTER: 0.005,
    FaultKind.CUT: 0.005,
    FaultKind.CUT_AFTER: 0.005,
    FaultKind.SLOW: 0.01,
    FaultKind.THROTTLED: 0.03,
    FaultKind.STALE: 0.1,
    FaultKind.EMPTY_PAGE: 0.05,
    FaultKind.SHORT_PAGE: 0.1,
    FaultKind.SHUFFLED: 0.5,
    FaultKind.UNPROCESSED: 0.05,
    FaultKind.CONFLICT: 0.02,
}
HARSH: Profile = {
    FaultKind.ERROR: 0.04,
    FaultKind.ERROR_AFTER: 0.03,
    FaultKind.CUT: 0.03,
    FaultKind.CUT_AFTER: 0.03,
    FaultKind.SLOW: 0.05,
    FaultKind.THROTTLED: 0.1,
    FaultKind.GARBLED: 0.01,
    FaultKind.STALE: 0.3,
    FaultKind.EMPTY_PAGE: 0.2,
    FaultKind.SHORT_PAGE: 0.3,
    FaultKind.SAME_TOKEN: 0.01,
    FaultKind.SHUFFLED: 1.0,
    FaultKind.TWICE: 0.03,
    FaultKind.UNNAMED: 0.03,
    FaultKind.UNPROCESSED: 0.2,
    FaultKind.CONFLICT: 0.08,
}
PROFILES: Mapping[str, Profile] = {"calm": CALM, "rough": ROUGH, "harsh": HARSH}


class Faults:
    """The faults of a world. A call with scripted faults has no random ones."""

    def __init__(self, profile: Profile, rng: Rng) -> None:
        self.profile = profile
        self.injected: Counter[FaultKind] = Counter()
        self._chance = rng.of("faults")
        self._scripted: dict[tuple[str, int], dict[FaultKind, Fault]] = {}

    def script(self, operation: str, fault: Fault, *, on: int, times: int) -> None:
        """Add a fault to ``times`` calls of an operation, from the ``on``-th. A call may have several faults."""
        for nth in range(on, on + times):
            self._scripted.setdefault((operation, nth), {})[fault.kind] = fault

    def forget(self) -> None:
        """Remove all scripted faults."""
        self._scripted.clear()

    def of(self, message: Message, nth: int) -> Mapping[FaultKind, Fault]:
        """Return the faults of one call, and count them as injected."""
        faults = self._scripted.get((message.operation, nth))
        if faults is None:
            faults = self._drawn(message) if self.profile else {}
        self.injected.update(faults.keys())
        return faults

    def edit(self, operation: str, nth: int) -> Callable[[bytes], bytes] | None:
        """Return the function that edits the body of one call's response, or None if no test scripted one."""
        fault = self._scripted.get((operation, nth), {}).get(FaultKind.ALTERED)
        return fault.edit if fault else None

    def _drawn(self, message: Message) -> dict[FaultKind, Fault]:
        draw = self._chance.random
        drawn: dict[FaultKind, Fault] = {}
        for kind, probability in self.profile.items():
            if applies(kind, message) and draw() < probability:
                seconds, share = round(1 + draw() * 29, 1), round(draw(), 2)
                drawn[kind] = Fault(kind=kind, seconds=seconds, share=share)
        return drawn


def applies(kind: FaultKind, message: Message) -> bool:
    """Return whether a kind of fault can occur at random in a call. IDLE, UNFILTERED and ALTERED never do."""
    operation: str = message.operation
    arguments: Mapping[str, Any] = message.arguments
    if kind in PAGES:
        pages = kind is FaultKind.SHORT_PAGE and operation in {"Query", "Scan"}
        return pages or operation == "DescribeInstances"
    match kind:
        case FaultKind.STALE if message.service == "dynamodb":
            return operation in READS and not consistent(arguments)
        case FaultKind.STALE:
            return message.service == "ec2" and operation.startswith("Describe")
        case FaultKind.GARBLED:
            # The SDK treats unreadable JSON as an empty response; TLS prevents such damage in practice.
            return message.service != "dynamodb"
        case FaultKind.UNNAMED:
            return operation in ENDING_CALLS
        case FaultKind.UNPROCESSED:
            return operation == "BatchGetItem"
        case FaultKind.CONFLICT:
            return operation in WRITES
        case FaultKind.IDLE | FaultKind.UNFILTERED | FaultKind.ALTERED:
            return False
        case _:
            return True


def consistent(arguments: Mapping[str, Any]) -> bool:
    """Return whether a read is strongly consistent. No fault makes such a read stale."""
    tables = arguments.get("RequestItems", {}).values()
    return any(asked.get("ConsistentRead") for asked in (arguments, *tables))
