"""The one RunInstances request that a Launch means, and the image that it names.

Only what is given is sent; what keeps safe always is.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...aws.errors import SDK_ERRORS, translated
from ...core.errors import RefusedError
from ..base import Launch

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        RunInstancesRequestTypeDef,
        TagSpecificationTypeDef,
        TagTypeDef,
    )
    from mypy_boto3_ssm.client import SSMClient

PARAMETER = "resolve:ssm:"
_IMAGE_ID = re.compile(r"ami-[0-9a-f]{8,17}")


def request_of(launch: Launch) -> "RunInstancesRequestTypeDef":
    """As many as there is capacity for, one at least; tagged as they are created, or not created at all.

    User data goes in as it is: the SDK encodes it.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    request: RunInstancesRequestTypeDef = {
        "ImageId": launch.image,
        "InstanceType": launch.instance_type,  # type: ignore[typeddict-item]  # theirs is a list of all
        "MinCount": 1,
        "MaxCount": launch.count,
        "ClientToken": launch.token,
        # What stands here wins over the defaults of the image and the account.
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
        # One-time, since a persistent request launches anew whatever is terminated.
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
            },
        }
    return request


def image_of(name: str, ssm: "Callable[[], SSMClient] | None") -> str:
    """An id as it is; after ``resolve:ssm:``, the value of that parameter, at its version or label if it names one.

    Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
    """
    if not name.startswith(PARAMETER):
        return name
    parameter = name.removeprefix(PARAMETER)
    if ssm is None:
        raise RefusedError(f"the parameter {parameter}: parameters cannot be read here")
    try:
        value = ssm().get_parameter(Name=parameter)["Parameter"]["Value"]
    except SDK_ERRORS as error:
        said = translated(error)
        words = f"the parameter {parameter}: {said}"
        raise type(said)(words, code=said.code, request_id=said.request_id) from error
    if not _IMAGE_ID.fullmatch(value):  # which is not repeated: it may be anything, a secret too
        raise RefusedError(f"the parameter {parameter}: its value is not the id of an image")
    return value


def _tags(launch: Launch) -> "list[TagSpecificationTypeDef]":
    # Sorted, because a repeated call has to be the same to the letter.
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
