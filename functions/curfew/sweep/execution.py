"""*act*: carries out a plan, in lanes: one for each action and zone, side by side where the application can.

Within a lane it goes batch by batch, never across a zone (``zone_worker.py``); what stops one lane stops all
(``run_state.py``). The ends are looked for, and the outcomes written, once for all of them. Every action ends as one
``Outcome``.
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

# EC2 takes 1,000 ids and advises fewer. So few are looked at and ordered within seconds, and what goes wrong is small.
BATCH = 20
# "From a couple of seconds up to a few minutes" is what EC2's guide on eventual consistency advises; these add up to
# one minute. Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
WAITS = (0, 2, 4, 8, 16, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """One outcome per action, in the plan's order; ``problem`` says what made it end early, if anything did.

    It was ``cut`` if that was the time, and nothing else.
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
    """Carry out the plan. Whatever goes wrong is an outcome or the problem; nothing is raised and nothing is lost."""
    state = RunState(plan, sweep_id=sweep_id, provider=provider, ledger=ledger, clock=clock)
    workers: list[ZoneWorker] = []
    tasks = []
    for _, group in groupby(batches(plan.actions), key=lambda batch: _zone_key(batch[0])):
        workers.append(ZoneWorker(state))
        tasks.append(partial(_process_zone, state, workers[-1], tuple(group)))
    try:
        run_tasks(tasks)
    except BaseException as fault:
        state.abort(_interruption(fault))  # whoever is still at work makes no further call
        raise
    execution = _Execution(state, workers)
    execution.verify()
    return execution.close()


def batches(actions: Sequence[Action]) -> Iterator[tuple[Action, ...]]:
    """Disjoint batches of one kind and one zone each, together all actions.

    EC2 refuses everything in the zone of one protected instance, and only there.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """
    for _, of_one_zone in groupby(sorted(actions, key=_zone_key), key=_zone_key):
        yield from batched(of_one_zone, BATCH, strict=False)


def _zone_key(action: Action) -> tuple[str, str]:
    # Nobody knows which zone an instance without one would take with it: it goes alone.
    return action.kind, action.instance.zone or action.instance.id


def _process_zone(
    state: RunState, worker: ZoneWorker, of_one_zone: Iterable[Sequence[Action]]
) -> None:
    try:
        for batch in of_one_zone:
            worker.process_batch(batch)
    except BaseException as fault:
        state.abort(
            _interruption(fault)
        )  # at once, and not when the others have come to their ends
        raise


def _interruption(fault: BaseException) -> str:
    return f"broken off by {type(fault).__name__}"


class _Execution:
    """What all lanes have come to."""

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
        """Look until what was accepted is seen in its end state, or time is up."""
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
                self._record([action], Result.ACCEPTED, "the cloud agreed; its end is not seen yet")

    def _end_states(self, action: Action) -> frozenset[State]:
        """The states in which nothing more can come between an action and its end."""
        if self._provider.capabilities.ends_for_sure:
            return action.kind.ends
        return action.kind.ends - {State.SHUTTING_DOWN, State.STOPPING}

    def close(self) -> Executed:
        """Write the outcomes of what was intended; what cannot be written stays open for the next sweep."""
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
            self._state.abort(f"outcomes are not written down: {error}")
        return Executed(outcomes=outcomes, problem=self._state.abort_reason, cut=self._state.cut)

    def _release_claims(self) -> None:
        """Tell the register who has ended, and let go of the fleets. Raises LedgerError."""
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
