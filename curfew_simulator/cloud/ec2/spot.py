"""Cancel Spot requests, which may terminate an instance.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CancelSpotInstanceRequests.html; that the
cancellation of a disabled request terminates its stopped instance is from
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html
"""

from collections.abc import Mapping
from typing import Any

from .. import iam
from ..call import ApiCall
from ..faults import FaultKind
from ..history import Change
from ..protocols import ApiError
from . import errors, lifecycle, orders
from .machine import SpotRequest, SpotState, State
from .region import Region

LIVE = frozenset({SpotState.OPEN, SpotState.ACTIVE, SpotState.DISABLED})


def cancel_spot_instance_requests(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Cancel all Spot requests of the call, or none and raise ApiError if one does not exist.

    A running instance continues to run; a stopped one is terminated.
    """
    ids = call.arguments.get("SpotInstanceRequestId", [])
    for id_ in ids:
        if not errors.SPOT_REQUEST.fullmatch(id_):
            raise ApiError("InvalidSpotInstanceRequestID.Malformed", f'Invalid id: "{id_}"')
        if id_ not in region.spot_requests:
            said = f"The spot instance request ID '{id_}' does not exist"
            raise ApiError("InvalidSpotInstanceRequestID.NotFound", said)
    requests = [region.spot_requests[id_] for id_ in dict.fromkeys(ids)]
    for request in requests:
        _authorise(region, call, request)
    errors.dry_run(call.arguments)
    answer = []
    for request in requests:
        if FaultKind.IDLE not in call.faults:
            _cancel(region, request)
        state = region.spot_requests[request.id].state.value
        answer.append({"spotInstanceRequestId": request.id, "state": state})
    left = orders.leave_out(region, call, answer, "spotInstanceRequestId")
    return {"spotInstanceRequestSet": left}


def _cancel(region: Region, request: SpotRequest) -> None:
    if request.state not in LIVE:
        return
    region.record(Change.SPOT_CANCELLED, request.id, request)
    region.spot_requests[request.id] = request.of(SpotState.CANCELLED)
    machine = region.machines.get(request.instance)
    if machine and machine.state in {State.STOPPING, State.STOPPED}:
        lifecycle.terminate(region, machine, reason=lifecycle.BY_SPOT)


def _authorise(region: Region, call: ApiCall, request: SpotRequest) -> None:
    def context() -> iam.Context:
        return {
            "aws:requestedregion": region.name,
            **iam.tagged("aws:ResourceTag", request.tags.items()),
        }

    arn = region.arn("spot-instances-request", request.id)
    call.principal.demand("ec2:CancelSpotInstanceRequests", arn, context)
