"""A typical function: Powertools' logger, metrics and tracer, and a boto3 client, created at import as is usual."""

from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="typical")
metrics = Metrics(namespace="typical", service="typical")
tracer = Tracer(service="typical")
ec2 = boto3.client("ec2")


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Return the number of instances."""
    pages = ec2.get_paginator("describe_instances").paginate()
    count = sum(len(one["Instances"]) for page in pages for one in page["Reservations"])
    metrics.add_metric(name="Instances", unit="Count", value=count)
    return {"instances": count}
