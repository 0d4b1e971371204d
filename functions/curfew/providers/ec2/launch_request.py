"""Builds the RunInstances request of a Launch, and resolves its image.

The request has only the parameters that are given, and always those that make instances safe.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...aws.errors import SDK_ERRORS, translated
from ...core.errors import RefusedError
from ..base import LaunchCall

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        RunInstancesRequestTypeDef,
        TagSpecificationTypeDef,
        TagTypeDef,
    )
    from mypy_boto3_ssm.client import SSMClient

PARAMETER = "resolve:ssm:"
_IMAGE_ID = re.compile(r"ami-[0-9a-f]{8,17}")


def request_of(launch: LaunchCall) -> "RunInstancesRequestTypeDef":
    """Return a request for up to ``count`` instances, at least one, which EC2 tags as it creates them.

    User data is sent unencoded: the SDK encodes it.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    request: RunInstancesRequestTypeDef = {
        "ImageId": launch.image,
        "InstanceType": launch.instance_type,  # type: ignore[typeddict-item]  # the stubs list all types
        "MinCount": 1,
        "MaxCount": launch.count,
        "ClientToken": launch.token,
        # These override the defaults of the image and the account.
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "disabled",
        },
    }
    if launch.tags:
        request["TagSpecifications"] = _tags(launch)
    if launch.subnet:
        request["SubnetId"] = launch.subnet
    if launch.security_groups:
        request["SecurityGroupIds"] = list(launch.security_groups)
    if launch.key:
        request["KeyName"] = launch.key
    if launch.profile:
        by = "Arn" if launch.profile.startswith("arn:") else "Name"
        request["IamInstanceProfile"] = {by: launch.profile}  # type: ignore[misc]  # one of two keys
    if launch.user_data:
        request["UserData"] = launch.user_data
    if launch.spot:
        # One-time, since a persistent request relaunches a terminated instance.
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
            },
        }
    return request


def image_of(name: str, ssm: "Callable[[], SSMClient] | None") -> str:
    """Return an id unchanged; after ``resolve:ssm:``, the parameter's value, at the version or label that it names.

    Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
    """
    if not name.startswith(PARAMETER):
        return name
    parameter = name.removeprefix(PARAMETER)
    if ssm is None:
        raise RefusedError(f"the parameter {parameter}: this provider cannot read parameters")
    try:
        value = ssm().get_parameter(Name=parameter)["Parameter"]["Value"]
    except SDK_ERRORS as error:
        problem = translated(error)
        words = f"the parameter {parameter}: {problem}"
        raise type(problem)(words, code=problem.code, request_id=problem.request_id) from error
    if not _IMAGE_ID.fullmatch(value):  # the message leaves the value out: it may be a secret
        raise RefusedError(f"the parameter {parameter}: its value is not the id of an image")
    return value


def _tags(launch: LaunchCall) -> "list[TagSpecificationTypeDef]":
    # Sorted, since a repeated call must be identical.
    tags: list[TagTypeDef] = [{"Key": k, "Value": v} for k, v in sorted(launch.tags.items())]
    instance: list[TagSpecificationTypeDef] = [
        {"ResourceType": "instance", "Tags": tags},
        {"ResourceType": "volume", "Tags": tags},
        {"ResourceType": "network-interface", "Tags": tags},
    ]
    return (
        [*instance, {"ResourceType": "spot-instances-request", "Tags": tags}]
        if launch.spot
        else instance
    )
