"""RunInstances: which instances EC2 launches, where and how many, and how a client token makes a call idempotent.

Sources: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html,
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import iam
from ..call import ApiCall
from ..protocols import ApiError
from . import errors, lifecycle, render, tags
from .machine import Machine, SpotRequest, State, Volume
from .region import Region

IMAGE = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})|resolve:ssm:\S+")
SIZE = re.compile(r"[a-z0-9-]+\.(nano|micro|small|medium|large|metal|(\d*)xlarge|metal-\d+xl)")
VCPUS = {"nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "metal": 96}
# Source: https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html
SINGLE = frozenset({"t2.nano", "t2.micro", "t2.small"})
TAGGABLE = ("instance", "volume", "network-interface", "spot-instances-request")


@dataclass(frozen=True, slots=True)
class EarlierLaunch:
    """A launch with a client token: the request's arguments, the ids of its instances, and its reservation."""

    asked: str
    ids: tuple[str, ...]
    reservation: str


def run_instances(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Launch as many instances as there is room for, up to ``MaxCount``, with their tags.

    Raise ApiError if there is room for fewer than ``MinCount``, or if the request is invalid or not allowed.
    """
    arguments = call.arguments
    least, most = _count(arguments, "MinCount"), _count(arguments, "MaxCount")
    if least > most:
        said = (
            f"Value ({least}) for parameter minCount is invalid. It must not be more than maxCount."
        )
        raise errors.invalid(said)
    blueprint = _blueprint(region, arguments)
    wanted = tags.specified(arguments.get("TagSpecification", []), TAGGABLE)
    zone = _zone(region, arguments)
    _authorise(region, call, blueprint, wanted)
    errors.dry_run(arguments)
    token = arguments.get("ClientToken", "")
    if len(token) > 64 or not token.isascii():
        raise errors.invalid("Invalid value for ClientToken: at most 64 ASCII characters")
    # EC2 remembers a token for each zone that a request names: in another zone, the same token launches again.
    place = (zone or "", token)
    said = repr(sorted((k, v) for k, v in arguments.items() if k not in {"ClientToken", "DryRun"}))
    if token and (earlier := region.launches.get(place)):
        _check_memory(region, earlier, said)
        return _answer(region, earlier)
    zone = zone or max(
        region.zones, key=lambda z: region.limits.capacity.get((blueprint.type, z), 10**6)
    )
    number = min(most, _room(region, blueprint.type, zone, least))
    blueprint = replace(
        blueprint, zone=zone, client_token=token, tags=wanted["instance"],
        subnet=arguments.get("SubnetId") or _subnet_of(region, zone),
    )  # fmt: skip
    ids = tuple(
        _launched(region, replace(blueprint, index=index), arguments, wanted)
        for index in range(number)
    )
    earlier = EarlierLaunch(said, ids, blueprint.reservation)
    if token:
        region.launches[place] = earlier
    return _answer(region, earlier)


def _check_memory(region: Region, earlier: EarlierLaunch, asked: str) -> None:
    """Raise ApiError if the token was used with other arguments, or if one of its instances is terminated.

    Recorded responses: rust-lang/bors#830 has one of the two errors, boto/boto3#4406 the other.
    """
    if earlier.asked != asked:
        said = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
        raise ApiError("IdempotentParameterMismatch", said)
    if any(region.last(id_).state is State.TERMINATED for id_ in earlier.ids):
        said = "The client token you have provided is associated with a terminated instance."
        raise ApiError(
            "IdempotentInstanceTerminated", f"{said} Please use a different client token."
        )


def _launched(
    region: Region,
    blueprint: Machine,
    arguments: Mapping[str, Any],
    wanted: Mapping[str, Mapping[str, str]],
) -> str:
    spot = _spot(arguments)
    request_id = f"sir-{region.rng.of('ids').getrandbits(32):08x}" if spot is not None else ""
    machine = lifecycle.launch(region, replace(blueprint, spot_request=request_id))
    for volume in machine.volumes:
        region.side_tags[volume.id] = dict(wanted["volume"])
    region.side_tags[region.rng.id("eni")] = dict(wanted["network-interface"])
    if spot is not None:
        region.spot_requests[request_id] = SpotRequest(
            id=request_id,
            blueprint=machine,
            created_at=region.clock.now(),
            instance=machine.id,
            persistent=spot.get("SpotInstanceType") == "persistent",
            tags=wanted["spot-instances-request"],
        )
    pool = (machine.type, machine.zone)
    if pool in region.limits.capacity:
        region.limits.capacity[pool] -= 1
    return machine.id


def _blueprint(region: Region, arguments: Mapping[str, Any]) -> Machine:
    image, type_ = arguments.get("ImageId", ""), arguments.get("InstanceType", "m1.small")
    if "LaunchTemplate" in arguments:
        raise ApiError("UnsupportedOperation", "launch templates are not modelled")
    if not image:
        raise ApiError("MissingParameter", "The request must contain the parameter ImageId")
    if not IMAGE.fullmatch(image):
        raise ApiError("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    if not SIZE.fullmatch(type_):
        raise errors.invalid(f"Invalid value '{type_}' for InstanceType.")
    protected = arguments.get("DisableApiTermination") == "true"
    unstoppable = arguments.get("DisableApiStop") == "true"
    spot = _spot(arguments)
    if spot is not None:
        _check_spot(spot, protected=protected or unstoppable)
    options = arguments.get("MetadataOptions", {})
    return Machine(
        id="",
        zone="",
        image=image,
        type=type_,
        reservation=region.rng.id("r"),
        lifecycle="spot" if spot is not None else "",
        volumes=_volumes(arguments),
        http_tokens=options.get("HttpTokens", "optional"),
        hop_limit=int(options.get("HttpPutResponseHopLimit", 1)),
        shutdown_behavior=arguments.get("InstanceInitiatedShutdownBehavior", "stop"),
        termination_protected=protected,
        stop_protected=unstoppable,
    )


def _volumes(arguments: Mapping[str, Any]) -> tuple[Volume, ...]:
    devices = {lifecycle.ROOT.device: lifecycle.ROOT}
    for mapping in arguments.get("BlockDeviceMapping", []):
        stays = mapping.get("Ebs", {}).get("DeleteOnTermination") == "false"
        device = mapping.get("DeviceName", "")
        devices[device] = Volume(id="", device=device, delete_on_termination=not stays)
    return tuple(devices.values())


def _check_spot(spot: Mapping[str, str], *, protected: bool) -> None:
    """Raise ApiError for options that a Spot Instance cannot have."""
    if protected:
        said = "Termination and stop protection cannot be enabled for Spot Instances."
        raise ApiError("InvalidParameterCombination", said)
    lasting = spot.get("InstanceInterruptionBehavior") in {"stop", "hibernate"}
    if spot.get("SpotInstanceType") == "persistent" and not lasting:
        said = "Persistent Spot requests need the interruption behavior stop or hibernate."
        raise ApiError("InvalidParameterCombination", said)


def _spot(arguments: Mapping[str, Any]) -> Mapping[str, str] | None:
    market: Mapping[str, Any] = arguments.get("InstanceMarketOptions", {})
    return market.get("SpotOptions", {}) if market.get("MarketType") == "spot" else None


def _zone(region: Region, arguments: Mapping[str, Any]) -> str | None:
    zone: str | None = arguments.get("Placement", {}).get("AvailabilityZone")
    subnet = arguments.get("SubnetId")
    if subnet:
        if subnet not in region.subnets:
            raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        if zone and zone != region.subnets[subnet]:
            raise errors.invalid(f"The subnet '{subnet}' is not in the availability zone '{zone}'")
        return region.subnets[subnet]
    if zone and zone not in region.zones:
        raise errors.invalid(f"Invalid availability zone: [{zone}]")
    return zone


def _room(region: Region, type_: str, zone: str, least: int) -> int:
    """Return how many instances there is room for. Raise ApiError if that is fewer than ``least``.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html. EC2 reports
    missing capacity as HTTP 500, which is why clients retry it.
    """
    alive = list(region.alive())
    instances = region.limits.instances - len(alive)
    if instances < least:
        limit = f"your current instance limit of {region.limits.instances} allows"
        said = f"You have requested more instances ({least}) than {limit}"
        raise ApiError("InstanceLimitExceeded", said)
    vcpus = (region.limits.vcpus - sum(vcpus_of(m.type) for m in alive)) // vcpus_of(type_)
    if vcpus < least:
        said = (
            f"You have requested more vCPU capacity than your current vCPU limit of {region.limits.vcpus} allows "
            "for the instance bucket that the specified instance type belongs to."
        )
        raise ApiError("VcpuLimitExceeded", said)
    capacity = region.limits.capacity.get((type_, zone), 10**6)
    if capacity < least:
        said = (
            f"We currently do not have sufficient {type_} capacity in the Availability Zone you requested ({zone}). "
            "Our system will be working on provisioning additional capacity."
        )
        raise ApiError("InsufficientInstanceCapacity", said, 500)
    return min(instances, vcpus, capacity)


def vcpus_of(type_: str) -> int:
    """Return about how many vCPUs an instance type has: each size has twice as many as the one below it."""
    if type_ in SINGLE:
        return 1
    found = SIZE.fullmatch(type_)
    size, times = found.groups() if found else ("large", None)
    return VCPUS.get(size, 4 * int(times or 1))


def _authorise(
    region: Region, call: ApiCall, blueprint: Machine, wanted: Mapping[str, Mapping[str, str]]
) -> None:
    """Raise ApiError unless IAM allows the launch of every resource that the call creates, and the tags of each.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    kinds = [kind for kind in TAGGABLE if kind != "spot-instances-request" or blueprint.lifecycle]
    resources = {kind: region.arn(kind, "*") for kind in kinds}
    resources["image"] = region.arn("image", blueprint.image)
    for kind, arn in resources.items():
        own = wanted.get(kind, {})

        def context(own: Mapping[str, str] = own) -> iam.Context:
            return {
                "aws:requestedregion": region.name,
                "ec2:region": region.name,
                "ec2:instancetype": blueprint.type,
                "ec2:metadatahttptokens": blueprint.http_tokens,
                "ec2:createaction": "RunInstances",
                **iam.tagged("aws:RequestTag", own.items()),
                **({"aws:tagkeys": tuple(own)} if own else {}),
            }

        call.principal.demand("ec2:RunInstances", arn, context)
        if own:
            call.principal.demand("ec2:CreateTags", arn, context)


def _answer(region: Region, earlier: EarlierLaunch) -> Mapping[str, Any]:
    members = [render.machine(region, region.last(id_)) for id_ in earlier.ids]
    return render.reservation(region, earlier.reservation, members)


def _subnet_of(region: Region, zone: str) -> str:
    return next(subnet for subnet, of in region.subnets.items() if of == zone)


def _count(arguments: Mapping[str, Any], name: str) -> int:
    text = str(arguments.get(name, ""))
    if not text.isdecimal() or int(text) < 1:
        raise errors.invalid(f"Value ({text}) for parameter {name} is invalid.")
    return int(text)
