"""Render instances and Spot requests with EC2's element names.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html and its neighbours. Elements that a
janitor may not rely on are absent, as in EC2: no ``tagSet`` without tags, no ``instanceLifecycle`` on demand.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..protocols import Xml, xml
from . import lifecycle
from .machine import Machine, SpotRequest, State
from .region import Region

REASONS = {
    lifecycle.BY_USER: "User initiated shutdown",
    lifecycle.BY_SPOT: "Spot instance termination",
    lifecycle.BY_FAULT: "Internal error on launch",
}


def machine(region: Region, one: Machine) -> Xml:
    """Return a machine as XML. Each version is rendered once, since most of a listing is unchanged since the last."""
    written = region.written.get(one.id)
    if written is None or written[0] is not one:
        written = region.written[one.id] = one, Xml(xml(instance(one), "item"))
    return written[1]


def reservations(region: Region, machines: Iterable[Machine]) -> list[dict[str, Any]]:
    """Return machines grouped by the reservations that launched them."""
    sets: dict[str, list[Xml]] = {}
    for one in machines:
        sets.setdefault(one.reservation, []).append(machine(region, one))
    return [reservation(region, id_, members) for id_, members in sets.items()]


def reservation(region: Region, id_: str, members: list[Xml]) -> dict[str, Any]:
    """Return one reservation."""
    return {
        "reservationId": id_,
        "ownerId": region.account,
        "groupSet": [],
        "instancesSet": members,
    }


def instance(machine: Machine) -> dict[str, Any]:
    """Return one instance."""
    return {
        "instanceId": machine.id,
        "imageId": machine.image,
        "instanceState": state(machine.state),
        "privateDnsName": "",
        "dnsName": "",
        "reason": f"User initiated ({machine.since:%Y-%m-%d %H:%M:%S} GMT)"
        if machine.reason
        else "",
        "amiLaunchIndex": machine.index,
        "instanceType": machine.type,
        "launchTime": machine.started_at,
        "placement": {"availabilityZone": machine.zone, "tenancy": "default"},
        "monitoring": {"state": "disabled"},
        "subnetId": machine.subnet or None,
        "architecture": "x86_64",
        "rootDeviceType": machine.root_device,
        "rootDeviceName": "/dev/xvda",
        "blockDeviceMapping": _volumes(machine),
        "virtualizationType": "hvm",
        "clientToken": machine.client_token,
        "hypervisor": "xen",
        "instanceLifecycle": machine.lifecycle or None,
        "spotInstanceRequestId": machine.spot_request or None,
        "stateReason": _reason(machine),
        "metadataOptions": {
            "state": "applied",
            "httpTokens": machine.http_tokens,
            "httpPutResponseHopLimit": machine.hop_limit,
            "httpEndpoint": "enabled",
        },
        "operator": {
            "managed": bool(machine.managed_by),
            "principal": machine.managed_by or None,
            "hiddenByDefault": machine.hidden or None,
        },
        "tagSet": tag_set(machine.tags),
    }


def state(name: State) -> dict[str, Any]:
    """Return a state's number and name."""
    return {"code": name.code, "name": name.value}


def change(machine: Machine, previous: State) -> dict[str, Any]:
    """Return the state change that a call made to an instance.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceStateChange.html
    """
    return {
        "instanceId": machine.id,
        "currentState": state(machine.state),
        "previousState": state(previous),
    }


def spot_request(request: SpotRequest) -> dict[str, Any]:
    """Return one Spot request."""
    return {
        "spotInstanceRequestId": request.id,
        "type": "persistent" if request.persistent else "one-time",
        "state": request.state.value,
        "status": {"code": request.status, "updateTime": request.created_at},
        "instanceId": request.instance or None,
        "createTime": request.created_at,
        "launchedAvailabilityZone": request.blueprint.zone,
        "instanceInterruptionBehavior": "stop" if request.persistent else "terminate",
        "tagSet": tag_set(request.tags),
    }


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]] | None:
    """Return the tags, or None for no element if there are none."""
    return [{"key": key, "value": value} for key, value in tags.items()] or None


def _reason(machine: Machine) -> dict[str, str] | None:
    if not machine.reason:
        return None
    return {"code": machine.reason, "message": f"{machine.reason}: {REASONS[machine.reason]}"}


def _volumes(machine: Machine) -> list[dict[str, Any]]:
    if machine.state is State.TERMINATED:
        return []
    return [
        {
            "deviceName": volume.device,
            "ebs": {
                "volumeId": volume.id,
                "status": "attached",
                "attachTime": machine.started_at,
                "deleteOnTermination": volume.delete_on_termination,
            },
        }
        for volume in machine.volumes
    ]
