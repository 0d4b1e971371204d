"""Translates the SDK's errors into Curfew's, whose class says what to do next.

Source of the codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from ..core.errors import (
    AmbiguousError,
    CapacityError,
    ItemError,
    MismatchError,
    ProtectedError,
    ProviderError,
    RefusedError,
    ThrottledError,
)
from .rate_limit import THROTTLE_CODES

type SdkError = (
    ClientError | BotoCoreError | ResponseParserError | ValueError | LookupError | TypeError
)
# The last three come from answers that do not follow the API: an invalid time, a missing member.
SDK_ERRORS = (
    ClientError, BotoCoreError, ResponseParserError, ValueError, LookupError, TypeError,
)  # fmt: skip
NO_ANSWER = (HTTPClientError, NoConnectionError)
UNREADABLE = (ResponseParserError, ValueError, LookupError, TypeError)

PROTECTED_CODE = "OperationNotPermitted"
ITEM_CODES = frozenset(
    {
        "InvalidInstanceID.NotFound",
        "InvalidInstanceID.Malformed",
        "IncorrectInstanceState",
        # IAM checks each instance of a batch: one denied instance refuses the whole call.
        "UnauthorizedOperation",
    }
)
# Server-side failures: the call may have taken effect before.
TROUBLE_CODES = frozenset({"InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable"})
SERVER_ERROR = 500

# Another type or subnet may have capacity. Most of these codes come with a server error's status, although they
# guarantee that nothing was launched.
CAPACITY_CODES = frozenset(
    {
        "InsufficientAddressCapacity",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientReservedInstancesCapacity",
        "InsufficientVolumeCapacity",
        "ReservationCapacityExceeded",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
        "Unsupported",  # of a type in a zone that does not have it
        "VolumeTypeNotAvailableInZone",
    }
)
MISMATCH_CODES = frozenset(
    {
        "IdempotentParameterMismatch",
        "IdempotentInstanceTerminated",  # the token launched, and what it launched has ended
    }
)
# The account's quotas: neither another pool nor a retry helps.
QUOTAS = {
    "InstanceLimitExceeded": "instances that run at the same time",
    "VcpuLimitExceeded": "vCPUs of running on-demand instances",
    "MaxSpotInstanceCountExceeded": "Spot Instances",
    "MaxIOPSLimitExceeded": "provisioned IOPS",
    "VolumeLimitExceeded": "EBS storage",
    "NetworkInterfaceLimitExceeded": "network interfaces",
    "AddressLimitExceeded": "Elastic IP addresses",
    "ResourceLimitExceeded": "a resource that EC2 does not name",
}
# Source: the common client errors of the page above; the first is the code of other AWS services.
PAGE_CODES = frozenset({"InvalidNextToken", "InvalidPaginationToken", "InvalidParameterValue"})


def translated(error: SdkError, *, acting: bool = False) -> ProviderError:
    """Return the CurfewError for an SDK error. An unknown error becomes RefusedError, which stops the sweep."""
    return _translated(error, _kind(error, acting=acting))


def refused_launch(error: SdkError) -> ProviderError:
    """Return the CurfewError for an SDK error of a launch, which has pools, a token and quotas, but no items."""
    code = code_of(error)
    if code in CAPACITY_CODES:
        return _translated(error, CapacityError)
    if code in MISMATCH_CODES:
        return _translated(error, MismatchError)
    if code in QUOTAS:
        quota = f"the account's quota is used up, in this region, for {QUOTAS[code]}: "
        return _translated(error, RefusedError, before=quota)
    kind = _kind(error, acting=True)
    return _translated(error, RefusedError if issubclass(kind, ItemError) else kind)


def code_of(error: SdkError) -> str:
    """Return the cloud's error code, or the exception's name without one."""
    if isinstance(error, ClientError):
        code: str = error.response.get("Error", {}).get("Code", "")
        return code
    return type(error).__name__


def _kind(error: SdkError, *, acting: bool) -> type[ProviderError]:
    if isinstance(error, ClientError):
        code = code_of(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in THROTTLE_CODES:
            return ThrottledError
        if code in TROUBLE_CODES or status >= SERVER_ERROR:
            return AmbiguousError
        if code == PROTECTED_CODE:
            return ProtectedError
        if code in ITEM_CODES and (acting or code != "UnauthorizedOperation"):
            return ItemError
        return RefusedError
    return AmbiguousError if isinstance(error, (*UNREADABLE, *NO_ANSWER)) else RefusedError


def _translated[E: ProviderError](error: SdkError, kind: type[E], *, before: str = "") -> E:
    """Return the error without confidential parts.

    These are an encoded authorization message, and an unreadable answer, which the SDK repeats after the first line
    with the tags of every instance.
    """
    code = code_of(error)
    if isinstance(error, ClientError):
        text = error.response.get("Error", {}).get("Message") or ""
        words = text.partition("Encoded authorization failure message")[0].strip()
        request_id: str = error.response.get("ResponseMetadata", {}).get("RequestId", "")
        message = f"{before}{code}: {words} (request {request_id or 'unknown'})"
        return kind(message, code=code, request_id=request_id)
    if isinstance(error, UNREADABLE):
        text = str(error).partition("\n")[0]
        return kind(f"the answer cannot be read: {code}: {text}", code=code)
    return kind(str(error), code=code)
