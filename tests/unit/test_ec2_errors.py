"""What each of EC2's errors makes Curfew do next."""

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from curfew.core.errors import (
    AmbiguousError,
    ItemError,
    ProviderError,
    RefusedError,
    ThrottledError,
)
from curfew.providers.ec2_errors import SdkError, translated


def answered(code: str, status: int = 400, message: str | None = "Words.") -> ClientError:
    body: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "req-1"},
    }
    return ClientError(body, "TerminateInstances")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("OperationNotPermitted", 400, ItemError),
        ("InvalidInstanceID.NotFound", 400, ItemError),
        ("InvalidInstanceID.Malformed", 400, ItemError),
        ("IncorrectInstanceState", 400, ItemError),
        ("UnauthorizedOperation", 403, ItemError),
        ("RequestLimitExceeded", 503, ThrottledError),
        ("EC2ThrottledException", 503, ThrottledError),
        ("Throttling", 400, ThrottledError),
        ("InternalError", 500, AmbiguousError),
        ("Unavailable", 503, AmbiguousError),
        ("InternalFailure", 400, AmbiguousError),
        ("NeverHeardOf", 500, AmbiguousError),
        ("NeverHeardOf", 502, AmbiguousError),
        ("NeverHeardOf", 499, RefusedError),
        ("AuthFailure", 403, RefusedError),
        ("ExpiredToken", 403, RefusedError),
        ("OptInRequired", 403, RefusedError),
        ("", 400, RefusedError),
    ],
)
def test_an_answered_error_says_how_to_go_on(
    code: str, status: int, kind: type[ProviderError]
) -> None:
    error = translated(answered(code, status), acting=True)

    assert type(error) is kind
    assert (error.code, error.request_id) == (code, "req-1")


def test_a_look_that_is_not_allowed_concerns_everybody() -> None:
    assert type(translated(answered("UnauthorizedOperation", 403))) is RefusedError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ReadTimeoutError(endpoint_url="https://ec2"), AmbiguousError),
        (ConnectTimeoutError(endpoint_url="https://ec2"), AmbiguousError),
        (EndpointConnectionError(endpoint_url="https://ec2"), AmbiguousError),
        (ResponseParserError("not XML"), AmbiguousError),
        (ValueError("Invalid timestamp"), AmbiguousError),
        (KeyError("InstanceId"), AmbiguousError),
        (NoCredentialsError(), RefusedError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_an_error_without_an_answer_says_how_to_go_on(
    error: SdkError, kind: type[ProviderError]
) -> None:
    said = translated(error, acting=True)

    assert type(said) is kind
    assert said.code == type(error).__name__
    assert str(said)


def test_the_message_has_code_words_and_request() -> None:
    assert str(translated(answered("AuthFailure"))) == "AuthFailure: Words. (request req-1)"


def test_without_words_there_is_still_a_message() -> None:
    assert str(translated(answered("AuthFailure", message=None))) == "AuthFailure:  (request req-1)"


def test_an_encoded_authorisation_message_is_left_out() -> None:
    words = "You are not authorized. Encoded authorization failure message: c2VjcmV0"

    said = str(translated(answered("UnauthorizedOperation", 403, words)))

    assert "c2VjcmV0" not in said
    assert "You are not authorized." in said
