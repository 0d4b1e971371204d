"""The part of Auto Scaling that affects a janitor: a group replaces its members when another principal ends them.

Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Operations.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .call import ApiCall
from .ec2 import lifecycle
from .ec2.machine import Machine
from .ec2.region import Region
from .protocols import ApiError


@dataclass(slots=True, kw_only=True)
class Group:
    """An Auto Scaling group. It launches each member as its ``blueprint``."""

    name: str
    desired: int
    least: int = 0
    most: int = 100
    zones: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    blueprint: Machine


def create_group(region: Region, name: str, size: int, **tags: str) -> Group:
    """Create a group of ``size`` members, launch them, and return the group."""
    blueprint = Machine(id="", zone=region.zones[0])
    group = Group(name=name, desired=size, zones=region.zones, tags=tags, blueprint=blueprint)
    region.groups[name] = group
    lifecycle.replenish(region, name)
    return group


def describe_auto_scaling_groups(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Return all groups, or the named ones, with their members."""
    call.principal.demand("autoscaling:DescribeAutoScalingGroups", "*", code="AccessDenied")
    names = call.arguments.get("AutoScalingGroupNames", [])
    groups = [group for group in region.groups.values() if not names or group.name in names]
    return {"AutoScalingGroups": [_described(region, group) for group in groups]}


def describe_auto_scaling_instances(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Return the members of all groups, or those of the given ids that are members."""
    call.principal.demand("autoscaling:DescribeAutoScalingInstances", "*", code="AccessDenied")
    ids = call.arguments.get("InstanceIds", [])
    members = [m for m in region.alive() if m.group and (not ids or m.id in ids)]
    shown = [{**_member(m), "AutoScalingGroupName": m.group} for m in members]
    return {"AutoScalingInstances": shown}


def set_desired_capacity(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Set how many members a group should have. Terminate the surplus now; launch missing members after a while."""
    group = _group(region, call.arguments.get("AutoScalingGroupName", ""))
    call.principal.demand(
        "autoscaling:SetDesiredCapacity", _arn(region, group), code="AccessDenied"
    )
    desired = int(call.arguments["DesiredCapacity"])
    if not group.least <= desired <= group.most:
        said = f"New SetDesiredCapacity value {desired} is out of {group.least} to {group.most}."
        raise ApiError("ValidationError", said)
    group.desired = desired
    members = [m for m in region.alive() if m.group == group.name]
    for member in members[desired:]:
        lifecycle.terminate(region, member)
    region.later(
        "replacement", region.pace.replacement, partial(lifecycle.replenish, region, group.name)
    )
    return {}


def terminate_instance_in_auto_scaling_group(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Terminate a member. The group replaces it after a while, unless the call also reduces the desired capacity."""
    id_ = call.arguments.get("InstanceId", "")
    machine = region.machines.get(id_)
    if machine is None or machine.group not in region.groups:
        raise ApiError(
            "ValidationError",
            f"Instance Id not found - No managed instance found for instance ID: {id_}",
        )
    group = region.groups[machine.group]
    action = "autoscaling:TerminateInstanceInAutoScalingGroup"
    call.principal.demand(action, _arn(region, group), code="AccessDenied")
    if call.arguments.get("ShouldDecrementDesiredCapacity") == "true":
        if group.desired <= group.least:
            said = (
                f"Currently, desiredSize equals minSize ({group.least}). Terminating instance without "
                "replacement will violate group's min size constraint."
            )
            raise ApiError("ValidationError", said)
        group.desired -= 1
    lifecycle.terminate(region, machine)
    activity = {
        "ActivityId": region.rng.id("activity"),
        "AutoScalingGroupName": group.name,
        "Cause": "instance was taken out of service in response to a user request",
        "StartTime": region.clock.now(),
        "StatusCode": "InProgress",
    }
    return {"Activity": activity}


OPERATIONS: Mapping[str, Callable[[Region, ApiCall], Mapping[str, Any]]] = {
    "DescribeAutoScalingGroups": describe_auto_scaling_groups,
    "DescribeAutoScalingInstances": describe_auto_scaling_instances,
    "SetDesiredCapacity": set_desired_capacity,
    "TerminateInstanceInAutoScalingGroup": terminate_instance_in_auto_scaling_group,
}


def _described(region: Region, group: Group) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": _arn(region, group),
        "MinSize": group.least,
        "MaxSize": group.most,
        "DesiredCapacity": group.desired,
        "DefaultCooldown": 300,
        "AvailabilityZones": list(group.zones),
        "HealthCheckType": "EC2",
        "CreatedTime": region.clock.now(),
        "Instances": [_member(m) for m in region.alive() if m.group == group.name],
        "Tags": [
            {
                "ResourceId": group.name, "ResourceType": "auto-scaling-group", "Key": key, "Value": value,
                "PropagateAtLaunch": True,
            }
            for key, value in group.tags.items()
        ],
    }  # fmt: skip


def _member(machine: Machine) -> dict[str, Any]:
    return {
        "InstanceId": machine.id,
        "InstanceType": machine.type,
        "AvailabilityZone": machine.zone,
        "LifecycleState": "InService" if machine.state == "running" else "Pending",
        "HealthStatus": "Healthy" if machine.state in {"pending", "running"} else "Unhealthy",
        "ProtectedFromScaleIn": False,
    }


def _group(region: Region, name: str) -> Group:
    if name not in region.groups:
        raise ApiError("ValidationError", f"AutoScalingGroup name not found - {name}")
    group: Group = region.groups[name]
    return group


def _arn(region: Region, group: Group) -> str:
    where = f"arn:aws:autoscaling:{region.name}:{region.account}:autoScalingGroup"
    return f"{where}::autoScalingGroupName/{group.name}"
