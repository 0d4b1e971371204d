"""Every answer is one that the SDK can read, by either transport, and nothing in it is unknown to the SDK's model."""

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from curfew_simulator.cloud import autoscaling, sts
from curfew_simulator.cloud.dynamodb import operations as dynamodb
from curfew_simulator.cloud.ec2 import operations as ec2
from curfew_simulator.cloud.ec2.region import Region
from curfew_simulator.cloud.server import Server
from curfew_simulator.cloud.world import ACCOUNT, World
from tests.simulator.asking import IMAGE, code, refusal
from tests.simulator.conftest import Reach

ROLE = f"arn:aws:iam::{ACCOUNT}:role/act"
SERVICES = {
    "ec2": ec2.OPERATIONS,
    "autoscaling": autoscaling.OPERATIONS,
    "dynamodb": dynamodb.OPERATIONS,
    "sts": sts.OPERATIONS,
}
KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


type Example = tuple[str, str, dict[str, Any], str]


def everything(reach: Reach) -> Iterator[Example]:
    """One call of every operation: the service, the method, its parameters, and what its answer has to have."""
    region = reach.world.region()
    reach.world.role(ROLE, {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    autoscaling.create_group(region, "web", 2, env="prod")
    yield from orders(reach)
    yield from groups(region)
    yield "sts", "get_caller_identity", {}, "Account Arn UserId"
    role = {"RoleArn": ROLE, "RoleSessionName": "me"}
    yield "sts", "assume_role", role, "Credentials AssumedRoleUser"
    yield from tables()


def orders(reach: Reach) -> Iterator[Example]:
    """EC2's."""
    region = reach.world.region()
    one, other = region.add(tags={"env": "dev"}).id, region.add(managed_by="eks").id
    request = spot_request(reach)
    yield "ec2", "describe_regions", {}, "Regions"
    yield "ec2", "describe_instances", {}, "Reservations"
    attribute = {"InstanceId": one, "Attribute": "disableApiStop"}
    yield "ec2", "describe_instance_attribute", attribute, "DisableApiStop"
    change = {"InstanceId": one, "DisableApiStop": {"Value": False}}
    yield "ec2", "modify_instance_attribute", change, ""
    tags = {"Resources": [one], "Tags": [{"Key": "k", "Value": "v"}]}
    yield "ec2", "create_tags", tags, ""
    yield "ec2", "delete_tags", tags, ""
    yield "ec2", "describe_spot_instance_requests", {}, "SpotInstanceRequests"
    cancel = {"SpotInstanceRequestIds": [request]}
    yield "ec2", "cancel_spot_instance_requests", cancel, "CancelledSpotInstanceRequests"
    launch = {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 2}
    yield "ec2", "run_instances", launch, "Instances ReservationId OwnerId"
    yield "ec2", "stop_instances", {"InstanceIds": [one]}, "StoppingInstances"
    reach.world.clock.sleep(1)
    yield "ec2", "start_instances", {"InstanceIds": [one]}, "StartingInstances"
    yield "ec2", "terminate_instances", {"InstanceIds": [one, other]}, "TerminatingInstances"


def groups(region: Region) -> Iterator[Example]:
    """Auto Scaling's."""
    member = next(machine.id for machine in region.alive() if machine.group)
    yield "autoscaling", "describe_auto_scaling_groups", {}, "AutoScalingGroups"
    yield "autoscaling", "describe_auto_scaling_instances", {}, "AutoScalingInstances"
    end = {"InstanceId": member, "ShouldDecrementDesiredCapacity": True}
    yield "autoscaling", "terminate_instance_in_auto_scaling_group", end, "Activity"
    size = {"AutoScalingGroupName": "web", "DesiredCapacity": 0}
    yield "autoscaling", "set_desired_capacity", size, ""


def tables() -> Iterator[Example]:
    """DynamoDB's."""
    table = {"TableName": "t"}
    schema = {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    }
    yield "dynamodb", "create_table", table | schema, "TableDescription"
    yield "dynamodb", "describe_table", table, "Table"
    yield "dynamodb", "put_item", table | {"Item": {**KEY, "n": {"N": "1"}}}, ""
    update = {"Key": KEY, "UpdateExpression": "SET n = n + n", "ReturnValues": "ALL_NEW"}
    yield "dynamodb", "update_item", table | update, "Attributes"
    yield "dynamodb", "get_item", table | {"Key": KEY}, "Item"
    batch = {"RequestItems": {"t": {"Keys": [KEY]}}}
    yield "dynamodb", "batch_get_item", batch, "Responses"
    query = {
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "a"}},
    }
    yield "dynamodb", "query", table | query, "Items Count"
    yield "dynamodb", "scan", table | {"Limit": 1}, "Items LastEvaluatedKey"
    actions = {"TransactItems": [{"Delete": {**table, "Key": KEY}}]}
    yield "dynamodb", "transact_write_items", actions, ""
    yield "dynamodb", "delete_item", table | {"Key": KEY}, ""
    yield "dynamodb", "delete_table", table, "TableDescription"


def spot_request(reach: Reach) -> str:
    """A Spot request, launched."""
    reach.client("ec2").run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceMarketOptions={"MarketType": "spot"}
    )
    return next(iter(reach.world.region().spot_requests))


