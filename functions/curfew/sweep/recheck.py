"""*act*: describes and judges instances again, just before the call.

A re-check can only remove actions from a plan. An instance that the cloud no longer describes is missing, which does
not prove that it ended.
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
    """The plan as decided now, and the actions whose instances were not described."""

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
    """Describe the instances, attach their leases, decide and protect again. Raises ProviderError, LedgerError.

    The first-seen times come from the plan, since the ledger never changes one.
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
