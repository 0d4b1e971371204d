"""A sweep as in tutorials: read all pages into one list, then select, then terminate.

With regions as arguments, it sweeps them one after the other.
"""

import sys
from datetime import UTC, datetime, timedelta

import boto3


def sweep(region: str | None) -> int:
    """Sweep one region, and return how many instances it terminated."""
    ec2 = boto3.client("ec2", region_name=region)
    instances = [
        instance
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    cutoff = datetime.now(UTC) - timedelta(days=7)
    doomed = []
    for instance in instances:
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        if (
            instance["State"]["Name"] == "running"
            and tags.get("janitor") == "ephemeral"
            and instance["LaunchTime"] < cutoff
        ):
            doomed.append(instance["InstanceId"])
    for start in range(0, len(doomed), 1000):
        ec2.terminate_instances(InstanceIds=doomed[start : start + 1000])
    return len(doomed)


regions: list[str | None] = [*sys.argv[1:]] or [None]
print(sum(map(sweep, regions)))