def test_every_answer_has_only_elements_that_the_sdk_knows(
    both: Reach,
) -> None:
    seen: dict[str, Any] = {}

    def look(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
        seen[operation_model.name] = (operation_model, response_dict["body"])

    clients = {service: both.client(service) for service in SERVICES}
    for client in clients.values():
        client.meta.events.register("before-parse", look)
    try:
        for service, method, parameters, members in everything(both):
            answer = getattr(clients[service], method)(**parameters)
            assert all(answer.get(member) for member in members.split()), method
    finally:
        for client in clients.values():
            client.meta.events.unregister("before-parse", look)

    assert both.world.history.called() >= {
        (service, name) for service, operations in SERVICES.items() for name in operations
    }
    for model, body in seen.values():
        if model.service_model.service_name == "dynamodb":
            assert strangers_in_json(model.output_shape, json.loads(body)) == []
        else:
            root = ET.fromstring(body)  # noqa: S314  our own
            assert strangers(model.output_shape, _result(root)) == []


def _result(root: Any) -> Any:
    results = [child for child in root if child.tag.endswith("Result")]
    return results[0] if results else root


def strangers(shape: Any, element: Any) -> list[str]:
    """Which elements the model has no member for."""
    if shape is None or shape.type_name not in {"structure", "list"}:
        return []
    if shape.type_name == "list":
        return [name for child in element for name in strangers(shape.member, child)]
    members = {s.serialization.get("name", name): s for name, s in shape.members.items()}
    found: list[str] = []
    for child in element:
        name = child.tag.rpartition("}")[2]
        if name in {"requestId", "ResponseMetadata", "return"}:
            continue
        found += strangers(members[name], child) if name in members else [name]
    return found


def strangers_in_json(shape: Any, value: Any) -> list[str]:
    """The same for JSON."""
    if shape.type_name == "structure" and isinstance(value, dict):
        unknown = [name for name in value if name not in shape.members]
        return unknown + [
            name
            for key, inner in value.items()
            if key in shape.members
            for name in strangers_in_json(shape.members[key], inner)
        ]
    return []


class TestErrors:
    """Their shapes, as they are on the wire."""

    @staticmethod
    def body(reach: Reach, service: str, call: Any) -> bytes:
        seen: list[bytes] = []

        def look(response_dict: dict[str, Any], **_: Any) -> None:
            seen.append(response_dict["body"])

        client = reach.client(service)
        client.meta.events.register("before-parse", look)
        with pytest.raises(ClientError):
            call(client)
        client.meta.events.unregister("before-parse", look)
        return seen[0]

    def test_an_error_of_ec2_looks_like_the_one_of_its_reference(self, both: Reach) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
        body = self.body(
            both, "ec2", lambda c: c.terminate_instances(InstanceIds=["i-0598c7d356eba48d7"])
        )
        said = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
            "<Code>InvalidInstanceID.NotFound</Code>"
            "<Message>The instance ID 'i-0598c7d356eba48d7' does not exist</Message>"
            "</Error></Errors><RequestID>"
        )
        assert body.decode().startswith(said)

    def test_an_error_of_sts_says_whether_the_sender_is_at_fault(self, both: Reach) -> None:
        """Source: https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html"""
        role = f"arn:aws:iam::{ACCOUNT}:role/missing"
        body = self.body(both, "sts", lambda c: c.assume_role(RoleArn=role, RoleSessionName="me"))
        assert b"<ErrorResponse xmlns=" in body
        assert b"<Type>Sender</Type><Code>AccessDenied</Code>" in body

    def test_an_error_of_dynamodb_has_its_type_in_the_body(self, both: Reach) -> None:
        """Recorded: boto/boto3#2657 has ``com.amazonaws.dynamodb.v20120810#TransactionCanceledException``."""
        body = self.body(both, "dynamodb", lambda c: c.get_item(TableName="t", Key=KEY))
        assert json.loads(body) == {
            "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
            "message": "Requested resource not found",
        }

    def test_an_unknown_operation_is_refused(self, both: Reach) -> None:
        assert code(lambda: both.client("ec2").describe_volumes()) == "InvalidAction"
        assert code(lambda: both.client("dynamodb").list_tables()) == "UnknownOperationException"

    def test_a_call_without_a_signature_is_refused(self) -> None:
        with Server(World()) as server:
            client = boto3.client(
                "ec2",
                "eu-west-1",
                endpoint_url=server.url,
                config=Config(signature_version=UNSIGNED),
            )
            said, _, status = refusal(client.describe_instances)
            client.close()
        assert (said, status) == ("MissingAuthenticationToken", 403)


def test_hostile_tags_arrive_unchanged(both: Reach) -> None:
    region: Region = both.world.region()
    tags = {"a": "<b>&\"'", "b": "x\r\ny\tz", "c": "\N{GRINNING FACE}", "ü": "", " ": " "}
    machine = region.add(tags=tags)
    answer = both.client("ec2").describe_instances(InstanceIds=[machine.id])
    (instance,) = answer["Reservations"][0]["Instances"]
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == tags
