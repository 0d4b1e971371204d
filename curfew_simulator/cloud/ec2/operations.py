"""The EC2 operations. Each is a function of a region and a call, and returns the response."""

from collections.abc import Callable, Mapping
from typing import Any

from ..call import ApiCall
from . import describe, launch, orders, spot, tags
from .region import Region

OPTED_OUT = frozenset(describe.OPTED_OUT)
OPERATIONS: Mapping[str, Callable[[Region, ApiCall], Mapping[str, Any]]] = {
    "CancelSpotInstanceRequests": spot.cancel_spot_instance_requests,
    "CreateTags": tags.create_tags,
    "DeleteTags": tags.delete_tags,
    "DescribeInstanceAttribute": describe.describe_instance_attribute,
    "DescribeInstances": describe.describe_instances,
    "DescribeRegions": describe.describe_regions,
    "DescribeSpotInstanceRequests": describe.describe_spot_instance_requests,
    "ModifyInstanceAttribute": orders.modify_instance_attribute,
    "RunInstances": launch.run_instances,
    "StartInstances": orders.start_instances,
    "StopInstances": orders.stop_instances,
    "TerminateInstances": orders.terminate_instances,
}
