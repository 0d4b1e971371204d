"""The fleets of the demo: the tutorial's pair and a dozen other instances, each of which shows one rule.

The demo creates them through the API, as users do, each at its own time: it sets back the clock from which moto takes
the time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import time_machine

from curfew import bootstrap
from curfew.config.settings import Settings
from curfew.core.target import Mode
from curfew.fleets import launcher
from curfew.ledger.records import Key
from curfew.orchestration.launches import fleet_spec

REGION = "eu-central-1"
TABLE = "curfew-ledger"
IMAGE = "ami-08111162"
LONG_AGO = timedelta(hours=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """One or more equal instances beside the tutorial's pair. Those with tags have a Name tag as well."""

    name: str
    tags: dict[str, str]
    zone: str = "a"
    age: timedelta = LONG_AGO
    count: int = 1


OTHERS = (
    Other(name="forgotten", tags={"env": "dev", "owner": "kim"}, zone="b", count=3),
    Other(name="kept-by-tag", tags={"env": "dev", "owner": "kim", "Curfew:Keep": "until friday"}),
    Other(name="termination-protected", tags={"env": "sandbox", "owner": "ali"}),
    Other(name="stop-protected", tags={"env": "sandbox", "owner": "ali"}, zone="b"),
    Other(name="just-started", tags={"env": "dev", "owner": "ali"}, age=timedelta(minutes=4)),
    Other(name="stopped", tags={"env": "dev", "owner": "kim"}),
    Other(name="production", tags={"env": "prod", "owner": "web"}, count=2),
    Other(name="untagged", tags={}, count=2),
)


def build() -> None:
    """Create the ledger's table and every fleet. Requires active moto."""
    make_table()
    ec2 = boto3.client("ec2", REGION)
    now = datetime.now(UTC)
    with time_machine.travel(now - LONG_AGO):
        _tutorial()
        _group(ec2)
    for other in OTHERS:
        with time_machine.travel(now - other.age):
            ids = _launched(ec2, other)
        match other.name:
            case "termination-protected":
                ec2.modify_instance_attribute(
                    InstanceId=ids[0], DisableApiTermination={"Value": True}
                )
            case "stop-protected":
                ec2.modify_instance_attribute(InstanceId=ids[0], DisableApiStop={"Value": True})
            case "stopped":
                ec2.stop_instances(InstanceIds=ids)


def _tutorial() -> None:
    """Launch a pair from the policy file's template with Curfew, with the template's default lease of eight hours."""
    app = bootstrap.build(
        Settings(
            region=REGION,
            mode=Mode.ACT,
            table=TABLE,
            roles="curfew",
            external_id="curfew",
            rate_percent=100,  # nothing else calls this cloud
        )
    )
    now, provider = app.now(), app.provider(REGION)
    spec = fleet_spec(
        app,
        "t2-pair",
        name="tutorial",
        owner="demo",
        expires_at=now + app.policies.fleet("t2-pair").ttl.default,
        key=Key(scope="demo", body="demo"),
    )
    begun = app.fleets(provider, app.clock()).begin(spec)
    launcher.continue_launch(
        begun, worker="demo", provider=provider, ledger=app.ledger, clock=app.clock()
    )


def _launched(ec2: Any, other: Other) -> list[str]:
    """Launch instances without Curfew, with the given tags or none, and return their ids."""
    named = {"Name": other.name, **other.tags} if other.tags else {}
    tags = [{"Key": key, "Value": value} for key, value in named.items()]
    tagged = {"TagSpecifications": [{"ResourceType": "instance", "Tags": tags}]} if tags else {}
    answer = ec2.run_instances(
        ImageId=IMAGE,
        InstanceType="t3.small",
        MinCount=other.count,
        MaxCount=other.count,
        Placement={"AvailabilityZone": f"{REGION}{other.zone}"},
        **tagged,
    )
    return [instance["InstanceId"] for instance in answer["Instances"]]


def make_table() -> None:
    """Create the ledger's table with the key schema of template.yaml."""
    boto3.client("dynamodb", REGION).create_table(
        TableName=TABLE,
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def _group(ec2: Any) -> None:
    groups = boto3.client("autoscaling", REGION)
    subnet = ec2.describe_subnets(
        Filters=[{"Name": "availability-zone", "Values": [f"{REGION}c"]}]
    )["Subnets"][0]["SubnetId"]
    groups.create_launch_configuration(
        LaunchConfigurationName="workers", ImageId=IMAGE, InstanceType="t3.small"
    )
    groups.create_auto_scaling_group(
        AutoScalingGroupName="workers",
        LaunchConfigurationName="workers",
        MinSize=2,
        MaxSize=2,
        VPCZoneIdentifier=subnet,
        Tags=[
            {"Key": key, "Value": value, "PropagateAtLaunch": True}
            for key, value in (("Name", "worker"), ("env", "dev"), ("owner", "kim"))
        ],
    )
