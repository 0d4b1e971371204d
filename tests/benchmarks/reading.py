"""Reads what the benchmark's endpoint renders, with botocore's parser and Curfew's words."""

from collections.abc import Sequence
from typing import Any

import botocore.session
from botocore.parsers import EC2QueryParser

from benchmarks import rendering
from benchmarks.fleet import Machine
from curfew.core.instance import Instance
from curfew.core.target import Target
from curfew.providers.ec2.instances import instance_of

MODEL = botocore.session.get_session().get_service_model("ec2")


def parsed(action: str, body: bytes) -> dict[str, Any]:
    """An answer, as botocore understands it."""
    shape: Any = MODEL.operation_model(action).output_shape
    answer: dict[str, Any] = EC2QueryParser().parse(
        {"status_code": 200, "headers": {}, "body": body}, shape
    )
    return answer


def instances_of(machines: Sequence[Machine], target: Target) -> list[Instance]:
    """The machines as Curfew sees them."""
    answer = parsed("DescribeInstances", rendering.page([(m, m.state) for m in machines], ""))
    return [
        instance_of(raw, target)
        for reservation in answer["Reservations"]
        for raw in reservation["Instances"]
    ]
