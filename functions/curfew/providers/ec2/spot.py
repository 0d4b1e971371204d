"""Cancels the persistent Spot requests of instances before they are terminated: EC2 would relaunch these.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...aws.errors import SDK_ERRORS, translated
from ...core.errors import ProviderError, RefusedError
from ...core.instance import Instance

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import SpotInstanceRequestTypeDef

ENDED_SPOT_REQUESTS = frozenset({"closed", "cancelled", "failed"})


def released(
    instances: Sequence[Instance],
    *,
    read: "EC2Client",
    cancel: Callable[[list[str]], frozenset[str]],
) -> Mapping[str, ProviderError | None]:
    """Cancel persistent requests. Return each instance that has one, with the error if it was not cancelled."""
    spot = [i for i in instances if i.lifecycle == "spot"]
    if not spot:
        return {}
    results: dict[str, ProviderError | None] = {}
    persistent: dict[str, str] = {}
    try:
        requests = _requests(read, [i.spot_request for i in spot if i.spot_request])
        for instance in spot:
            request = requests.get(instance.spot_request)
            if request is None:
                problem = f"the Spot request of {instance.id} was not found"
                results[instance.id] = RefusedError(problem)
            elif _relaunches(request):
                persistent[instance.spot_request] = instance.id
        cancelled = cancel(sorted(persistent)) if persistent else frozenset[str]()
    except SDK_ERRORS as error:
        return dict.fromkeys((i.id for i in spot), translated(error, acting=True))
    except ProviderError as error:  # report mode, or no credentials
        return dict.fromkeys((i.id for i in spot), error)
    for request_id, id_ in persistent.items():
        problem = f"the Spot request {request_id} was not cancelled"
        results[id_] = None if request_id in cancelled else RefusedError(problem)
    return results


def _requests(read: "EC2Client", ids: list[str]) -> "dict[str, SpotInstanceRequestTypeDef]":
    answer = read.describe_spot_instance_requests(
        Filters=[{"Name": "spot-instance-request-id", "Values": ids}]
    )
    return {r["SpotInstanceRequestId"]: r for r in answer["SpotInstanceRequests"]}


def _relaunches(request: "SpotInstanceRequestTypeDef") -> bool:
    one_time = request.get("Type") == "one-time"
    return not one_time and request.get("State") not in ENDED_SPOT_REQUESTS
