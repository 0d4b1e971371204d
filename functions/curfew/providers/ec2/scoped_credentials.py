"""*act*: credentials for one changing call on EC2, limited to the resources that the call names.

Curfew's Lambda functions have no right to change anything. For each call, Curfew assumes a role of the call's account
with a session policy that names exactly the call's resources. Without such credentials, the act client cannot sign.
Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, override

from botocore.credentials import (
    Credentials,
    ReadOnlyCredentials,
)
from botocore.session import Session

from ...aws import session
from ...aws.errors import SDK_ERRORS, translated
from ...aws.roles import role_arn, session_name
from ...core.errors import AmbiguousError, ProviderError, RefusedError, ThrottledError
from ...core.target import Target
from ..base import LaunchCall

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient

# Characters of a session policy, AssumeRole's limit.
LONGEST_POLICY = 2_048
# The shortest duration that AssumeRole accepts: the credentials are for one call.
SECONDS = 900
MANY_GROUPS = 5  # EC2's default quota of security groups
# If it takes longer to get credentials, the re-check before the call is too old.
MAX_BORROWING = timedelta(seconds=20)
_ACTIVE: ContextVar[ReadOnlyCredentials | None] = ContextVar("active_credentials", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedCall:
    """What the credentials are for: the kind of role, the statements of the session policy, the sweep or launch id."""

    role: str
    statements: tuple[dict[str, Any], ...]
    by: str

    @property
    def policy(self) -> str:
        """The session policy. Raises RefusedError if it is too long: no role is assumed without a policy."""
        document = {"Version": "2012-10-17", "Statement": list(self.statements)}
        text = json.dumps(document, separators=(",", ":"))
        if len(text) > LONGEST_POLICY:
            raise RefusedError(
                f"the session policy has {len(text)} characters, more than {LONGEST_POLICY}: no call was made"
            )
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Arns:
    """Makes the ARNs of EC2's resources in one account and region; with ``short``, without account and region."""

    partition: str
    target: Target
    short: bool = False

    def of(self, kind: str, *ids: str) -> list[str]:
        """Return the ARN of each id, in the order of the ids."""
        where = "*:*" if self.short else f"{self.target.region}:{self.target.account}"
        place = f"arn:{self.partition}:ec2:{where}"
        return [f"{place}:{kind}/{id_}" for id_ in sorted(ids)]

    def image(self, id_: str) -> str:
        """Return the ARN of an image, which has no account."""
        return f"arn:{self.partition}:ec2:{self.target.region}::image/{id_}"


def for_instances(arns: Arns, action: str, ids: Sequence[str], *, by: str) -> ScopedCall:
    """Return the scope for one action on these instances."""
    return ScopedCall(role="act", statements=(_allow(action, arns.of("instance", *ids)),), by=by)


def for_spot_requests(arns: Arns, ids: Sequence[str], *, by: str) -> ScopedCall:
    """Return the scope for cancelling these Spot requests."""
    named = arns.of("spot-instances-request", *ids)
    return ScopedCall(
        role="act", statements=(_allow("ec2:CancelSpotInstanceRequests", named),), by=by
    )


