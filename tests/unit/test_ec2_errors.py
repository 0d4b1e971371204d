"""Curfew's reaction to each of EC2's errors."""

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

from curfew.aws.errors import CAPACITY_CODES, QUOTAS, SdkError, refused_launch, translated
from curfew.core.errors import (
    AmbiguousError,
    CapacityError,
    ItemError,
    MismatchError,
    ProtectedError,
    ProviderError,
    RefusedError,
    ThrottledError,
)


def answered(code: str, status: int = 400, message: str | None = "Words.") -> ClientError:
    body: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "req-1"},
    }
    return ClientError(body, "TerminateInstances")


NO_ANSWER: list[tuple[SdkError, type[ProviderError]]] = [
    (ReadTimeoutError(endpoint_url="https://ec2"), AmbiguousError),
    (ConnectTimeoutError(endpoint_url="https://ec2"), AmbiguousError),
    (EndpointConnectionError(endpoint_url="https://ec2"), AmbiguousError),
    (ResponseParserError("not XML"), AmbiguousError),
    (ValueError("Invalid timestamp"), AmbiguousError),
    (KeyError("InstanceId"), AmbiguousError),
    (NoCredentialsError(), RefusedError),
]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("OperationNotPermitted", 400, ProtectedError),
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
def test_error_response_maps_to_its_error_class(
    code: str, status: int, kind: type[ProviderError]
) -> None:
    error = translated(answered(code, status), acting=True)

    assert type(error) is kind
    assert (error.code, error.request_id) == (code, "req-1")


def test_forbidden_read_is_a_refusal() -> None:
    assert type(translated(answered("UnauthorizedOperation", 403))) is RefusedError


@pytest.mark.parametrize(
    ("error", "kind"),
    NO_ANSWER,
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_error_without_a_response_maps_to_its_error_class(
    error: SdkError, kind: type[ProviderError]
) -> None:
    for said in (translated(error, acting=True), refused_launch(error)):
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


class TestLaunch:
    @pytest.mark.parametrize("status", [400, 500, 503])
    @pytest.mark.parametrize("code", sorted(CAPACITY_CODES))
    def test_a_pool_without_capacity_is_certain_whatever_the_status(
        self, code: str, status: int
    ) -> None:
        error = refused_launch(answered(code, status))
        assert type(error) is CapacityError
        assert error.code == code

    @pytest.mark.parametrize(
        "code",
        [
            "InsufficientInstanceCapacity",
            "InsufficientHostCapacity",
            "InsufficientReservedInstanceCapacity",
            "InsufficientFreeAddressesInSubnet",
            "InsufficientCapacity",
            "Unsupported",
            "UnfulfillableCapacity",
            "SpotMaxPriceTooLow",
        ],
    )
    def test_error_that_another_pool_may_avoid_is_a_capacity_error(self, code: str) -> None:
        assert code in CAPACITY_CODES

    @pytest.mark.parametrize(
        "code", ["IdempotentParameterMismatch", "IdempotentInstanceTerminated"]
    )
    def test_a_token_that_was_used_is_a_mismatch(self, code: str) -> None:
        assert type(refused_launch(answered(code))) is MismatchError

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("VcpuLimitExceeded", "for vCPUs of running on-demand instances"),
            ("InstanceLimitExceeded", "for instances that run at the same time"),
            ("MaxSpotInstanceCountExceeded", "for Spot Instances"),
            ("MaxIOPSLimitExceeded", "for provisioned IOPS"),
            ("VolumeLimitExceeded", "for EBS storage"),
        ],
    )
    def test_a_quota_is_the_accounts_and_named(self, code: str, words: str) -> None:
        error = refused_launch(answered(code))

        assert type(error) is RefusedError
        assert error.code == code
        assert str(error).startswith("the account's quota is used up, in this region, ")
        assert words in str(error)

    def test_no_code_means_two_things(self) -> None:
        assert not CAPACITY_CODES & QUOTAS.keys()

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            ("RequestLimitExceeded", 503, ThrottledError),
            ("InternalError", 500, AmbiguousError),
            ("Unavailable", 503, AmbiguousError),
            ("NeverHeardOf", 500, AmbiguousError),
            ("NeverHeardOf", 400, RefusedError),
            ("InvalidAMIID.NotFound", 400, RefusedError),
            # A launch has no items to split: if IAM refuses it, it refuses all of it.
            ("UnauthorizedOperation", 403, RefusedError),
            ("OperationNotPermitted", 400, RefusedError),
        ],
    )
    def test_every_other_error_maps_to_its_error_class(
        self, code: str, status: int, kind: type[ProviderError]
    ) -> None:
        assert type(refused_launch(answered(code, status))) is kind

    def test_an_encoded_authorisation_message_is_left_out(self) -> None:
        words = "You are not authorized. Encoded authorization failure message: c2VjcmV0"
        said = str(refused_launch(answered("UnauthorizedOperation", 403, words)))
        assert "c2VjcmV0" not in said
        assert "You are not authorized." in said

    def test_capacity_code_outside_of_a_launch_is_ambiguous(self) -> None:
        error = answered("InsufficientInstanceCapacity", 500)
        assert type(translated(error, acting=True)) is AmbiguousError


def test_unreadable_response_is_not_quoted() -> None:
    error = ResponseParserError(
        "Unable to parse response (line 2), invalid XML:\nb'<value>kim</value>'"
    )

    assert "line 2" in str(translated(error))
    assert "kim" not in str(translated(error))
