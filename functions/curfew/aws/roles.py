"""The roles that Curfew assumes, by name, and the session that reads another account.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import re
from typing import TYPE_CHECKING, Any

from botocore.credentials import DeferredRefreshableCredentials
from botocore.session import Session

from . import session

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient

LONGEST_NAME = 64  # as many characters as AssumeRole takes of a session name
_UNFIT = re.compile(r"[^\w+=,.@-]", re.ASCII)


def role_arn(partition: str, account: str, roles: str, kind: str) -> str:
    """The role of a kind in an account: read, act or launch."""
    return f"arn:{partition}:iam::{account}:role/{roles}-{kind}"


def session_name(by: str) -> str:
    """A name for the session of a loan, by which CloudTrail can be joined to the ledger."""
    return f"curfew-{_UNFIT.sub('-', by)}"[:LONGEST_NAME]


def reading(
    sts: "STSClient", region: str, *, partition: str, account: str, roles: str, external_id: str
) -> Session:
    """A session whose clients read another account, as long as they like: what they sign with is renewed in time."""
    more: Any = {"ExternalId": external_id} if external_id else {}

    def renewed() -> dict[str, Any]:
        lent = sts.assume_role(
            RoleArn=role_arn(partition, account, roles, "read"),
            RoleSessionName=session_name("read"),
            SourceIdentity=session_name("read"),
            **more,
        )["Credentials"]
        return {
            "access_key": lent["AccessKeyId"],
            "secret_key": lent["SecretAccessKey"],
            "token": lent["SessionToken"],
            "expiry_time": lent["Expiration"].isoformat(),
        }

    return session.session(region, DeferredRefreshableCredentials(renewed, method="curfew-read"))
