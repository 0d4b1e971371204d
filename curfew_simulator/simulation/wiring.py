"""What an application needs of AWS in a world: the providers of its regions, and its roles."""

from collections.abc import Callable
from datetime import datetime

from curfew.aws.roles import role_arn
from curfew.core.target import Target
from curfew.providers.ec2.provider import Ec2Provider
from curfew.providers.ec2.scoped_credentials import Arns, CredentialBroker

from ..cloud.world import ACCOUNT, World
from .clients import clients

ROLES, EXTERNAL_ID = "curfew", "between-two"
GRANTED = {
    "act": [
        "ec2:TerminateInstances", "ec2:StopInstances", "ec2:CancelSpotInstanceRequests", "ec2:CreateTags",
    ],
    "launch": ["ec2:RunInstances", "ec2:CreateTags"],
}  # fmt: skip


def provider(region: str, now: Callable[[], datetime]) -> Ec2Provider:
    """The provider of a region, with scoped credentials."""
    target = Target(provider="ec2", account=ACCOUNT, region=region)
    broker = CredentialBroker(
        sts=clients().broker,
        verifier=clients().verifier,
        arns=Arns(partition="aws", target=target),
        roles=ROLES,
        external_id=EXTERNAL_ID,
        now=now,
    )
    return Ec2Provider(
        target=target, read=clients().read[region], act=lambda: clients().act[region], broker=broker
    )


def grant_roles(world: World) -> None:
    """The roles, as spoke.yaml has them, but for what it denies: Curfew's own safeguards have to hold without."""
    trusted = {"trusts": "*", "external_id": EXTERNAL_ID}
    for kind, actions in GRANTED.items():
        allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [allowed]}
        world.role(role_arn("aws", ACCOUNT, ROLES, kind), policy, **trusted)
