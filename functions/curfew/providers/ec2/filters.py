"""Translates a selector into EC2 filters. An optimisation: ``decide`` applies the whole selector again."""

from typing import TYPE_CHECKING

from ...core.policy import Selector

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

# Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
FILTER_VALUES = 200


def filters(selector: Selector, *, narrow: bool) -> "list[FilterTypeDef]":
    """Return the selector as EC2 filters, as far as EC2 can express it.

    Filter values are patterns, so literal values are escaped. If there are more values than a request may have, the
    filters with most values are left out.
    """
    wanted: list[FilterTypeDef] = [
        {"Name": "instance-state-name", "Values": sorted(selector.states)}
    ]
    if not narrow:
        return wanted
    for tag in selector.tags:
        values = [*map(literal, tag.values), *(p.replace("\\", "\\\\") for p in tag.like)]
        wanted.append({"Name": f"tag:{tag.key}", "Values": values})
    if selector.with_tags:
        wanted.extend({"Name": "tag-key", "Values": [literal(k)]} for k in selector.with_tags)
    if selector.instance_types:
        wanted.append({"Name": "instance-type", "Values": list(selector.instance_types)})
    while sum(len(f["Values"]) for f in wanted) > FILTER_VALUES:
        wanted.remove(max(wanted, key=lambda f: len(f["Values"])))
    return wanted


def literal(value: str) -> str:
    """Return a filter value that matches only the given value."""
    return value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
