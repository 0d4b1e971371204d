"""The frozen list: every call that Curfew makes, by the client that may make it, and the guard that lets no other out.

What is not on the list is not sent, from whatever place in the code and in whatever mode. A new call is a new line
here, with its reason; the tests hold the list against the code, the roles, and every call that is made in a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import CurfewError, LedgerError, QueueError, RefusedError


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a service, by the names that the SDK and IAM have for them, and what it is wanted for."""

    service: str
    operation: str
    why: str

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a client is for: the calls that look, and those that change something outside this process.

    ``error`` is what a call raises that is neither; what the callers of this client take for a call that was not made.
    """

    name: str
    service: str
    reads: tuple[Call, ...] = ()
    changes: tuple[Call, ...] = ()
    error: type[CurfewError] = RefusedError


# Nothing but an order of `execute` ends anything; that of a person goes the same way.
ENDS = (
    Call("ec2", "TerminateInstances", "the action terminate"),
    Call("ec2", "StopInstances", "the action stop"),
    Call("ec2", "CancelSpotInstanceRequests", "a persistent one launches anew what is terminated"),
)
LAUNCHES = (Call("ec2", "RunInstances", "a fleet that somebody asked for, of a template"),)
LABELS = (Call("ec2", "CreateTags", "the end of a lease, for people to read; decides nothing"),)

ACT = Purpose(name="act", service="ec2", changes=(*ENDS, *LAUNCHES, *LABELS))
LOOK = Purpose(
    name="look",
    service="ec2",
    reads=(
        Call("ec2", "DescribeInstances", "to find, and to look again"),
        Call("ec2", "DescribeInstanceAttribute", "the protections that no listing carries"),
        Call("ec2", "DescribeSpotInstanceRequests", "whether one would launch anew"),
        Call("ec2", "DescribeRegions", "whether a region that somebody names is enabled"),
    ),
)
LEDGER = Purpose(
    name="ledger",
    service="dynamodb",
    reads=(
        Call("dynamodb", "GetItem", "the pause switch, a fleet, a plan"),
        Call("dynamodb", "BatchGetItem", "leases and first sights, a hundred at a time"),
        Call("dynamodb", "Query", "the audit, the verdicts of a plan, the fleets"),
    ),
    changes=(
        Call("dynamodb", "PutItem", "first sights, watermarks, plans, the pause switch"),
        Call("dynamodb", "UpdateItem", "the budget of a day, leases, what a launch brought"),
        Call("dynamodb", "TransactWriteItems", "the audit with its head, claims, verdicts"),
    ),
    error=LedgerError,
)
QUEUE = Purpose(
    name="queue",
    service="sqs",
    changes=(
        Call("sqs", "SendMessage", "work that outlasts a request; names an entry of the ledger"),
        Call("sqs", "SendMessageBatch", "the targets of a sweep, ten at a time"),
    ),
    error=QueueError,
)
PARAMETERS = Purpose(
    name="parameters",
    service="ssm",
    reads=(Call("ssm", "GetParameter", "the image of a fleet template"),),
)
ACCOUNT = Purpose(
    name="account",
    service="sts",
    reads=(Call("sts", "GetCallerIdentity", "the account that is swept"),),
)

LENDER = Purpose(
    name="lender",
    service="sts",
    changes=(Call("sts", "AssumeRole", "the rights of one call, in the account that it concerns"),),
)

SECRET = Purpose(
    name="secret",
    service="secretsmanager",
    reads=(Call("secretsmanager", "GetSecretValue", "the clouds.yaml of the OpenStack clouds"),),
)

ORGANIZATION = Purpose(
    name="organization",
    service="organizations",
    reads=(
        Call("organizations", "ListAccountsForParent", "the accounts of a unit"),
        Call("organizations", "ListOrganizationalUnitsForParent", "the units below a unit"),
    ),
)

PURPOSES = (ACT, LOOK, LEDGER, QUEUE, PARAMETERS, ACCOUNT, LENDER, SECRET, ORGANIZATION)
READS = tuple(call for purpose in PURPOSES for call in purpose.reads)
CHANGES = tuple(call for purpose in PURPOSES for call in purpose.changes)


def guard(client: Any, purpose: Purpose, *, own: str = "") -> None:
    """From now on the client refuses what its purpose does not list, before the request is built, signed or sent.

    With ``own``, a table, a queue or a secret, it also refuses whatever does not name that one, and that one alone. A
    signed address for somebody else to use counts as the call.

    The event is the first of every call, and one that the SDK documents; that others are not is no oversight.
    Sources: https://docs.aws.amazon.com/boto3/latest/guide/events.html
    https://github.com/boto/boto3/issues/4001
    """
    listed = {(call.service, call.operation) for call in (*purpose.reads, *purpose.changes)}

    def check(*, model: Any, params: Mapping[str, Any], **_: Any) -> None:
        service, operation = model.service_model.service_name, model.name
        if (service, operation) not in listed:
            raise purpose.error(
                f'{service}:{operation} is not among the calls of the client "{purpose.name}": '
                "it was not made; curfew/aws/allowed_calls.py has the list"
            )
        if own and (named := _named(params)) != {own}:
            there = ", ".join(sorted(map(str, named))) or "nothing"
            raise purpose.error(
                f'{service}:{operation} names {there}, and the client "{purpose.name}" is for {own} '
                "alone: it was not made"
            )

    client.meta.events.register_first("provide-client-params", check)


def _named(params: Mapping[str, Any]) -> set[Any]:
    """The tables, queues and secrets that the parameters of a call name, wherever they do."""
    named = {params[key] for key in ("TableName", "QueueUrl", "SecretId") if key in params}
    named.update(params.get("RequestItems", ()))
    for step in params.get("TransactItems", ()):
        named.update(one.get("TableName") for one in step.values())
    return named
