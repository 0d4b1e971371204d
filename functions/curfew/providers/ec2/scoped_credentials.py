"""*act*: the right to change something on EC2, borrowed for one call and for nothing that the call does not name.

The functions hold no such right themselves. Each call borrows it from a role of the account that it concerns, cut down
by a policy that names exactly what the call is about; and the client that acts can sign nothing outside a loan.
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
from ..base import Launch

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient

# As many characters as AssumeRole takes of a policy.
LONGEST_POLICY = 2_048
# The shortest there is: a loan is for one call.
SECONDS = 900
MANY_GROUPS = 5  # as many as EC2 takes where nobody has asked for more
# It may take so long to borrow; what was seen before that is too old for an order then.
LENDING = timedelta(seconds=20)
_LOAN: ContextVar[ReadOnlyCredentials | None] = ContextVar("loan", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a loan is for: the kind of role, the statements of its policy, and on whose behalf it is."""

    role: str
    statements: tuple[dict[str, Any], ...]
    by: str

    @property
    def policy(self) -> str:
        """The session policy. Raises RefusedError if it is longer than one may be: none is sent without."""
        document = {"Version": "2012-10-17", "Statement": list(self.statements)}
        text = json.dumps(document, separators=(",", ":"))
        if len(text) > LONGEST_POLICY:
            raise RefusedError(
                f"the session policy would have {len(text)} characters, more than {LONGEST_POLICY}: nothing is done"
            )
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Arns:
    """The names of EC2's resources in one account and region; with ``short`` names, anywhere in the role's account."""

    partition: str
    target: Target
    short: bool = False

    def of(self, kind: str, *ids: str) -> list[str]:
        """The ARN of each, in the order of the ids."""
        where = "*:*" if self.short else f"{self.target.region}:{self.target.account}"
        place = f"arn:{self.partition}:ec2:{where}"
        return [f"{place}:{kind}/{id_}" for id_ in sorted(ids)]

    def image(self, id_: str) -> str:
        """An image's, which names no account."""
        return f"arn:{self.partition}:ec2:{self.target.region}::image/{id_}"


def about(arns: Arns, action: str, ids: Sequence[str], *, by: str) -> Errand:
    """One action on these instances and on no others."""
    return Errand(role="act", statements=(_allow(action, arns.of("instance", *ids)),), by=by)


def cancelling(arns: Arns, ids: Sequence[str], *, by: str) -> Errand:
    """The end of these Spot requests."""
    named = arns.of("spot-instances-request", *ids)
    return Errand(role="act", statements=(_allow("ec2:CancelSpotInstanceRequests", named),), by=by)


def launching(arns: Arns, launch: Launch, *, by: str) -> Errand:
    """One launch: what it uses by name, and what is yet to be born by its kind, tagged as it is born.

    With many security groups the names are too long for a policy: then without region and account, which the role and
    the client have as well. Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html
    """
    born = ["instance", "volume", "network-interface", *(["spot-instances-request"] * launch.spot)]
    made = [arn for kind in born for arn in arns.of(kind, "*")]
    if not arns.short and len(launch.security_groups) > MANY_GROUPS:
        return launching(replace(arns, short=True), launch, by=by)
    # Without a name, the account's default is used: nobody knows its id beforehand.
    subnets = arns.of("subnet", launch.subnet or "*")
    groups = arns.of("security-group", *(launch.security_groups or ("*",)))
    used = [arns.image(launch.image), f"arn:{arns.partition}:ec2:{arns.target.region}::snapshot/*"]
    used += [*subnets, *groups, *(arns.of("key-pair", launch.key) if launch.key else [])]
    statements = [
        _allow("ec2:RunInstances", [*made, *used]),
        _allow("ec2:CreateTags", made)
        | {"Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
    ]
    if launch.profile:
        # Which role a profile has is the act role's to know: it may pass one and no other.
        statements.append(
            _allow("iam:PassRole", ["*"])
            | {"Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}
        )
    return Errand(role="launch", statements=tuple(statements), by=by)


class Lender:
    """Borrows from the roles of one account, for one call at a time.

    ``roles`` is what the names of the roles begin with; ``proof`` is a client that signs with what was borrowed, and
    says whose that is.
    """

    def __init__(
        self,
        *,
        sts: "STSClient",
        proof: "STSClient",
        arns: Arns,
        roles: str,
        external_id: str,
        now: Callable[[], datetime],
    ) -> None:
        self.arns = arns
        self._now = now
        self._sts = sts
        self._proof = proof
        self._roles = roles
        self._external_id = external_id

    @contextmanager
    def loan(self, errand: Errand) -> Iterator[None]:
        """Whatever an acting client signs inside has the rights of the errand, in this thread.

        Raises RefusedError if the role is refused, or belongs to another account than it should; ThrottledError if
        there was no answer, or none in time: nothing was done then, and it may be tried again. The order rests on a
        look that was taken before.
        """
        asked_at = self._now()
        try:
            held = self._borrowed(errand)
            with holding(held):
                account = self._proof.get_caller_identity()["Account"]
        except SDK_ERRORS as error:
            raise _unlent(translated(error)) from error
        planned = self.arns.target.account
        if account != planned:
            raise RefusedError(
                f"the role {self._role(errand)} gave rights in the account {account}, and not in {planned}: "
                "nothing is done"
            )
        if self._now() - asked_at > LENDING:
            raise ThrottledError("no right could be borrowed in time: nothing was done")
        with holding(held):
            yield

    def _borrowed(self, errand: Errand) -> ReadOnlyCredentials:
        name = session_name(errand.by)
        more: Any = {"ExternalId": self._external_id} if self._external_id else {}
        lent = self._sts.assume_role(
            RoleArn=self._role(errand),
            RoleSessionName=name,
            SourceIdentity=name,
            DurationSeconds=SECONDS,
            Policy=errand.policy,
            **more,
        )["Credentials"]
        return ReadOnlyCredentials(
            lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"], None
        )

    def _role(self, errand: Errand) -> str:
        return role_arn(self.arns.partition, self.arns.target.account, self._roles, errand.role)


@contextmanager
def holding(credentials: ReadOnlyCredentials) -> Iterator[None]:
    """In this thread, and inside, whoever borrows has these credentials."""
    before = _LOAN.set(credentials)
    try:
        yield
    finally:
        _LOAN.reset(before)


def borrowing(region: str) -> Session:
    """A session whose clients sign with what is on loan at the moment, and refuse to sign at any other."""
    return session.session(region, _Borrowed())


class _Borrowed(Credentials):
    """Credentials that are there for the time of a loan."""

    def __init__(self) -> None:
        super().__init__("on-loan", "on-loan")

    @override
    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        loan = _LOAN.get()
        if loan is None:
            raise RefusedError("nothing is on loan: the call was not signed")
        return loan


def _allow(action: str, resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resources}


def _unlent(error: ProviderError) -> ProviderError:
    words = f"no right could be borrowed: {error}"
    # Whatever became of the question, nothing was ordered yet.
    kind = ThrottledError if isinstance(error, AmbiguousError) else type(error)
    return kind(words, code=error.code, request_id=error.request_id)
