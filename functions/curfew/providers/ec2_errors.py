"""EC2's errors in our words: what to do next hangs on which kind it is."""

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from ..core.errors import AmbiguousError, ItemError, ProviderError, RefusedError, ThrottledError

type SdkError = (
    ClientError | BotoCoreError | ResponseParserError | ValueError | LookupError | TypeError
)
# The last three are what an answer raises that is not as the API says: a time that is none, a member that is missing.
SDK_ERRORS = (
    ClientError, BotoCoreError, ResponseParserError, ValueError, LookupError, TypeError,
)  # fmt: skip
NO_ANSWER = (HTTPClientError, NoConnectionError)
UNREADABLE = (ResponseParserError, ValueError, LookupError, TypeError)

# Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
ITEM_CODES = frozenset(
    {
        "OperationNotPermitted",
        "InvalidInstanceID.NotFound",
        "InvalidInstanceID.Malformed",
        "IncorrectInstanceState",
        # IAM judges each instance of the batch: one that is denied refuses them all.
        "UnauthorizedOperation",
    }
)
THROTTLE_CODES = frozenset(
    {
        "RequestLimitExceeded",
        "EC2ThrottledException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
    }
)
# The cloud's own trouble: it may have done what was asked before it failed.
TROUBLE_CODES = frozenset({"InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable"})
SERVER_ERROR = 500


def translated(error: SdkError, *, acting: bool = False) -> ProviderError:
    """An SDK error as the one of ours that says how to go on. What is unknown stops everything.

    An encoded authorisation message is left out: it tells privileged detail to whoever may decode it.
    """
    if isinstance(error, ClientError):
        body = error.response.get("Error", {})
        metadata = error.response.get("ResponseMetadata", {})
        code, request_id = body.get("Code", ""), metadata.get("RequestId", "")
        words = (body.get("Message") or "").partition("Encoded authorization failure message")[0]
        message = f"{code}: {words.strip()} (request {request_id or 'unknown'})"
        kind: type[ProviderError] = RefusedError
        if code in THROTTLE_CODES:
            kind = ThrottledError
        elif code in TROUBLE_CODES or metadata.get("HTTPStatusCode", 0) >= SERVER_ERROR:
            kind = AmbiguousError
        elif code in ITEM_CODES and (acting or code != "UnauthorizedOperation"):
            kind = ItemError
        return kind(message, code=code, request_id=request_id)
    if isinstance(error, UNREADABLE):
        message = f"the answer cannot be read: {type(error).__name__}: {error}"
        return AmbiguousError(message, code=type(error).__name__)
    if isinstance(error, NO_ANSWER):
        return AmbiguousError(str(error), code=type(error).__name__)
    return RefusedError(str(error), code=type(error).__name__)
