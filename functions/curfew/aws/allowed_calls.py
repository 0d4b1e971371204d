"""The allow-list: every AWS call that Curfew makes, by client. A client refuses every other call.

A call that is not on the list is never sent, from any code and in any mode. A new call needs a line here, with its
reason. The tests compare the list with the code, the IAM roles and every call that a test makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import CurfewError, LedgerError, QueueError, RefusedError


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a service, as the SDK and IAM name it, and why Curfew calls it."""

    service: str
    operation: str
    why: str

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientScope:
    """What a client may do: the calls that read, and the calls that change something outside of this process.

    Any other call raises ``error``, which the client's users handle as a call that was not made.
    """

    name: str
    service: str
    reads: tuple[Call, ...] = ()
    changes: tuple[Call, ...] = ()
    error: type[CurfewError] = RefusedError


# The only calls that end an instance. A caller who ends a fleet uses them, too.
ENDS = (
    Call("ec2", "TerminateInstances", "the action terminate"),
    Call("ec2", "StopInstances", "the action stop"),
    Call("ec2", "CancelSpotInstanceRequests", "a persistent one relaunches a terminated instance"),
)
LAUNCHES = (Call("ec2", "RunInstances", "the launch of a fleet, by a template"),)
LABELS = (Call("ec2", "CreateTags", "the end of a lease, only for people to read"),)

ACT = ClientScope(name="act", service="ec2", changes=(*ENDS, *LAUNCHES, *LABELS))
LOOK = ClientScope(
    name="look",
    service="ec2",
    reads=(
        Call("ec2", "DescribeInstances", "the listing and the re-check"),
        Call("ec2", "DescribeInstanceAttribute", "the protections that a listing does not contain"),
        Call("ec2", "DescribeSpotInstanceRequests", "whether a request would relaunch"),
        Call("ec2", "DescribeRegions", "whether a region is enabled"),
    ),
)
LEDGER = ClientScope(
    name="ledger",
    service="dynamodb",
    reads=(
        Call("dynamodb", "GetItem", "the pause switch, a fleet, a plan"),
        Call("dynamodb", "BatchGetItem", "leases and first-seen times, a hundred at a time"),
        Call("dynamodb", "Query", "the audit, the verdicts of a plan, the fleets"),
    ),
    changes=(
        Call("dynamodb", "PutItem", "first-seen times, watermarks, plans, the pause switch"),
        Call("dynamodb", "UpdateItem", "daily budgets, leases, launched instances"),
        Call("dynamodb", "TransactWriteItems", "audit entries with their head, attempts, verdicts"),
    ),
    error=LedgerError,
)
QUEUE = ClientScope(
    name="queue",
    service="sqs",
    changes=(
        Call("sqs", "SendMessage", "a job, which names an entry of the ledger"),
        Call("sqs", "SendMessageBatch", "the targets of a sweep, ten at a time"),
    ),
    error=QueueError,
)
PARAMETERS = ClientScope(
    name="parameters",
    service="ssm",
    reads=(Call("ssm", "GetParameter", "the image of a fleet template"),),
)
ACCOUNT = ClientScope(
    name="account",
    service="sts",
    reads=(Call("sts", "GetCallerIdentity", "the account of the credentials"),),
)

CREDENTIAL_BROKER = ClientScope(
    name="credential-broker",
    service="sts",
    changes=(Call("sts", "AssumeRole", "the rights of one call, in the call's account"),),
)

SECRET = ClientScope(
    name="secret",
    service="secretsmanager",
    reads=(Call("secretsmanager", "GetSecretValue", "the clouds.yaml of the OpenStack clouds"),),
)

ORGANIZATION = ClientScope(
    name="organization",
    service="organizations",
    reads=(
        Call("organizations", "ListAccountsForParent", "the accounts of a unit"),
        Call("organizations", "ListOrganizationalUnitsForParent", "the units below a unit"),
    ),
)

CLIENT_SCOPES = (
    ACT,
    LOOK,
    LEDGER,
    QUEUE,
    PARAMETERS,
    ACCOUNT,
    CREDENTIAL_BROKER,
    SECRET,
    ORGANIZATION,
)
READS = tuple(call for scope in CLIENT_SCOPES for call in scope.reads)
CHANGES = tuple(call for scope in CLIENT_SCOPES for call in scope.changes)


def restrict(client: Any, scope: ClientScope, *, own: str = "") -> None:
    """Make the client refuse every call that is not listed, before the request is built, signed or sent.

    With ``own``, a table, a queue or a secret, it also refuses a call that does not name that one, or names another.
    Presigning a URL counts as a call.

    The event used is documented and the first of every call; undocumented events may change.
    Sources: https://docs.aws.amazon.com/boto3/latest/guide/events.html
    https://github.com/boto/boto3/issues/4001
    """
    listed = {(call.service, call.operation) for call in (*scope.reads, *scope.changes)}

    def check(*, model: Any, params: Mapping[str, Any], **_: Any) -> None:
        service, operation = model.service_model.service_name, model.name
        if (service, operation) not in listed:
            raise scope.error(
                f'{service}:{operation} is not among the calls of the client "{scope.name}": '
                "it was not made; add it to curfew/aws/allowed_calls.py if it is needed"
            )
        if own and (named := _named(params)) != {own}:
            names = ", ".join(sorted(map(str, named))) or "nothing"
            raise scope.error(
                f'{service}:{operation} names {names}, but the client "{scope.name}" is only for {own}: '
                "it was not made"
            )

    client.meta.events.register_first("provide-client-params", check)


def _named(params: Mapping[str, Any]) -> set[Any]:
    """Return the tables, queues and secrets that the parameters of a call name."""
    named = {params[key] for key in ("TableName", "QueueUrl", "SecretId") if key in params}
    named.update(params.get("RequestItems", ()))
    for step in params.get("TransactItems", ()):
        named.update(one.get("TableName") for one in step.values())
    return named
