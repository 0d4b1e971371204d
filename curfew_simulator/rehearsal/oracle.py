"""What a machine is to a policy of the file, worked out anew from the cloud's own record.

It shares no line with what Curfew decides by: a fault there must not be one here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from curfew.schemas.fields import Selectable
from curfew.schemas.policy_file import File, PolicyEntry
from curfew.schemas.select import TagValues

from ..cloud.ec2.machine import Machine

SERVICES = (
    "aws:",
    "eks:",
    "kubernetes.io/cluster/",
    "k8s.io/",
    "karpenter.sh/",
    "elasticbeanstalk:",
)
ALWAYS = "curfew:keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """Judges by a file and by the leases that were given; ``leases`` is by the machine's id."""

    file: File
    leases: Mapping[str, datetime]

    def meant(self, machine: Machine, policy: str, at: datetime) -> bool:
        """Whether the policy's words are true of the machine, to the letter."""
        entry = self.file.policies[policy]
        select, tags = entry.select, machine.tags
        spelt = {key.strip().lower() for key in tags}
        return (
            str(machine.state) in (select.states or get_args(Selectable))
            and all(key in tags and wanted(tags[key], match) for key, match in select.tags.items())
            and all(key in tags for key in select.with_tags)
            and not any(key.strip().lower() in spelt for key in select.without_tags)
            and (not select.instance_types or fits(machine.type, select.instance_types))
            and (not select.lease or self._ran_out(machine, at))
            and (entry.older_than is None or at - machine.launched_at >= entry.older_than)
        )

    def kept(self, machine: Machine, policy: str, at: datetime) -> str:
        """What protects the machine from the policy, in words; nothing if nothing does."""
        entry, tags = self.file.policies[policy], machine.tags
        keep = {ALWAYS, *(key.strip().lower() for key in self.file.protect.tags)}
        for key in tags:
            spelt = key.strip().lower()
            if spelt in keep:
                return f"the tag {key}"
            if spelt.startswith(SERVICES) and not spelt.startswith("aws:ec2launchtemplate:"):
                return f"the tag {key} of a service"
        if machine.protected:
            return "an attribute"
        if machine.managed_by:
            return f"{machine.managed_by}, which manages it"
        if machine.lifecycle not in {"", "spot"}:
            return f"its capacity, {machine.lifecycle}"
        spellings = [key.strip().lower() for key in tags]
        if any(spellings.count(key.strip().lower()) > 1 for key in read(entry)):
            return "a tag in two spellings"
        if not entry.select.lease and self.leases.get(machine.id, at) > at:
            return f"its lease until {self.leases[machine.id]}"
        if entry.action == "stop" and (machine.root_device != "ebs" or machine.lifecycle == "spot"):
            return "that it cannot be stopped"
        if at - machine.launched_at < self.file.protect.min_age:
            return "its youth"
        return ""

    def _ran_out(self, machine: Machine, at: datetime) -> bool:
        return machine.id in self.leases and self.leases[machine.id] <= at


def read(entry: PolicyEntry) -> list[str]:
    """The tag keys that a policy reads."""
    select = entry.select
    return [*select.tags, *select.with_tags, *select.without_tags]


def wanted(value: str, match: TagValues) -> bool:
    """Whether a tag's value is one of those, or like one of the patterns."""
    return value in match.values or fits(value, match.like)


def fits(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text is like one of the patterns, of which ``*`` and ``?`` are the only signs."""
    signs = {"*": ".*", "?": "."}
    made = ("".join(signs.get(c, re.escape(c)) for c in pattern) for pattern in patterns)
    return any(re.fullmatch(pattern, text, re.DOTALL) for pattern in made)
