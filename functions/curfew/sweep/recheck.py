"""The second look: an instance that was to be acted on is described and judged again, just before the call.

A plan can only lose actions here. What is not described any more is missing, which proves nothing about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..core.plan import Action, Plan, decide, protect
from ..core.policy import Policy
from ..ledger.protocols import Ledger
from ..providers.base import Provider
from .lease_lookup import with_leases


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """The plan as it is now, and the actions whose instance was not described."""

    plan: Plan
    missing: tuple[Action, ...]


def recheck(
    actions: Sequence[Action],
    policy: Policy,
    *,
    provider: Provider,
    ledger: Ledger,
    now: datetime,
) -> Recheck:
    """Describe, attach leases, decide and protect again. Raises ProviderError, LedgerError.

    First-seen times are those of the plan: the ledger never changes one.
    """
    seen = provider.describe([action.instance.id for action in actions])
    described = [
        replace(seen[a.instance.id], first_seen_at=a.instance.first_seen_at)
        for a in actions
        if a.instance.id in seen
    ]
    plan = decide(with_leases(described, ledger.fleets, provider.target), policy, now)
    attributes = provider.protections([action.instance.id for action in plan.actions])
    return Recheck(
        plan=protect(plan, attributes),
        missing=tuple(a for a in actions if a.instance.id not in seen),
    )
