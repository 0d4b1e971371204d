"""What the tests of the simulated cloud ask for again and again."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

IMAGE = "ami-08111162"


def refusal(call: Callable[[], object]) -> tuple[str, str, int]:
    """Code, message and HTTP status of the error that a call has to end in."""
    with pytest.raises(ClientError) as refused:
        call()
    error: Any = refused.value.response
    body = error["Error"]
    return body["Code"], body["Message"], error["ResponseMetadata"]["HTTPStatusCode"]


def code(call: Callable[[], object]) -> str:
    """The code alone."""
    return refusal(call)[0]


def ids(answer: Any) -> list[str]:
    """The ids of the instances in a listing, or in an answer to RunInstances."""
    reservations = answer.get("Reservations", [answer])
    return [i["InstanceId"] for r in reservations for i in r["Instances"]]


def filtered(ec2: Any, **filters: Any) -> set[str]:
    """The ids that EC2 finds by filters; ``_`` stands for ``-`` in their names."""
    wanted = [
        {"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()
    ]
    return set(ids(ec2.describe_instances(Filters=wanted)))


def launch(ec2: Any, number: int = 1, /, **more: Any) -> list[str]:
    """Launch machines, and say which."""
    request = {"ImageId": IMAGE, "InstanceType": "t2.micro", "MinCount": number, "MaxCount": number}
    return ids(ec2.run_instances(**(request | more)))
