"""STS for the stub: it lends whatever it is asked for, and writes down for what."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from curfew.aws import allowed_calls
from curfew.aws import session as sdk
from curfew.providers.ec2.scoped_credentials import Arns, Lender
from tests.builders import HERE, NOW
from tests.stub.wire import Fault, parameters, response

ROLES = "curfew"
EXTERNAL_ID = "between-two"
LATE = "2099-01-01T00:00:00Z"


@dataclass(slots=True)
class Bank:
    """``loans`` are the requests that were granted, in their order; ``account`` is whose the rights are."""

    account: str = HERE.account
    now: datetime = NOW
    takes: float = 0  # seconds for an answer
    loans: list[dict[str, str]] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    alone: Lock = field(default_factory=Lock)  # it answers one call at a time

    def lender(self, borrowed: Any) -> Lender:
        """The real lender, with clients that talk to this bank; ``borrowed`` is the session that signs with a loan."""
        return Lender(
            sts=self._client(sdk.session(HERE.region), allowed_calls.LENDER),
            proof=self._client(borrowed, allowed_calls.ACCOUNT),
            arns=Arns(partition="aws", target=HERE),
            roles=ROLES,
            external_id=EXTERNAL_ID,
            now=lambda: self.now,
        )

    @property
    def policies(self) -> list[dict[str, Any]]:
        """What each loan was for."""
        return [json.loads(loan["Policy"]) for loan in self.loans]

    def named(self, token: str) -> set[str]:
        """The ids that the loan with this session token is for."""
        policy = self.policies[int(token.removeprefix("loan-")) - 1]
        arns = [arn for one in policy["Statement"] for arn in one["Resource"]]
        return {arn.rpartition("/")[2] for arn in arns}

    def _client(self, session: Any, purpose: allowed_calls.Purpose) -> Any:
        config = Config(retries={"mode": "standard", "total_max_attempts": 1})
        client = session.create_client("sts", config=config)
        allowed_calls.guard(client, purpose)
        client.meta.events.register_first("before-send.sts", self._answer)
        return client

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        with self.alone:
            return self._answered(request)

    def _answered(self, request: AWSPreparedRequest) -> AWSResponse:
        asked = parameters(request)
        self.now += timedelta(seconds=self.takes)
        fault = self.faults.pop(0) if asked["Action"] == "AssumeRole" and self.faults else None
        if fault:
            if not fault.code:
                raise ReadTimeoutError(endpoint_url=request.url)
            said = f"<Error><Code>{fault.code}</Code><Message>made to fail</Message></Error>"
            return response(request, fault.status, f"<ErrorResponse>{said}</ErrorResponse>")
        if asked["Action"] == "GetCallerIdentity":
            return response(request, 200, _identity(self.account))
        self.loans.append(asked)
        return response(request, 200, _loan(asked, len(self.loans)))


def _loan(asked: dict[str, str], number: int) -> str:
    return (
        "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
        f"<AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        f"<SessionToken>loan-{number}</SessionToken><Expiration>{LATE}</Expiration></Credentials>"
        f"<AssumedRoleUser><Arn>{escape(asked['RoleArn'])}</Arn><AssumedRoleId>A:b</AssumedRoleId>"
        "</AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
    )


def _identity(account: str) -> str:
    return (
        "<GetCallerIdentityResponse><GetCallerIdentityResult>"
        f"<Arn>arn:aws:sts::{account}:assumed-role/curfew-act/x</Arn><UserId>x</UserId>"
        f"<Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
