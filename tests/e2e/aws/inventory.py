"""What there is in the account, kind by kind: a stack that is gone has taken everything with it but its ledger."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.aws.cloud import Cloud

type Inventory = Mapping[str, frozenset[str]]

# SAM's own stack and bucket, which every deployment in an account shares.
SHARED = "aws-sam-cli-managed-default"
# Per kind: the service, its listing, and where in the answer the names are.
LISTINGS = {
    "stacks": ("cloudformation", "describe_stacks", "Stacks", "StackName"),
    "functions": ("lambda", "list_functions", "Functions", "FunctionName"),
    "queues that a function reads": (
        "lambda", "list_event_source_mappings", "EventSourceMappings", "EventSourceArn",
    ),
    "schedules": ("scheduler", "list_schedules", "Schedules", "Name"),
    "queues": ("sqs", "list_queues", "QueueUrls", ""),
    "topics": ("sns", "list_topics", "Topics", "TopicArn"),
    "alarms": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "APIs": ("apigatewayv2", "get_apis", "Items", "Name"),
    "roles": ("iam", "list_roles", "Roles", "RoleName"),
    "policies": ("iam", "list_policies", "Policies", "PolicyName"),
    "log groups": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "tables": ("dynamodb", "list_tables", "TableNames", ""),
}  # fmt: skip
OURS = {"list_policies": {"Scope": "Local"}}  # not the hundreds that AWS provides


def inventory(cloud: Cloud) -> Inventory:
    """Every name of every kind, without what SAM keeps for itself."""
    return {kind: _names(cloud, *listing) for kind, listing in LISTINGS.items()}


def added(before: Inventory, after: Inventory) -> dict[str, set[str]]:
    """What is there afterwards and was not there before; kinds of which nothing is are left out."""
    fresh = {kind: set(names - before.get(kind, frozenset())) for kind, names in after.items()}
    return {kind: names for kind, names in fresh.items() if names}


def retained(template: Path) -> set[str]:
    """The logical ids of what a template says has to stay when its stack goes."""
    resources = yaml.load(template.read_text(), Loader=_Tagged)["Resources"]  # noqa: S506  a safe loader
    return {name for name, one in resources.items() if one.get("DeletionPolicy") == "Retain"}


def _names(cloud: Cloud, service: str, listing: str, key: str, field: str) -> frozenset[str]:
    client, asked = cloud.client(service), OURS.get(listing, {})
    pages: Any = (
        client.get_paginator(listing).paginate(**asked)
        if client.can_paginate(listing)
        else [getattr(client, listing)(**asked)]
    )
    found = (one[field] if field else one for page in pages for one in page.get(key, ()))
    return frozenset(name for name in found if not name.startswith(SHARED))


class _Tagged(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, of which nothing is wanted."""


_Tagged.add_multi_constructor("!", lambda *_: None)
