"""Translates Nova's description of a server. Missing or unknown values become ones that keep the server.

Source: https://docs.openstack.org/api-ref/compute/#servers-servers
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...core.instance import Instance, State, Volume
from ...core.target import Target
from .tags import tags_of

# The state of a server without a task. Any other status is unknown, and so is a server with an unknown task.
STATES = {
    "BUILD": State.PENDING,
    "ACTIVE": State.RUNNING,
    "SHUTOFF": State.STOPPED,
    "SHELVED": State.STOPPED,
    "SHELVED_OFFLOADED": State.STOPPED,
    "DELETED": State.TERMINATED,
    "SOFT_DELETED": State.TERMINATED,
}
# Nova lists a server as ACTIVE while it is being deleted; its task shows the deletion.
TASKS = {
    "deleting": State.SHUTTING_DOWN,
    "soft-deleting": State.SHUTTING_DOWN,
    "powering-off": State.STOPPING,
    "shelving": State.STOPPING,
    "shelving_offloading": State.STOPPING,
}
# Heat marks the servers it owns, and recreates those missing from an autoscaling group.
# Source: https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::AutoScalingGroup
HEAT_KEYS = ("metering.stack", "metering.stack_id")


def instance_of(server: Mapping[str, Any], target: Target) -> Instance:
    """Return the instance that Nova describes, by the SDK's names of its fields."""
    fault: Mapping[str, Any] = server.get("fault") or {}
    metadata: Mapping[str, str] = server.get("metadata") or {}
    tags, twice = tags_of(server.get("tags") or (), metadata)
    flavor: Mapping[str, Any] = server.get("flavor") or {}
    image: Mapping[str, Any] = server.get("image") or {}
    locked = server.get("is_locked")
    return Instance(
        id=server["id"],
        target=target,
        zone=server.get("availability_zone") or "",
        state=_state(server),
        state_reason=fault.get("message") or "",
        instance_type=flavor.get("original_name") or "",
        image=image.get("id") or "",
        started_at=_utc(server.get("launched_at") or server.get("created_at")),
        tags={"Name": server.get("name") or "", **tags},
        ambiguous=twice,
        locked=locked is not False,  # a missing value counts as locked
        managed_by="a Heat stack" if any(key in metadata for key in HEAT_KEYS) else "",
        volumes=tuple(
            Volume(
                id=volume.get("id") or "",
                device="",
                delete_on_termination=bool(volume.get("delete_on_termination")),
            )
            for volume in server.get("attached_volumes") or ()
        ),
    )


def _state(server: Mapping[str, Any]) -> State:
    status, task = server.get("status"), server.get("task_state")
    if status == "ERROR" and not server.get("launched_at") and not task:
        # It never had a host, and occupies only quota.
        return State.STOPPED
    state = STATES.get(str(status), State.UNKNOWN)
    if not task or state in {State.PENDING, State.TERMINATED, State.UNKNOWN}:
        return TASKS.get(str(task), state)
    return TASKS.get(str(task), State.UNKNOWN)


def _utc(text: str | None) -> datetime | None:
    """Return the instant of a text; without a time zone it is UTC, as in Nova's extensions."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
