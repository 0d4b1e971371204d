"""Translates EC2's description of an instance. Missing or unknown values become ones that keep the instance."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...core.instance import Instance, State, Volume
from ...core.target import Target

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef


def instance_of(raw: "InstanceTypeDef", target: Target) -> Instance:
    """Return the instance that EC2 describes."""
    operator = raw.get("Operator", {})
    managed = "" if not operator.get("Managed") else operator.get("Principal") or "an AWS service"
    return Instance(
        id=raw["InstanceId"],
        target=target,
        zone=raw.get("Placement", {}).get("AvailabilityZone", ""),
        state=_state(raw.get("State", {}).get("Name", "")),
        state_reason=raw.get("StateReason", {}).get("Message", ""),
        instance_type=raw.get("InstanceType", ""),
        image=raw.get("ImageId", ""),
        started_at=_aware(raw.get("LaunchTime")),
        tags={tag.get("Key", ""): tag.get("Value", "") for tag in raw.get("Tags", [])},
        lifecycle=raw.get("InstanceLifecycle", "on-demand"),
        spot_request=raw.get("SpotInstanceRequestId", ""),
        managed_by=managed,
        root_device=raw.get("RootDeviceType", ""),
        volumes=tuple(
            Volume(
                id=device.get("Ebs", {}).get("VolumeId", ""),
                device=device.get("DeviceName", ""),
                delete_on_termination=device.get("Ebs", {}).get("DeleteOnTermination", False),
            )
            for device in raw.get("BlockDeviceMappings", [])
        ),
    )


def previous_states(changes: Sequence[Any]) -> dict[str, State]:
    """Return the state of each instance before the call, from its answer."""
    return {
        change["InstanceId"]: _state(change.get("PreviousState", {}).get("Name", ""))
        for change in changes
    }


def _state(word: str) -> State:
    return State(word) if word in State else State.UNKNOWN


def _aware(at: datetime | None) -> datetime | None:
    # A time without a zone counts as missing, which keeps the instance.
    return at if at is not None and at.tzinfo is not None else None
