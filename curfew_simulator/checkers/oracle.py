"""What a machine is to a policy, worked out anew from the cloud's own record: meant by it, or protected from it."""

from datetime import datetime, timedelta

from ..cloud.ec2.machine import Machine, State
from ..simulation import policies

YOUNG = timedelta(minutes=15)
THREE_DAYS = timedelta(days=3)
ALIVE = frozenset({State.PENDING, State.RUNNING, State.STOPPING, State.STOPPED})


def meant(machine: Machine, policy: str) -> bool:
    """Whether the policy's states and tags are the machine's, to the letter."""
    tags, state = machine.tags, machine.state
    match policy:
        case "nightly":
            return state is State.RUNNING and tags.get("env") in {"dev", "sandbox"}
        case "halt":
            return state is State.RUNNING and tags.get("env") == "prod"
        case "ownerless":
            bare = not {"owner", "env"} & {key.strip().lower() for key in tags}
            return bare and state in {State.RUNNING, State.STOPPED}
        case "leases":
            return state in ALIVE
    return False


def kept(machine: Machine, policy: str, at: datetime) -> str:
    """What protects the machine from a policy, or from its fleet's end if there is none, as a listing shows it."""
    for key in machine.tags:
        spelt = key.strip().lower()
        if spelt in policies.PROTECTING:
            return f"tag {key}"
        if spelt.startswith("aws:") and not spelt.startswith("aws:ec2launchtemplate:"):
            return f"tag {key}"
    if machine.managed_by or machine.hidden:
        return f"managed by {machine.managed_by}"
    if machine.lifecycle not in {"", "spot"}:
        return machine.lifecycle
    read = {"nightly": {"env"}, "halt": {"env"}, "ownerless": {"owner", "env"}}.get(policy, set())
    spellings = [key.strip().lower() for key in machine.tags]
    if any(spellings.count(key) > 1 for key in read):
        return "an ambiguous tag"
    if policy == "halt" and (machine.root_device != "ebs" or machine.lifecycle == "spot"):
        return "cannot be stopped"
    if policy and at - machine.launched_at < YOUNG:
        return "young"
    return ""
