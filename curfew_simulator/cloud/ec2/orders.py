"""The calls that change existing instances: terminate, stop, start, and modify an attribute."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import iam
from ..call import ApiCall
from ..faults import FaultKind
from ..history import Change
from ..protocols import ApiError
from . import errors, lifecycle, render
from .machine import Machine, SpotState, State
from .region import Region


def terminate_instances(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Terminate instances. A malformed or unknown id makes the whole call fail.

    A protected instance makes the call fail, too, and EC2 then terminates no instance in its zone, but it does
    terminate the instances in the other zones.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """
    machines = _ordered(region, call, "ec2:TerminateInstances")
    protected = [m for m in machines if m.protected and not m.state.ended]
    closed = {m.zone for m in protected}
    open_to_it = [m for m in machines if m.zone not in closed]
    changes = _carry_out(region, call, open_to_it, State.SHUTTING_DOWN, lifecycle.terminate)
    if protected:
        which = "disableApiTermination" if protected[0].termination_protected else "disableApiStop"
        raise _protected(protected[0], "terminated", which)
    return {"instancesSet": changes}


def stop_instances(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Stop all instances of the call, or raise ApiError and stop none if one of them cannot be stopped.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
    """
    machines = _ordered(region, call, "ec2:StopInstances")
    for machine in machines:
        if problem := _unstoppable(region, machine):
            raise problem
    return {
        "instancesSet": _carry_out(region, call, machines, State.STOPPING, lifecycle.stop),
    }


def start_instances(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Start all instances of the call, or raise ApiError and start none. Running instances continue to run.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StartInstances.html
    """
    machines = _ordered(region, call, "ec2:StartInstances")
    for machine in machines:
        if machine.state not in {State.STOPPED, State.PENDING, State.RUNNING}:
            said = f"The instance '{machine.id}' is not in a state from which it can be started."
            raise ApiError("IncorrectInstanceState", said)
        request = region.spot_requests.get(machine.spot_request)
        if request and request.state is not SpotState.DISABLED and machine.state is State.STOPPED:
            said = f"The Spot Instance '{machine.id}' cannot be started: its request is {request.state}."
            raise ApiError("IncorrectSpotRequestState", said)
    return {
        "instancesSet": _carry_out(region, call, machines, State.PENDING, _started),
    }


def modify_instance_attribute(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Change the protection or the type of an instance, in either of the two forms that a request may have.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
    """
    arguments = call.arguments
    (machine,) = errors.known([arguments.get("InstanceId", "")], region.machines)
    demand(region, call, "ec2:ModifyInstanceAttribute", machine)
    errors.dry_run(arguments)
    given = {name: value["Value"] for name, value in arguments.items() if isinstance(value, dict)}
    if attribute := arguments.get("Attribute", ""):
        given[attribute[0].upper() + attribute[1:]] = arguments.get("Value", "")
    changes: dict[str, Any] = {}
    for name, value in given.items():
        match name:
            case "DisableApiTermination" | "DisableApiStop" if machine.lifecycle == "spot":
                raise ApiError(
                    "UnsupportedOperation",
                    f"{name} cannot be set on the Spot Instance '{machine.id}'",
                )
            case "DisableApiTermination":
                changes["termination_protected"] = value == "true"
            case "DisableApiStop":
                changes["stop_protected"] = value == "true"
            case "InstanceType" if machine.state is State.STOPPED:
                changes["type"] = value
            case "InstanceType":
                said = f"The instance '{machine.id}' is not in the 'stopped' state."
                raise ApiError("IncorrectInstanceState", said)
            case _:
                raise errors.invalid(f"the attribute {name} is not modelled")
    region.record(Change.MODIFIED, machine.id, machine)
    region.put(replace(machine, **changes))
    return {"return": True}


def demand(region: Region, call: ApiCall, action: str, machine: Machine) -> None:
    """Raise ApiError unless IAM allows the action on one instance. IAM sees tags ``tag_lag`` later than EC2."""

    def context() -> iam.Context:
        lately = region.version(machine.id, region.clock.now() - region.tag_lag) or machine
        return {
            "aws:requestedregion": region.name,
            "ec2:region": region.name,
            "ec2:availabilityzone": machine.zone,
            "ec2:instancetype": machine.type,
            **iam.tagged("aws:ResourceTag", lately.tags.items()),
            **iam.tagged("ec2:ResourceTag", lately.tags.items()),
        }

    call.principal.demand(action, region.arn("instance", machine.id), context)


def _ordered(region: Region, call: ApiCall, action: str) -> list[Machine]:
    machines = errors.known(call.arguments.get("InstanceId", []), region.machines)
    for machine in machines:
        demand(region, call, action, machine)
    errors.dry_run(call.arguments)
    return machines


def _carry_out(
    region: Region,
    call: ApiCall,
    machines: Sequence[Machine],
    selected: State,
    order: Callable[[Region, Machine], Machine],
) -> list[dict[str, Any]]:
    changes = []
    for machine in machines:
        idle = FaultKind.IDLE in call.faults
        after = replace(machine, state=selected) if idle else order(region, machine)
        changes.append(render.change(after, machine.state))
    return leave_out(region, call, changes, "instanceId")


def leave_out(
    region: Region, call: ApiCall, items: list[dict[str, Any]], name: str
) -> list[dict[str, Any]]:
    """Return a response's items without the ids that a fault names, or without a random one if it names none."""
    fault = call.faults.get(FaultKind.UNNAMED)
    if fault and fault.ids:
        return [item for item in items if item[name] not in fault.ids]
    if fault and items:
        items.pop(region.rng.of("unnamed").randrange(len(items)))
    return items


def _started(region: Region, machine: Machine) -> Machine:
    return lifecycle.start(region, machine) if machine.state is State.STOPPED else machine


def _unstoppable(region: Region, machine: Machine) -> ApiError | None:
    if machine.stop_protected and not machine.state.ended:
        return _protected(machine, "stopped", "disableApiStop")
    if machine.state not in {State.RUNNING, State.STOPPING, State.STOPPED}:
        said = f"This instance '{machine.id}' is not in a state from which it can be stopped."
        return ApiError("IncorrectInstanceState", said)
    if machine.root_device != "ebs":
        said = f"The instance '{machine.id}' does not have an 'ebs' root device type and cannot be stopped."
        return ApiError("UnsupportedOperation", said)
    if machine.lifecycle == "spot" and not _persistent(region, machine):
        said = (
            f"You can't stop the Spot Instance '{machine.id}' because it is associated with a one-time "
            "Spot Instance request. You can only stop Spot Instances associated with persistent Spot "
            "Instance requests."
        )
        return ApiError("UnsupportedOperation", said)
    return None


def _persistent(region: Region, machine: Machine) -> bool:
    """Return whether the Spot request lets its instance stop.

    EC2: "you can't stop a Spot Instance after you cancel its request".
    """
    request = region.spot_requests.get(machine.spot_request)
    return bool(request and request.persistent and request.state is not SpotState.CANCELLED)


def _protected(machine: Machine, done: str, attribute: str) -> ApiError:
    said = f"The instance '{machine.id}' may not be {done}. Modify its '{attribute}' instance attribute and try again."
    return ApiError("OperationNotPermitted", said)