def for_launch(arns: Arns, launch: LaunchCall, *, by: str) -> ScopedCall:
    """Return the scope for one launch: the resources it uses by name, those it creates by type, with their tags.

    With many security groups, the ARNs are too long for a policy; they are then written without region and account,
    to which role and client are limited anyway.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html
    """
    types = ["instance", "volume", "network-interface", *(["spot-instances-request"] * launch.spot)]
    created = [arn for type_ in types for arn in arns.of(type_, "*")]
    if not arns.short and len(launch.security_groups) > MANY_GROUPS:
        return for_launch(replace(arns, short=True), launch, by=by)
    # Without a name, EC2 uses the account's default, whose id is not known beforehand.
    subnets = arns.of("subnet", launch.subnet or "*")
    groups = arns.of("security-group", *(launch.security_groups or ("*",)))
    used = [arns.image(launch.image), f"arn:{arns.partition}:ec2:{arns.target.region}::snapshot/*"]
    used += [*subnets, *groups, *(arns.of("key-pair", launch.key) if launch.key else [])]
    statements = [
        _allow("ec2:RunInstances", [*created, *used]),
        _allow("ec2:CreateTags", created)
        | {"Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
    ]
    if launch.profile:
        # The launch role's own policy limits which role it may pass.
        statements.append(
            _allow("iam:PassRole", ["*"])
            | {"Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}
        )
    return ScopedCall(role="launch", statements=tuple(statements), by=by)


class CredentialBroker:
    """Assumes the roles of one account, for one call at a time.

    ``roles`` is the name prefix of the roles; ``verifier`` is a client that signs with the scoped credentials and
    returns their account.
    """

    def __init__(
        self,
        *,
        sts: "STSClient",
        verifier: "STSClient",
        arns: Arns,
        roles: str,
        external_id: str,
        now: Callable[[], datetime],
    ) -> None:
        self.arns = arns
        self._now = now
        self._sts = sts
        self._verifier = verifier
        self._roles = roles
        self._external_id = external_id

    @contextmanager
    def scoped_credentials(self, call: ScopedCall) -> Iterator[None]:
        """Make the act client sign with credentials of this scope inside the context, in this thread.

        Raises RefusedError if the role cannot be assumed or belongs to another account; ThrottledError if STS did not
        answer in time: no call was made then, and it may be tried again after another re-check.
        """
        asked_at = self._now()
        try:
            credentials = self._assume_role(call)
            with active_credentials(credentials):
                account = self._verifier.get_caller_identity()["Account"]
        except SDK_ERRORS as error:
            raise _not_borrowed(translated(error)) from error
        expected = self.arns.target.account
        if account != expected:
            raise RefusedError(
                f"the role {self._role(call)} has credentials of the account {account}, not of {expected}: "
                "no call was made"
            )
        if self._now() - asked_at > MAX_BORROWING:
            raise ThrottledError("no scoped credentials in time: no call was made")
        with active_credentials(credentials):
            yield

    def _assume_role(self, call: ScopedCall) -> ReadOnlyCredentials:
        name = session_name(call.by)
        more: Any = {"ExternalId": self._external_id} if self._external_id else {}
        credentials = self._sts.assume_role(
            RoleArn=self._role(call),
            RoleSessionName=name,
            SourceIdentity=name,
            DurationSeconds=SECONDS,
            Policy=call.policy,
            **more,
        )["Credentials"]
        return ReadOnlyCredentials(
            credentials["AccessKeyId"],
            credentials["SecretAccessKey"],
            credentials["SessionToken"],
            None,
        )

    def _role(self, call: ScopedCall) -> str:
        return role_arn(self.arns.partition, self.arns.target.account, self._roles, call.role)


@contextmanager
def active_credentials(credentials: ReadOnlyCredentials) -> Iterator[None]:
    """Make these the active credentials of this thread inside the context."""
    before = _ACTIVE.set(credentials)
    try:
        yield
    finally:
        _ACTIVE.reset(before)


def scoped_session(region: str) -> Session:
    """Return a session whose clients sign with the active scoped credentials, and refuse to sign without any."""
    return session.session(region, _ScopedCredentials())


class _ScopedCredentials(Credentials):
    """The active scoped credentials of the thread."""

    def __init__(self) -> None:
        super().__init__("scoped", "scoped")

    @override
    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        active = _ACTIVE.get()
        if active is None:
            raise RefusedError("call not signed: no scoped credentials are active in this thread")
        return active


def _allow(action: str, resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resources}


def _not_borrowed(error: ProviderError) -> ProviderError:
    words = f"no scoped credentials: {error}"
    # Even if AssumeRole's result is unknown, the changing call was not made.
    kind = ThrottledError if isinstance(error, AmbiguousError) else type(error)
    return kind(words, code=error.code, request_id=error.request_id)
