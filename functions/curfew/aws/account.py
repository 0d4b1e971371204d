"""The account of the credentials, and the regions that an account may use."""

from typing import TYPE_CHECKING

from .errors import SDK_ERRORS, translated

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_sts.client import STSClient


def enabled_regions(read: "EC2Client") -> frozenset[str]:
    """Return the regions that the account may use. Raises ProviderError.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    try:
        answer = read.describe_regions()
    except SDK_ERRORS as error:
        raise translated(error) from error
    return frozenset(region["RegionName"] for region in answer["Regions"])


def identity_of(sts: "STSClient") -> tuple[str, str]:
    """Return the partition and the account of the credentials. Raises ProviderError.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    try:
        answer = sts.get_caller_identity()
        return answer["Arn"].split(":")[1], answer["Account"]
    except SDK_ERRORS as error:
        raise translated(error) from error
