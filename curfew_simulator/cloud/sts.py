"""STS and its identities: accounts, roles, and the sessions that AssumeRole creates.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from . import iam
from .call import ApiCall
from .clock import Clock
from .protocols import ApiError, Message
from .rng import Rng

LONGEST_POLICY = 2_048
NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
ACCOUNT = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role and its policies. ``trusts`` is the ARN, with wildcards, of the principals that may assume it.

    If ``external_id`` is set, they have to send it. ``longest`` is the maximum duration of a session.
    """

    arn: str
    policies: tuple[iam.Policy, ...]
    trusts: str = "*"
    external_id: str = ""
    longest: timedelta = timedelta(hours=1)


class Identities:
    """The roles and sessions of one world."""

    def __init__(self, clock: Clock, rng: Rng, account: str) -> None:
        self.clock, self.chance, self.account = clock, rng, account
        self.roles: dict[str, Role] = {}
        self.sessions: dict[str, iam.Principal] = {}

    def of(self, message: Message) -> iam.Principal:
        """Return the principal that signed a request. Raise ApiError for an expired session or a wrong token.

        An unknown access key belongs to an administrator: of the account with that number, or else of the first one.
        """
        session = self.sessions.get(message.access_key)
        if session is None:
            key = message.access_key
            account = key if ACCOUNT.fullmatch(key) else self.account
            return iam.Principal(
                account=account, arn=f"arn:aws:iam::{account}:root", access_key=key
            )
        if session.token != message.token:
            raise _credentials(message.service, "token included in the request is invalid")
        if session.expires_at and session.expires_at <= self.clock.now():
            raise _credentials(message.service, "token included in the request is expired")
        return self._with_current_policies(session)

    def _with_current_policies(self, session: iam.Principal) -> iam.Principal:
        """Return a session with its role's present policies, since IAM evaluates them at each request.

        Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html
        """
        role = self.roles.get(session.role)
        if role is None or role.policies is session.policies:
            return session
        return replace(session, policies=role.policies)


def get_caller_identity(_identities: Identities, call: ApiCall) -> Mapping[str, Any]:
    """Return the caller's identity. No policy can deny this call."""
    me = call.principal
    return {"Arn": me.arn, "UserId": me.user_id or me.account, "Account": me.account}


def assume_role(identities: Identities, call: ApiCall) -> Mapping[str, Any]:
    """Create a session and return its credentials. It may do what both the role and its session policy allow."""
    arguments = call.arguments
    arn, name = arguments.get("RoleArn", ""), arguments.get("RoleSessionName", "")
    source = arguments.get("SourceIdentity", "") or call.principal.source_identity
    document = arguments.get("Policy")
    _fits("roleSessionName", name)
    if source:
        _fits("sourceIdentity", source)
    if document is not None and len(document) > LONGEST_POLICY:
        raise _invalid("policy", document, f"have length less than or equal to {LONGEST_POLICY}")
    call.principal.demand("sts:AssumeRole", arn, code="AccessDenied")
    role = identities.roles.get(arn)
    if role is None or not _trusted(role, call):
        said = f"User: {call.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise ApiError("AccessDenied", said, 403)
    session = _session(identities, role, call, source)
    identities.sessions[session.access_key] = session
    return {
        "Credentials": {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": identities.chance.id("secret", 32),
            "SessionToken": session.token,
            "Expiration": session.expires_at,
        },
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
        "PackedPolicySize": None if document is None else 100 * len(document) // LONGEST_POLICY,
        "SourceIdentity": source or None,
    }


OPERATIONS: Mapping[str, Callable[[Identities, ApiCall], Mapping[str, Any]]] = {
    "GetCallerIdentity": get_caller_identity,
    "AssumeRole": assume_role,
}


def _session(identities: Identities, role: Role, call: ApiCall, source: str) -> iam.Principal:
    account, _, role_name = role.arn.removeprefix("arn:aws:iam::").partition(":role/")
    document, name = call.arguments.get("Policy"), call.arguments["RoleSessionName"]
    try:
        session_policy = None if document is None else iam.policy(document)
    except (ValueError, KeyError, TypeError) as error:
        raise ApiError("MalformedPolicyDocument", f"Syntax errors in policy: {error}") from error
    unique = identities.chance.of("ids").getrandbits(64)
    return iam.Principal(
        account=account,
        arn=f"arn:aws:sts::{account}:assumed-role/{role_name.rpartition('/')[2]}/{name}",
        access_key=f"ASIA{unique:016X}",
        user_id=f"{_role_id(role)}:{name}",
        token=identities.chance.id("token", 64),
        role=role.arn,
        policies=role.policies,
        session_policy=session_policy,
        source_identity=source,
        expires_at=identities.clock.now() + _duration(role, call),
    )


def _role_id(role: Role) -> str:
    return f"AROA{zlib.crc32(role.arn.encode()):016X}"


def _duration(role: Role, call: ApiCall) -> timedelta:
    seconds = int(call.arguments.get("DurationSeconds", 3_600))
    chained = call.principal.expires_at is not None
    longest = timedelta(hours=1) if chained else role.longest
    if seconds < 900:
        raise _invalid("durationSeconds", str(seconds), "have value greater than or equal to 900")
    if timedelta(seconds=seconds) > longest:
        said = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        if chained:
            said = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        raise ApiError("ValidationError", said)
    return timedelta(seconds=seconds)


def _trusted(role: Role, call: ApiCall) -> bool:
    right_id = not role.external_id or call.arguments.get("ExternalId") == role.external_id
    return right_id and bool(iam.pattern(role.trusts).fullmatch(call.principal.arn))


def _fits(what: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise _invalid(what, name, r"satisfy regular expression pattern: [\w+=,.@-]{2,64}")


def _invalid(what: str, value: str, must: str) -> ApiError:
    said = f"1 validation error detected: Value '{value}' at '{what}' failed to satisfy constraint: Member must {must}"
    return ApiError("ValidationError", said)


def _credentials(service: str, what: str) -> ApiError:
    """Return the error for invalid or expired credentials, which differs between services."""
    expired = what.endswith("expired")
    match service:
        case "ec2":
            code, status = ("RequestExpired", 400) if expired else ("AuthFailure", 401)
        case "dynamodb":
            code = "ExpiredTokenException" if expired else "UnrecognizedClientException"
            status = 400
        case _:
            code, status = ("ExpiredToken" if expired else "InvalidClientTokenId"), 403
    return ApiError(code, f"The security {what}", status)
