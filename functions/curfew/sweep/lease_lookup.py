"""Attaches the ledger's leases to described instances, for the plan and again for each re-check."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ..core.instance import Instance
from ..core.lease import LAUNCH_ID_TAG
from ..core.policy import NOT_SELECTED, Selector, out_of_lease
from ..core.target import Target
from ..ledger.protocols import Fleets


def with_leases(instances: Sequence[Instance], fleets: Fleets, target: Target) -> list[Instance]:
    """Return the instances with their leases; one without a lease gets the fleet name of its unfinished launch.

    An instance of an unfinished launch may not be recorded yet: it has a tag and no lease. The launches are read
    before its lease is read again, so that it has one of the two, whenever it is recorded. Raises LedgerError.
    """
    leases = dict(fleets.leases(target, [instance.id for instance in instances]))
    launching: dict[str, str] = {}
    if tagged := [i.id for i in instances if i.id not in leases and LAUNCH_ID_TAG in i.tags]:
        launching = {f.launch_id: f.name for f in fleets.unfinished() if f.target == target}
        leases |= fleets.leases(target, tagged)
    return [
        replace(
            instance,
            lease=leases.get(instance.id),
            launching=""
            if instance.id in leases
            else launching.get(instance.tags.get(LAUNCH_ID_TAG, ""), ""),
        )
        for instance in instances
    ]


def select_by_lease(
    instances: Sequence[Instance],
    selector: Selector,
    fleets: Fleets,
    target: Target,
    now: datetime,
) -> list[Instance]:
    """Return the instances with their leases, without those that the selector excludes by lease.

    This only keeps the plan small: ``judge`` applies the same rule to each of the others. Raises LedgerError.
    """
    known = with_leases(instances, fleets, target)
    findings = [out_of_lease(instance, selector, now) for instance in known]
    return [
        instance
        for instance, finding in zip(known, findings, strict=True)
        if finding is None or finding.rule != NOT_SELECTED
    ]
