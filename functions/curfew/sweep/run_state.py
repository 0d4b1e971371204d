"""*act*: the state that the workers of one run share: the plan, the ports, the claims and the reason for an abort."""

from collections.abc import Sequence
from datetime import timedelta
from threading import Lock

from ..clock import Clock
from ..core.audit import Draft
from ..core.lease import Lease
from ..core.plan import Plan
from ..ledger.protocols import Ledger
from ..providers.base import Provider

# A call is made only with this much time left. Its re-checks and ledger entries usually take a few seconds.
ROOM = timedelta(seconds=60)
# An older plan is not executed.
SHELF_LIFE = timedelta(minutes=15)


class RunState:
    """The execution of one plan, by workers that may run concurrently.

    An abort holds for all workers: none makes another call. A fleet is claimed once for the whole run, however many
    workers process its instances.
    """

    def __init__(
        self, plan: Plan, *, sweep_id: str, provider: Provider, ledger: Ledger, clock: Clock
    ) -> None:
        self.plan, self.sweep_id = plan, sweep_id
        self.provider, self.ledger, self.clock = provider, ledger, clock
        self.planned = {action.instance.id: action for action in plan.actions}
        self.claims: dict[tuple[str, str], bool] = {}
        self.abort_reason = ""
        self.cut = False  # lack of time is the only reason for the abort
        self._abort_lock, self._claim_lock, self._write_lock = Lock(), Lock(), Lock()

    def may_continue(self) -> bool:
        """Return whether a further call may be made, and abort if not: by time, age or pause. Raises LedgerError."""
        if self.check_time() and (pause := self.ledger.paused()):
            self.abort(str(pause))
        return not self.abort_reason

    def check_time(self) -> bool:
        """Return whether a further call may be made, apart from a pause; if time is up or the plan is stale, abort."""
        if not self.clock.has(ROOM):
            self.abort("out of time: left to the next sweep", cut=True)
        elif self.clock.now() - self.plan.made_at > SHELF_LIFE:
            self.abort("the plan is stale: make a new one", cut=True)
        return not self.abort_reason

    def abort(self, reason: str, *, cut: bool = False) -> None:
        """Stop all workers before their next call. ``cut``: the reason is a lack of time.

        The first reason is reported, but any other reason replaces a lack of time: only a sweep whose sole problem is
        time gets a continuation.
        """
        with self._abort_lock:
            if not self.abort_reason or (self.cut and not cut):
                self.abort_reason, self.cut = reason, cut

    def claim(self, lease: Lease) -> bool:
        """Return whether this run has the claim on the fleet; the first call asks the ledger. Raises LedgerError."""
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
        """Append to the audit, one worker at a time: all extend the same hash chain. Raises LedgerError."""
        with self._write_lock:
            self.ledger.append(self.provider.target, drafts)
