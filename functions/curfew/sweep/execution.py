"""*act*: executes a plan with one worker for each kind of action and zone, concurrently if the caller allows it.

A worker processes its batches in sequence, and no batch crosses a zone (``zone_worker``). If one worker aborts, all
stop (``run_state``). Verification and outcomes are common to all workers. Every action ends as one ``Outcome``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import batched, groupby

from ..clock import Clock
from ..concurrency import TaskRunner, run_sequentially
from ..core import audit
from ..core.errors import LedgerError, ProviderError
from ..core.instance import ActionKind, State
from ..core.plan import Action, Plan
from ..core.report import Outcome, Result
from ..ledger.protocols import Ledger
from ..providers.base import Provider
from .run_state import RunState
from .zone_worker import ZoneWorker

# EC2 accepts 1,000 ids and advises fewer. 20 are re-checked and called within seconds, and an error affects only them.
BATCH = 20
# "From a couple of seconds up to a few minutes" is what EC2's guide on eventual consistency advises; these add up to
# one minute. Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
WAITS = (0, 2, 4, 8, 16, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """One outcome per action, in the plan's order. ``problem`` says why the run ended early; empty if it did not.

    ``cut``: lack of time is the only reason.
    """

    outcomes: tuple[Outcome, ...]
    problem: str = ""
    cut: bool = False


def execute(
    plan: Plan,
    *,
    sweep_id: str,
    provider: Provider,
    ledger: Ledger,
    clock: Clock,
    run_tasks: TaskRunner = run_sequentially,
) -> Executed:
    """Execute the plan and return an outcome for every action. An error becomes an outcome or the problem."""
    state = RunState(plan, sweep_id=sweep_id, provider=provider, ledger=ledger, clock=clock)
    workers: list[ZoneWorker] = []
    tasks = []
    for _, group in groupby(batches(plan.actions), key=lambda batch: _zone_key(batch[0])):
        workers.append(ZoneWorker(state))
        tasks.append(partial(_process_zone, state, workers[-1], tuple(group)))
    try:
        run_tasks(tasks)
    except BaseException as fault:
        state.abort(_interruption(fault))  # workers that still run make no further call
        raise
    execution = _Execution(state, workers)
    execution.verify()
    return execution.close()


def batches(actions: Sequence[Action]) -> Iterator[tuple[Action, ...]]:
    """Yield all actions in disjoint batches of one kind and one zone each.

    EC2 refuses every instance of a call that is in the same zone as a protected one, and only those.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """
    for _, of_one_zone in groupby(sorted(actions, key=_zone_key), key=_zone_key):
        yield from batched(of_one_zone, BATCH, strict=False)


def _zone_key(action: Action) -> tuple[str, str]:
    # An instance without a zone is a batch by itself: it is unknown which others an error would affect.
    return action.kind, action.instance.zone or action.instance.id


def _process_zone(
    state: RunState, worker: ZoneWorker, of_one_zone: Iterable[Sequence[Action]]
) -> None:
    try:
        for batch in of_one_zone:
            worker.process_batch(batch)
    except BaseException as fault:
        state.abort(_interruption(fault))  # at once, before the other workers end
        raise


def _interruption(fault: BaseException) -> str:
    return f"interrupted by {type(fault).__name__}"


class _Execution:
    """The combined results of all workers."""

    def __init__(self, state: RunState, workers: Sequence[ZoneWorker]) -> None:
        self._state = state
        self._provider = state.provider
        self._ledger = state.ledger
        self._clock = state.clock
        self.outcomes: dict[str, Outcome] = {}
        self.accepted: dict[str, Action] = {}
        self.intended: set[str] = set()
        self.unnamed: set[str] = set()
        for worker in workers:
            self.outcomes |= worker.outcomes
            self.accepted |= worker.accepted
            self.intended |= worker.intended
            self.unnamed |= worker.unnamed

    def verify(self) -> None:
        """Describe the accepted instances until each is seen in an end state, or time is up."""
        for wait in WAITS:
            if not self.accepted or not self._clock.has(timedelta(seconds=wait + 10)):
                break
            self._clock.sleep(wait)
            try:
                seen = self._provider.describe(list(self.accepted))
            except ProviderError:
                continue
            for id_, action in list(self.accepted.items()):
                if id_ in seen and seen[id_].state in self._end_states(action):
                    del self.accepted[id_]
                    self._record([action], Result.VERIFIED, f"seen {seen[id_].state}")
        for id_, action in self.accepted.items():
            if id_ in self.unnamed:
                self._record([action], Result.UNKNOWN, "the cloud's answer did not name it")
            else:
                self._record(
                    [action],
                    Result.ACCEPTED,
                    "the cloud accepted the call; the end is not seen yet",
                )

    def _end_states(self, action: Action) -> frozenset[State]:
        """Return the states that verify an action. A transition counts only on a cloud that surely completes it."""
        if self._provider.capabilities.ends_for_sure:
            return action.kind.ends
        return action.kind.ends - {State.SHUTTING_DOWN, State.STOPPING}

    def close(self) -> Executed:
        """Write the outcomes of all intents and release the claims. An unwritten one stays open for the next sweep."""
        outcomes = tuple(self.outcomes[id_] for id_ in self._state.planned)
        now = self._clock.now()
        drafts = [
            audit.outcome(outcome, sweep_id=self._state.sweep_id, at=now)
            for outcome in outcomes
            if outcome.action.instance.id in self.intended
        ]
        try:
            if drafts:
                self._state.append(drafts)
            self._release_claims()
        except LedgerError as error:
            self._state.abort(f"the outcomes are not written: {error}")
        return Executed(outcomes=outcomes, problem=self._state.abort_reason, cut=self._state.cut)

    def _release_claims(self) -> None:
        """Record the terminated instances in the register, and release the claims on fleets. Raises LedgerError."""
        ended = [
            id_
            for id_, outcome in self.outcomes.items()
            if outcome.result is Result.VERIFIED
            and outcome.action.kind is ActionKind.TERMINATE
            and outcome.action.instance.lease
        ]
        if ended:
            self._ledger.fleets.end(self._provider.target, ended, now=self._clock.now())
        for fleet, claimed in self._state.claims.items():
            if claimed:
                self._ledger.fleets.unclaim(*fleet, self._state.sweep_id)

    def _record(self, actions: Sequence[Action], result: Result, detail: str) -> None:
        for action in actions:
            id_ = action.instance.id
            self.outcomes[id_] = Outcome(
                action=self._state.planned[id_], result=result, detail=detail
            )
