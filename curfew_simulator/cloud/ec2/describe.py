"""The read calls of EC2: instances, their attributes, Spot requests and regions. No call here changes anything."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..call import ApiCall
from ..faults import FaultKind
from ..protocols import ApiError
from . import errors, filters, pages, render
from .machine import Machine, SpotRequest
from .region import Region

# The regions that every account has by default.
ENABLED = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1",
    "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
OPTED_OUT = ("ap-east-1", "me-south-1")


def describe_instances(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Return instances: by id, each of which has to exist, or by filter, in pages.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
    """
    arguments = call.arguments
    ids = arguments.get("InstanceId", [])
    if ids and "MaxResults" in arguments:
        said = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise ApiError("InvalidParameterCombination", said)
    call.principal.demand("ec2:DescribeInstances", "*")
    errors.dry_run(arguments)
    seen = seen_by(region, call)
    pool = errors.known(ids, seen) if ids else list(seen.values())
    _reachable(region, pool, named=bool(ids))
    if arguments.get("IncludeManagedResources") != "true":
        pool = [machine for machine in pool if not machine.hidden]
    wanted = filters.predicate(arguments.get("Filter", []), filters.INSTANCES, _tags)
    found = [m.id for m in pool if FaultKind.UNFILTERED in call.faults or wanted(m)]
    shown, token = pages.page(region, call, found)
    return {
        "reservationSet": render.reservations(region, (seen[id_] for id_ in shown)),
        "nextToken": token,
    }


def describe_instance_attribute(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Return one attribute of one instance.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceAttribute.html
    """
    call.principal.demand("ec2:DescribeInstanceAttribute", "*")
    errors.dry_run(call.arguments)
    (machine,) = errors.known([call.arguments["InstanceId"]], seen_by(region, call))
    name = call.arguments.get("Attribute", "")
    values: dict[str, Any] = {
        "disableApiTermination": machine.termination_protected,
        "disableApiStop": machine.stop_protected,
        "instanceType": machine.type,
        "instanceInitiatedShutdownBehavior": machine.shutdown_behavior,
    }
    if name not in values:
        raise errors.invalid(f"Value ({name}) for parameter attribute is invalid.")
    return {"instanceId": machine.id, name: {"value": values[name]}}


def describe_spot_instance_requests(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Return Spot requests, by id or by filter.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotInstanceRequests.html
    """
    call.principal.demand("ec2:DescribeSpotInstanceRequests", "*")
    errors.dry_run(call.arguments)
    ids = call.arguments.get("SpotInstanceRequestId", [])
    for id_ in ids:
        if id_ not in region.spot_requests:
            said = f"The spot instance request ID '{id_}' does not exist"
            raise ApiError("InvalidSpotInstanceRequestID.NotFound", said)
    wanted = filters.predicate(call.arguments.get("Filter", []), filters.SPOT_REQUESTS, _tags)
    pool = [region.spot_requests[id_] for id_ in ids] or list(region.spot_requests.values())
    shown, token = pages.page(region, call, [request.id for request in pool if wanted(request)])
    return {
        "spotInstanceRequestSet": [render.spot_request(region.spot_requests[i]) for i in shown],
        "nextToken": token,
    }


def describe_regions(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Return the enabled regions, or all regions.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    call.principal.demand("ec2:DescribeRegions", "*")
    errors.dry_run(call.arguments)
    every = {
        name: "opt-in-not-required"
        for name in ENABLED
        if (region.account, name) not in region.opted_out
    }
    if call.arguments.get("AllRegions") == "true":
        every |= dict.fromkeys(OPTED_OUT, "not-opted-in")
    names = call.arguments.get("RegionName", list(every))
    if unknown := [name for name in names if name not in every]:
        raise errors.invalid(f"Invalid region names provided: '{', '.join(unknown)}'")
    return {
        "regionInfo": [
            {
                "regionName": name,
                "regionEndpoint": f"ec2.{name}.amazonaws.com",
                "optInStatus": every[name],
            }
            for name in names
        ]
    }


def _reachable(region: Region, pool: Sequence[Machine], *, named: bool) -> None:
    """Raise ApiError while a zone is dark, unless the call names instances by id and all are in other zones.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html, "in the rare case where
    an Availability Zone is experiencing a service disruption"; the code of the error is a guess.
    """
    if region.dark_zones and (not named or any(m.zone in region.dark_zones for m in pool)):
        raise ApiError("Unavailable", "The service is unavailable. Please try again shortly.", 503)


def seen_by(region: Region, call: ApiCall) -> Mapping[str, Machine]:
    """Return the machines that the caller sees: all as they are now, or some in an earlier version."""
    fault = call.faults.get(FaultKind.STALE)
    if fault is None:
        return region.machines
    return region.seen(timedelta(seconds=fault.seconds), share=fault.share)


def _tags(thing: Machine | SpotRequest) -> Mapping[str, str]:
    return thing.tags
