"""*act*: carries out a plan, and is the only module that orders an instance's end.

Batch by batch, never across a zone, each described again just before its call and its intents in the ledger before
that. After an error the cloud is looked at before anything else is decided. Every action ends as one ``Outcome``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import batched, groupby

from .core import audit
from .core.errors import ItemError, LedgerError, ProviderError, RefusedError
from .core.model import ActionKind, Instance, State
from .core.plan import Action, Kept, Plan, decide, protect
from .core.report import Outcome, Result
from .ledger import Ledger
from .providers import Provider

# EC2 takes 1,000 ids and advises fewer. So few are looked at and ordered within seconds, and what goes wrong is small.
BATCH = 20
# A batch begins only with this much time left: its calls, its second look and its entries fit well into it.
ROOM = timedelta(seconds=60)
# A plan that is older than this has to be made anew.
SHELF_LIFE = timedelta(minutes=15)
# "From a couple of seconds up to a few minutes" is what EC2's guide on eventual consistency advises; these add up to
# one minute. Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
WAITS = (0, 2, 4, 8, 16, 30)
PATIENCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time, and how to let it pass; ``deadline`` is when the caller is cut off."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    deadline: datetime | None = None

    def has(self, room: timedelta) -> bool:
        """Whether that much time is left."""
        return self.deadline is None or self.now() + room <= self.deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """One outcome per action, in the plan's order; ``problem`` if they could not be written down."""

    outcomes: tuple[Outcome, ...]
    problem: str = ""


def execute(
    plan: Plan, *, sweep_id: str, provider: Provider, ledger: Ledger, clock: Clock
) -> Executed:
    """Carry out the plan. Raises nothing of ours: whatever goes wrong is an outcome."""
    execution = _Execution(plan, sweep_id, provider, ledger, clock)
    for batch in batches(plan.actions):
        execution.carry_out(batch)
    execution.verify()
    return execution.close()


def batches(actions: Sequence[Action]) -> Iterator[tuple[Action, ...]]:
    """Disjoint batches of one kind and one zone each, together all actions.

    EC2 refuses everything in the zone of one protected instance, and only there.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """

    def place(action: Action) -> tuple[str, str]:
        return action.kind, action.instance.zone

    for _, of_one_place in groupby(sorted(actions, key=place), key=place):
        yield from batched(of_one_place, BATCH, strict=False)


