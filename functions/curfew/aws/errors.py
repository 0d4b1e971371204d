"""EC2's errors in our words: what to do next hangs on which kind it is.

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
# The last three are what an answer raises that is not as the API says: a time that is none, a member that is missing.
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
        # IAM judges each instance of the batch: one that is denied refuses them all.
        "UnauthorizedOperation",
    }
)
# The cloud's own trouble: it may have done what was asked before it failed.
TROUBLE_CODES = frozenset({"InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable"})
SERVER_ERROR = 500

# Another type, or another subnet, may have what this one has not. Most of them come as a server error, although they
# tell for certain that nothing was launched.
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
# What the account may have at most: no other pool, and no waiting, mends it.
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
# Source: the common client errors of the page above; the first is what other AWS services say.
PAGE_CODES = frozenset({"InvalidNextToken", "InvalidPaginationToken", "InvalidParameterValue"})


def translated(error: SdkError, *, acting: bool = False) -> ProviderError:
    """An SDK error as the one of ours that says how to go on. What is unknown stops everything."""
    return _translated(error, _kind(error, acting=acting))


def refused_launch(error: SdkError) -> ProviderError:
    """The same for a launch: it has no items, but pools, a token and the account's quotas."""
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
    """The cloud's own code of an error; the exception's name where the cloud gave none."""
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
    """What tells too much is left out: an encoded authorisation message, for whoever may decode it, and an answer that
    cannot be read, which the SDK repeats whole after the first line, with everybody's tags.
    """
    code = code_of(error)
    if isinstance(error, ClientError):
        said = error.response.get("Error", {}).get("Message") or ""
        words = said.partition("Encoded authorization failure message")[0].strip()
        request_id: str = error.response.get("ResponseMetadata", {}).get("RequestId", "")
        message = f"{before}{code}: {words} (request {request_id or 'unknown'})"
        return kind(message, code=code, request_id=request_id)
    if isinstance(error, UNREADABLE):
        said = str(error).partition("\n")[0]
        return kind(f"the answer cannot be read: {code}: {said}", code=code)
    return kind(str(error), code=code)
