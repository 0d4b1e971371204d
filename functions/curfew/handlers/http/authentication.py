"""Reads the caller of a request: only what API Gateway has checked counts, not what the request claims.

The id of an IAM principal is its ARN, the id of a token's subject is ``issuer#subject``. An issuer is an https address
without a ``#``, so that no id can be mistaken for one of the other kind, nor for a subject of another issuer.
"""

from collections.abc import Mapping
from typing import Any

from ...config.settings import Settings
from ...core.access import Caller, is_administrator

# `sam local start-api` authenticates no caller, and the cloud behind it is an emulator.
LOCAL = Caller(id="local", administrator=True)


def caller_of(event: Mapping[str, Any], settings: Settings) -> Caller | None:
    """Return the caller of a request, or None if API Gateway has not authenticated one."""
    authorizer = _within(_within(event, "requestContext"), "authorizer")
    if arn := _text(_within(authorizer, "iam"), "userArn"):
        return Caller(id=arn, administrator=is_administrator(arn, settings.administrators))
    claims = _within(_within(authorizer, "jwt"), "claims")
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if issuer and subject:
        return _by_token(issuer, subject, settings.administrators)
    return LOCAL if settings.local else None


def _by_token(issuer: str, subject: str, administrators: frozenset[str]) -> Caller:
    """Return the caller of a token.

    Since a stack has one issuer, an administrator may be named by the subject alone, unless it looks like an ARN.
    """
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
