"""Nova's description of a server in our words: what is missing or unknown becomes what keeps.

Source: https://docs.openstack.org/api-ref/compute/#servers-servers
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...core.instance import Instance, State, Volume
from ...core.target import Target
from .tags import tags_of

# A server that does nothing at the moment. Whatever is not here is unknown, and so is what is busy with a task.
STATES = {
    "BUILD": State.PENDING,
    "ACTIVE": State.RUNNING,
    "SHUTOFF": State.STOPPED,
    "SHELVED": State.STOPPED,
    "SHELVED_OFFLOADED": State.STOPPED,
    "DELETED": State.TERMINATED,
    "SOFT_DELETED": State.TERMINATED,
}
# A server is listed as ACTIVE while it is being deleted: the task tells.
TASKS = {
    "deleting": State.SHUTTING_DOWN,
    "soft-deleting": State.SHUTTING_DOWN,
    "powering-off": State.STOPPING,
    "shelving": State.STOPPING,
    "shelving_offloading": State.STOPPING,
}
# Heat marks what it owns, and makes anew what is missing from an autoscaling group.
# Source: https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::AutoScalingGroup
HEAT_KEYS = ("metering.stack", "metering.stack_id")


def instance_of(server: Mapping[str, Any], target: Target) -> Instance:
    """A server as Nova describes it, in the names of the SDK."""
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
        launched_at=_utc(server.get("launched_at") or server.get("created_at")),
        tags={"Name": server.get("name") or "", **tags},
        ambiguous=twice,
        locked=locked is not False,  # not said is locked
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
        # It was never anywhere: no host was found for it. What it takes up is the quota.
        return State.STOPPED
    state = STATES.get(str(status), State.UNKNOWN)
    if not task or state in {State.PENDING, State.TERMINATED, State.UNKNOWN}:
        return TASKS.get(str(task), state)
    return TASKS.get(str(task), State.UNKNOWN)


def _utc(text: str | None) -> datetime | None:
    """An instant; Nova's are UTC, and those of its extensions do not say so."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
