"""The IAM roles that Curfew assumes, and the session that reads another account.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import re
from typing import TYPE_CHECKING, Any

from botocore.credentials import DeferredRefreshableCredentials
from botocore.session import Session

from . import session

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient

LONGEST_NAME = 64  # characters of a session name, AssumeRole's limit
_UNFIT = re.compile(r"[^\w+=,.@-]", re.ASCII)


def role_arn(partition: str, account: str, roles: str, kind: str) -> str:
    """Return the ARN of a role in an account; ``kind`` is read, act or launch."""
    return f"arn:{partition}:iam::{account}:role/{roles}-{kind}"


def session_name(by: str) -> str:
    """Return the session name, by which CloudTrail's events can be joined with the ledger."""
    return f"curfew-{_UNFIT.sub('-', by)}"[:LONGEST_NAME]


def reading(
    sts: "STSClient", region: str, *, partition: str, account: str, roles: str, external_id: str
) -> Session:
    """Return a session that reads another account; its credentials are renewed before they expire."""
    more: Any = {"ExternalId": external_id} if external_id else {}

    def renewed() -> dict[str, Any]:
        credentials = sts.assume_role(
            RoleArn=role_arn(partition, account, roles, "read"),
            RoleSessionName=session_name("read"),
            SourceIdentity=session_name("read"),
            **more,
        )["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }

    return session.session(region, DeferredRefreshableCredentials(renewed, method="curfew-read"))
