"""Whether a policy means an instance, and what protects it, decided again from the cloud's own record.

It shares no line with what Curfew decides by: a fault there must not be one here.
"""

import re
from datetime import datetime
from typing import get_args

from curfew.schemas.fields import Selectable
from curfew.schemas.policy_file import File, PolicyEntry
from curfew.schemas.select import TagValues

from ..cloud.ec2.machine import Machine, State

ALIVE = frozenset({State.PENDING, State.RUNNING, State.STOPPING, State.STOPPED})
ALWAYS = "curfew:keep"
SERVICES = (
    "aws:",
    "eks:",
    "kubernetes.io/cluster/",
    "k8s.io/",
    "karpenter.sh/",
    "elasticbeanstalk:",
)


def is_selected(file: File, machine: Machine, policy: str) -> bool:
    """Whether a policy's states, tags and types match the instance. Its age and its lease are not asked for here."""
    select, tags = file.policies[policy].select, machine.tags
    spelt = {key.strip().lower() for key in tags}
    return (
        str(machine.state) in (select.states or get_args(Selectable))
        and all(key in tags and wanted(tags[key], match) for key, match in select.tags.items())
        and all(key in tags for key in select.with_tags)
        and not any(key.strip().lower() in spelt for key in select.without_tags)
        and (not select.instance_types or fits(machine.type, select.instance_types))
    )


def old_enough(file: File, started_at: datetime, policy: str, at: datetime) -> bool:
    """Whether an instance has the age that a policy waits for."""
    older_than = file.policies[policy].older_than
    return older_than is None or at - started_at >= older_than


def protection_of(file: File, machine: Machine, policy: str, at: datetime) -> str:
    """What protects the instance from a policy, as a listing shows it; empty if nothing does.

    Without a policy the question is what protects it when its fleet is terminated. Attributes and leases are not asked
    for here: no listing shows them.
    """
    entry, tags = file.policies.get(policy), machine.tags
    keep = {ALWAYS, *(key.strip().lower() for key in file.protect.tags)}
    for key in tags:
        spelt = key.strip().lower()
        if spelt in keep:
            return f"the tag {key}"
        if spelt.startswith(SERVICES) and not spelt.startswith("aws:ec2launchtemplate:"):
            return f"the tag {key} of a service"
    if machine.managed_by or machine.hidden:
        return f"{machine.managed_by}, which manages it"
    if machine.lifecycle not in {"", "spot"}:
        return f"its capacity, {machine.lifecycle}"
    if entry is None:
        return ""
    spellings = [key.strip().lower() for key in tags]
    if any(spellings.count(key.strip().lower()) > 1 for key in read(entry)):
        return "a tag in two spellings"
    if entry.action == "stop" and (machine.root_device != "ebs" or machine.lifecycle == "spot"):
        return "that it cannot be stopped"
    if at - machine.started_at < file.protect.min_age:
        return "its youth"
    return ""


def read(entry: PolicyEntry) -> list[str]:
    """The tag keys that a policy reads."""
    select = entry.select
    return [*select.tags, *select.with_tags, *select.without_tags]


def wanted(value: str, match: TagValues) -> bool:
    """Whether a tag's value is one of those, or like one of the patterns."""
    return value in match.values or fits(value, match.like)


def fits(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text is like one of the patterns, in which only ``*`` and ``?`` have a meaning."""
    signs = {"*": ".*", "?": "."}
    made = ("".join(signs.get(c, re.escape(c)) for c in pattern) for pattern in patterns)
    return any(re.fullmatch(pattern, text, re.DOTALL) for pattern in made)
