"""*act*: what the lanes of one run share: the plan, the ports, the claims, and the halt that stops them all."""

from collections.abc import Sequence
from datetime import timedelta
from threading import Lock

from ..clock import Clock
from ..core.audit import Draft
from ..core.lease import Lease
from ..core.plan import Plan
from ..ledger.protocols import Ledger
from ..providers.base import Provider

# A call is made only with this much time left; the looks and entries that belong to it take a few seconds as a rule.
ROOM = timedelta(seconds=60)
# A plan that is older than this has to be made anew.
SHELF_LIFE = timedelta(minutes=15)


class RunState:
    """One plan that is being carried out, by lanes that may run side by side.

    What one lane finds holds for all: once it is halted, no lane makes another call. A fleet is claimed once for the
    whole run, however many lanes have a part of it.
    """

    def __init__(
        self, plan: Plan, *, sweep_id: str, provider: Provider, ledger: Ledger, clock: Clock
    ) -> None:
        self.plan, self.sweep_id = plan, sweep_id
        self.provider, self.ledger, self.clock = provider, ledger, clock
        self.planned = {action.instance.id: action for action in plan.actions}
        self.claims: dict[tuple[str, str], bool] = {}
        self.abort_reason = ""
        self.cut = False  # it was halted because time is up, and for no other reason
        self._abort_lock, self._claim_lock, self._write_lock = Lock(), Lock(), Lock()

    def may_continue(self) -> bool:
        """Whether a further call may be made. Raises LedgerError."""
        if self.check_time() and (pause := self.ledger.paused()):
            self.abort(str(pause))
        return not self.abort_reason

    def check_time(self) -> bool:
        """Whether nothing has halted the run, and there is time for a further call; else it is halted now."""
        if not self.clock.has(ROOM):
            self.abort("out of time: the next sweep takes it up", cut=True)
        elif self.clock.now() - self.plan.made_at > SHELF_LIFE:
            self.abort("the plan is stale: it has to be made anew", cut=True)
        return not self.abort_reason

    def abort(self, reason: str, *, cut: bool = False) -> None:
        """No lane makes another call. The first reason is the one that is told, but for time: any other outdoes it.

        What is wrong beside the time is not handed on.
        """
        with self._abort_lock:
            if not self.abort_reason or (self.cut and not cut):
                self.abort_reason, self.cut = reason, cut

    def claim(self, lease: Lease) -> bool:
        """Whether the fleet is in hand: claimed now, or before by another lane. Raises LedgerError."""
        fleet = (lease.fleet, lease.launch_id)
        with self._claim_lock:
            if fleet not in self.claims:
                self.claims[fleet] = self.ledger.fleets.claim(
                    *fleet,
                    self.sweep_id,
                    now=self.clock.now(),
                    expired=not self.plan.policy.ends_leases,
                )
            return self.claims[fleet]

    def append(self, drafts: Sequence[Draft]) -> None:
        """Add to the audit. One lane at a time: all would move the same head. Raises LedgerError."""
        with self._write_lock:
            self.ledger.append(self.provider.target, drafts)
