"""The content of an error, and the description of an unexpected one."""

import pytest

from curfew.core.errors import ConflictError, ProviderError, RateLimitedError, unexpected


def fails_deep_inside() -> None:
    raise AttributeError("oops")


def test_a_conflict_says_what_and_when_it_may_be_tried_again() -> None:
    error = ConflictError("the fleet is being ended", retry_after=60)

    assert str(error) == "the fleet is being ended"
    assert error.retry_after == 60
    assert ConflictError("never").retry_after is None


def test_a_provider_error_keeps_the_clouds_code_and_what_its_support_asks_for() -> None:
    error = ProviderError("no", code="AuthFailure", request_id="r-1")

    assert (str(error), error.code, error.request_id) == ("no", "AuthFailure", "r-1")
    assert (ProviderError("no").code, ProviderError("no").request_id) == ("", "")


def test_rate_limited_call_is_late_only_if_it_says_so() -> None:
    early, late = RateLimitedError("in 3 seconds"), RateLimitedError("in 99 seconds", late=True)

    assert (str(early), early.late) == ("in 3 seconds", False)
    assert (str(late), late.late) == ("in 99 seconds", True)


def test_unexpected_error_names_the_innermost_code_location() -> None:
    with pytest.raises(AttributeError) as caught:
        fails_deep_inside()

    line = fails_deep_inside.__code__.co_firstlineno + 1
    assert unexpected(caught.value) == f"unexpected AttributeError: oops at {__file__}:{line}"


def test_unexpected_error_that_was_never_raised_has_no_location() -> None:
    assert unexpected(ValueError("odd")) == "unexpected ValueError: odd"
