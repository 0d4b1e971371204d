"""Who asks: what API Gateway has checked, and nothing that the request says of itself.

A caller of IAM is known by its ARN, a token's by ``issuer#subject``: an issuer is an https address without a ``#``, so
that neither can be taken for the other, nor for the subject of another issuer.
"""

from collections.abc import Mapping
from typing import Any

from ...config.settings import Settings
from ...core.access import Caller, is_administrator

# `sam local start-api` asks nobody who they are, and the cloud behind it is an emulator.
LOCAL = Caller(id="local", administrator=True)


def caller_of(event: Mapping[str, Any], settings: Settings) -> Caller | None:
    """The caller of a request; nobody if API Gateway did not say who it is."""
    authorizer = _within(_within(event, "requestContext"), "authorizer")
    if arn := _text(_within(authorizer, "iam"), "userArn"):
        return Caller(id=arn, administrator=is_administrator(arn, settings.administrators))
    claims = _within(_within(authorizer, "jwt"), "claims")
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if issuer and subject:
        return _by_token(issuer, subject, settings.administrators)
    return LOCAL if settings.local else None


def _by_token(issuer: str, subject: str, administrators: frozenset[str]) -> Caller:
    """A subject may be named alone, since a stack has one issuer; but none passes for an ARN that is named."""
    id_ = f"{issuer}#{subject}"
    named = id_ in administrators
    return Caller(
        id=id_,
        administrator=named or (subject in administrators and not subject.startswith("arn:")),
    )


def _within(there: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = there.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(there: Mapping[str, Any], key: str) -> str:
    value = there.get(key)
    return value if isinstance(value, str) else ""