class _Execution:
    """One run over one plan: what has been settled so far, and what made it stop."""

    def __init__(
        self, plan: Plan, sweep_id: str, provider: Provider, ledger: Ledger, clock: Clock
    ) -> None:
        self._plan = plan
        self._sweep_id = sweep_id
        self._provider = provider
        self._ledger = ledger
        self._clock = clock
        self._planned = {action.instance.id: action for action in plan.actions}
        self._outcomes: dict[str, Outcome] = {}
        self._intended: set[str] = set()
        self._ordered: set[str] = set()
        self._accepted: dict[str, Action] = {}
        self._halted = ""

    def carry_out(self, batch: Sequence[Action]) -> None:
        """Look, write down, release, order."""
        try:
            if halted := self._must_halt():
                self._settle(batch, Result.NOT_ATTEMPTED, halted)
            elif due := self._look(batch):
                self._write_intents(due)
                self._order_all(self._release(due))
        except LedgerError as error:
            self._halt(str(error))
        except ProviderError as error:
            # Only a look lets an error through: nothing is known of what is not settled yet.
            self._halt(f"looking at the batch failed: {error}")
        self._settle_rest(batch)

    def verify(self) -> None:
        """Look until what was accepted is seen in its end state, or time is up."""
        for wait in WAITS:
            if not self._accepted or not self._clock.has(timedelta(seconds=wait + 10)):
                break
            self._clock.sleep(wait)
            try:
                seen = self._provider.describe(list(self._accepted))
            except ProviderError:
                continue
            for id_, action in list(self._accepted.items()):
                if id_ in seen and seen[id_].state in action.kind.ends:
                    del self._accepted[id_]
                    self._settle([action], Result.VERIFIED, f"seen {seen[id_].state}")
        for action in self._accepted.values():
            self._settle([action], Result.ACCEPTED, "the cloud agreed; its end was not seen yet")

    def close(self) -> Executed:
        """Write the outcomes of what was intended; what cannot be written stays open for the next sweep."""
        outcomes = tuple(self._outcomes[id_] for id_ in self._planned)
        now = self._clock.now()
        drafts = [
            audit.outcome(outcome, sweep_id=self._sweep_id, at=now)
            for outcome in outcomes
            if outcome.action.instance.id in self._intended
        ]
        try:
            if drafts:
                self._ledger.append(self._provider.target, drafts)
        except LedgerError as error:
            return Executed(outcomes=outcomes, problem=f"outcomes are not written down: {error}")
        return Executed(outcomes=outcomes)

    def _must_halt(self) -> str:
        """Why no further call may be made; empty if one may. Raises LedgerError."""
        if self._halted:
            return self._halted
        if not self._clock.has(ROOM):
            return "out of time: the next sweep takes it up"
        if self._clock.now() - self._plan.made_at > SHELF_LIFE:
            return "the plan is stale: it has to be made anew"
        return str(pause) if (pause := self._ledger.paused()) else ""

    def _look(self, actions: Sequence[Action], *, called: bool = False) -> list[Action]:
        """Describe again and decide again; settle what is spared and return what is still due.

        Once a call was made (``called``), an instance in its end state is what was ordered, and one that is not to
        be seen is unknown rather than spared. Raises ProviderError.
        """
        now = self._clock.now()
        seen = self._provider.describe([action.instance.id for action in actions])
        fresh = [_remembering(seen[a.instance.id], a) for a in actions if a.instance.id in seen]
        again = decide(fresh, self._plan.policy, now)
        again = protect(again, self._provider.protections([a.instance.id for a in again.actions]))
        kept = {k.instance.id: k for k in again.kept}
        planned = {action.instance.id: action for action in actions}
        for id_, action in planned.items():
            if id_ in kept:
                self._spare(action, kept[id_], called=called)
            elif id_ not in seen:
                result = Result.UNKNOWN if called else Result.KEPT
                self._settle([action], result, "not to be seen any more, which proves nothing")
        return list(again.actions)

    def _spare(self, action: Action, kept: Kept, *, called: bool) -> None:
        if called and kept.instance.state in action.kind.ends:
            self._accepted[action.instance.id] = action
        else:
            self._settle([action], Result.KEPT, f"{kept.rule}: {kept.reason}")

    def _write_intents(self, due: Sequence[Action]) -> None:
        """The audit comes before the call. Raises LedgerError."""
        now = self._clock.now()
        drafts = [audit.intent(a, self._plan, sweep_id=self._sweep_id, at=now) for a in due]
        self._ledger.append(self._provider.target, drafts)
        self._intended.update(action.instance.id for action in due)

    def _release(self, due: Sequence[Action]) -> list[Action]:
        """Undo what would launch the instances anew; one that stays bound is not terminated. Raises ProviderError."""
        ending = [a for a in due if a.kind is ActionKind.TERMINATE]
        released = self._provider.release([a.instance for a in ending])
        if not released:
            return list(due)
        for action in due:
            if error := released.get(action.instance.id):
                self._settle([action], Result.FAILED, f"would be launched anew: {error}")
        rest = [a for a in due if not released.get(a.instance.id)]
        # Undoing changed the world, so the batch is looked at once more.
        return self._look(rest, called=True)

    def _order_all(self, due: Sequence[Action]) -> None:
        """Give the order; split on the fault of one, slow down on trouble, stop on anything else."""
        waiting = [list(due)] if due else []
        tries = 0
        while waiting:
            group = waiting.pop(0)
            if halted := self._must_halt():
                for left in (group, *waiting):
                    self._settle(left, Result.NOT_ATTEMPTED, halted)
                return
            try:
                self._order(group)
            except ItemError as error:
                waiting = self._after_item_error(group, error) + waiting
            except RefusedError as error:
                self._halt(str(error))
                self._settle(self._look(group, called=True), Result.FAILED, str(error))
            except ProviderError as error:
                tries += 1
                self._clock.sleep(2**tries)
                rest = self._look(group, called=True)
                if rest and tries < PATIENCE:
                    waiting.insert(0, rest)
                else:
                    self._settle(rest, Result.FAILED, f"still there after {tries} tries: {error}")

    def _order(self, group: Sequence[Action]) -> None:
        """One call for one group; compare what was asked with what was answered."""
        ids = [action.instance.id for action in group]
        repeated = self._ordered.intersection(ids)
        self._ordered.update(ids)
        before = self._call(group[0].kind, ids)
        for action in group:
            was = before.get(action.instance.id)
            if was in action.kind.ends and action.instance.id not in repeated:
                self._settle([action], Result.KEPT, f"was {was} already: somebody else's doing")
            else:
                # Whatever the answer left out is seen, or not, when it is verified.
                self._accepted[action.instance.id] = action

    def _call(self, kind: ActionKind, ids: Sequence[str]) -> Mapping[str, State]:
        match kind:
            case ActionKind.TERMINATE:
                return self._provider.terminate(ids)
            case ActionKind.STOP:
                return self._provider.stop(ids)

    def _after_item_error(self, group: Sequence[Action], error: ItemError) -> list[list[Action]]:
        """Look; then try again without whoever showed itself, or else in halves."""
        rest = self._look(group, called=True)
        if len(rest) < len(group):
            return [rest] if rest else []
        if len(rest) > 1:
            middle = len(rest) // 2
            return [rest[:middle], rest[middle:]]
        spared = error.code == "OperationNotPermitted"
        self._settle(rest, Result.KEPT if spared else Result.FAILED, f"the cloud refused: {error}")
        return []

    def _halt(self, reason: str) -> None:
        self._halted = self._halted or reason

    def _settle(self, actions: Sequence[Action], result: Result, detail: str) -> None:
        for action in actions:
            id_ = action.instance.id
            self._outcomes[id_] = Outcome(action=self._planned[id_], result=result, detail=detail)

    def _settle_rest(self, batch: Sequence[Action]) -> None:
        """After an early end: what was not settled was either never ordered, or nobody knows."""
        for action in batch:
            id_ = action.instance.id
            if id_ not in self._outcomes and id_ not in self._accepted:
                result = Result.UNKNOWN if id_ in self._ordered else Result.NOT_ATTEMPTED
                self._settle([action], result, self._halted)


def _remembering(instance: Instance, action: Action) -> Instance:
    return replace(instance, first_seen_at=action.instance.first_seen_at)
