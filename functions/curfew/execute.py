"""*act*: carries out a plan, and is the only module that orders an instance's end.

Batch by batch, never across a zone, each described again just before its call and its intents in the ledger before
that. After an error the cloud is looked at before anything else is decided. Every action ends as one ``Outcome``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import batched, groupby

from .clock import Clock
from .core import audit
from .core.errors import (
    AmbiguousError,
    ItemError,
    LedgerError,
    PacedError,
    ProtectedError,
    ProviderError,
    RefusedError,
    unexpected,
)
from .core.lease import Lease
from .core.model import ActionKind, Instance, State
from .core.plan import Action, Kept, Plan, decide, protect
from .core.report import Outcome, Result
from .ledger import Ledger
from .providers import Provider

# EC2 takes 1,000 ids and advises fewer. So few are looked at and ordered within seconds, and what goes wrong is small.
BATCH = 20
# A call is made only with this much time left; the looks and entries that belong to it take a few seconds as a rule.
ROOM = timedelta(seconds=60)
# A plan that is older than this has to be made anew.
SHELF_LIFE = timedelta(minutes=15)
OUT_OF_TIME = "out of time: the next sweep takes it up"
TOO_OLD = "the plan is stale: it has to be made anew"
# "From a couple of seconds up to a few minutes" is what EC2's guide on eventual consistency advises; these add up to
# one minute. Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
WAITS = (0, 2, 4, 8, 16, 30)
PATIENCE = 4
# An order comes at most a minute after the look that it rests on: the ledger may be slow, a process may stand still,
# and to borrow the right takes up to 20 of its seconds.
FRESH = timedelta(seconds=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """One outcome per action, in the plan's order; ``problem`` says what made it end early, if anything did.

    It was ``cut`` if that was the time, and nothing else.
    """

    outcomes: tuple[Outcome, ...]
    problem: str = ""
    cut: bool = False


def execute(
    plan: Plan, *, sweep_id: str, provider: Provider, ledger: Ledger, clock: Clock
) -> Executed:
    """Carry out the plan. Whatever goes wrong is an outcome or the problem; nothing is raised and nothing is lost."""
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
        # Nobody knows which zone an instance without one would take with it: it goes alone.
        return action.kind, action.instance.zone or action.instance.id

    for _, of_one_place in groupby(sorted(actions, key=place), key=place):
        yield from batched(of_one_place, BATCH, strict=False)


@dataclass(slots=True)
class _Group:
    """Actions that wait for one call: when they were looked at, unless another call came since, and how often tried."""

    actions: Sequence[Action]
    looked_at: datetime | None = None
    tries: int = 0


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
        # By an order that was, or may have been, carried out: an end that is found now may be our doing.
        self._touched: set[str] = set()
        self._released: set[str] = set()
        self._accepted: dict[str, Action] = {}
        self._unnamed: set[str] = set()
        self._looked_at: datetime | None = None
        self._claims: dict[tuple[str, str], bool] = {}
        self._halted = ""
        self._cut = False

    def carry_out(self, batch: Sequence[Action]) -> None:
        """Look, write down, release, order."""
        try:
            if self._may_go_on() and (due := self._claim(self._look(batch))):
                self._write_intents(due)
                if self._may_go_on():
                    self._order_all(self._release(due))
        except LedgerError as error:
            self._halt(str(error))
        except PacedError as error:
            self._cut = True
            self._halt(f"out of time: {error}")
        except ProviderError as error:
            # Only a look lets an error through: nothing is known of what is not settled yet.
            self._halt(f"looking at the batch failed: {error}")
        except Exception as error:  # noqa: BLE001  a fault of ours: stop, say so, and lose no outcome
            self._halt(unexpected(error))
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
                if id_ in seen and seen[id_].state in self._over(action):
                    del self._accepted[id_]
                    self._settle([action], Result.VERIFIED, f"seen {seen[id_].state}")
        for id_, action in self._accepted.items():
            if id_ in self._unnamed:
                self._settle([action], Result.UNKNOWN, "the cloud's answer did not name it")
            else:
                self._settle([action], Result.ACCEPTED, "the cloud agreed; its end is not seen yet")

    def _over(self, action: Action) -> frozenset[State]:
        """The states in which nothing more can come between an action and its end."""
        if self._provider.capabilities.ends_for_sure:
            return action.kind.ends
        return action.kind.ends - {State.SHUTTING_DOWN, State.STOPPING}

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
            self._let_go()
        except LedgerError as error:
            self._halt(f"outcomes are not written down: {error}")
        return Executed(
            outcomes=outcomes,
            problem=self._halted,
            cut=self._cut or self._halted in {OUT_OF_TIME, TOO_OLD},
        )

    def _let_go(self) -> None:
        """Tell the register who has ended, and let go of the fleets. Raises LedgerError."""
        ended = [
            id_
            for id_, outcome in self._outcomes.items()
            if outcome.result is Result.VERIFIED
            and outcome.action.kind is ActionKind.TERMINATE
            and outcome.action.instance.lease
        ]
        if ended:
            self._ledger.fleets.end(self._provider.target, ended, now=self._clock.now())
        for fleet, claimed in self._claims.items():
            if claimed:
                self._ledger.fleets.unclaim(*fleet, self._sweep_id)

    def _may_go_on(self) -> bool:
        """Whether a further call may be made. Raises LedgerError."""
        if not self._halted:
            self._halt(self._obstacle())
        return not self._halted

    def _obstacle(self) -> str:
        if not self._clock.has(ROOM):
            return OUT_OF_TIME
        if self._clock.now() - self._plan.made_at > SHELF_LIFE:
            return TOO_OLD
        return str(pause) if (pause := self._ledger.paused()) else ""

    def _look(self, actions: Sequence[Action]) -> list[Action]:
        """Describe again and decide again; settle what is spared and return what is still due.

        Raises ProviderError, LedgerError.
        Of what was touched, only an end that is seen is a success; what is neither ended nor due is unknown.
        """
        now = self._looked_at = self._clock.now()
        ids = [action.instance.id for action in actions]
        seen = self._provider.describe(ids)
        leases = self._ledger.fleets.leases(self._provider.target, ids)
        fresh = [
            _remembering(seen[a.instance.id], a, leases.get(a.instance.id))
            for a in actions
            if a.instance.id in seen
        ]
        again = decide(fresh, self._plan.policy, now)
        again = protect(again, self._provider.protections([a.instance.id for a in again.actions]))
        kept = {k.instance.id: k for k in again.kept}
        for action in actions:
            id_ = action.instance.id
            if id_ in kept:
                self._spare(action, kept[id_])
            elif id_ not in seen:
                self._settle_kept(action, "not to be seen any more, which proves nothing")
        return list(again.actions)

    def _spare(self, action: Action, kept: Kept) -> None:
        ours = action.instance.id in self._touched | self._released
        if ours and kept.instance.state in action.kind.ends:
            self._accepted[action.instance.id] = action
        else:
            self._settle_kept(action, f"{kept.rule}: {kept.reason}")

    def _settle_kept(self, action: Action, detail: str) -> None:
        id_ = action.instance.id
        if id_ in self._released:
            detail += "; its Spot request is cancelled"
        self._settle([action], Result.UNKNOWN if id_ in self._touched else Result.KEPT, detail)

    def _claim(self, due: Sequence[Action]) -> list[Action]:
        """Take each fleet in hand, so that no renewal succeeds any more; one that was renewed is spared.

        Raises LedgerError.
        """
        claimed: list[Action] = []
        for action in due:
            lease = action.instance.lease
            if lease is None or self._holds(lease):
                claimed.append(action)
            else:
                self._settle_kept(action, "leased: its lease was renewed, or another sweep ends it")
        return claimed

    def _holds(self, lease: Lease) -> bool:
        fleet = (lease.fleet, lease.operation)
        if fleet not in self._claims:
            self._claims[fleet] = self._ledger.fleets.claim(
                *fleet,
                self._sweep_id,
                now=self._clock.now(),
                expired=not self._plan.policy.ends_leases,
            )
        return self._claims[fleet]

    def _write_intents(self, due: Sequence[Action]) -> None:
        """The audit comes before the call. Raises LedgerError."""
        now = self._clock.now()
        drafts = audit.intents(due, self._plan, sweep_id=self._sweep_id, at=now)
        self._ledger.append(self._provider.target, drafts)
        self._intended.update(action.instance.id for action in due)

    def _release(self, due: Sequence[Action]) -> list[Action]:
        """Undo what would launch the instances anew; one that stays bound is not terminated. Raises ProviderError."""
        ending = [a for a in due if a.kind is ActionKind.TERMINATE]
        released = self._provider.release([a.instance for a in ending], by=self._sweep_id)
        if not released:
            return list(due)
        self._released.update(id_ for id_, error in released.items() if error is None)
        for action in due:
            if error := released.get(action.instance.id):
                self._settle([action], Result.FAILED, f"would be launched anew: {error}")
        # Undoing changed the world, so the batch is looked at once more.
        return self._look([a for a in due if not released.get(a.instance.id)])

    def _order_all(self, due: Sequence[Action]) -> None:
        """Give the order; split on the fault of one, slow down on trouble, stop on anything else.

        A group is ordered only straight after a look: what was looked at before another call, or too long ago, is
        looked at again.
        """
        waiting = self._groups(due)
        while waiting:
            group = waiting.pop(0)
            if not self._is_fresh(group.looked_at):
                group.actions = self._look(group.actions)
            if not group.actions:
                continue
            if not self._may_go_on():
                return
            if not self._is_fresh(self._looked_at):
                if len(group.actions) == 1:
                    self._halt("what was seen is too old to act on: looking takes too long")
                    return
                waiting = [*_halves(group), *waiting]  # fewer are looked at faster
                continue
            try:
                self._order(group.actions)
            except ItemError as error:
                waiting = [*self._after_item_error(group, error), *waiting]
            except RefusedError as error:
                self._halt(str(error))
                self._settle(self._look(group.actions), Result.FAILED, str(error))
                return
            except PacedError as error:
                if error.late:
                    raise
                waiting.insert(0, _Group(group.actions, tries=group.tries))
            except ProviderError as error:
                waiting = [*self._after_trouble(group, error), *waiting]

    def _groups(self, due: Sequence[Action]) -> list[_Group]:
        """As many as one order may name; after the first of them the others are looked at again."""
        some = batched(due, self._provider.capabilities.order, strict=False)
        return [_Group(g, self._looked_at if not n else None) for n, g in enumerate(some)]

    def _is_fresh(self, looked_at: datetime | None) -> bool:
        return looked_at is not None and self._clock.now() - looked_at <= FRESH

    def _order(self, actions: Sequence[Action]) -> None:
        """One call for one group; compare what was asked with what was answered."""
        ids = [action.instance.id for action in actions]
        try:
            before = self._call(actions[0].kind, ids)
        except AmbiguousError:
            self._touched.update(ids)
            raise
        for action in actions:
            id_ = action.instance.id
            was = before.get(id_)
            if was in action.kind.ends and id_ not in self._touched:
                self._settle([action], Result.KEPT, f"was {was} already: somebody else's doing")
                continue
            self._accepted[id_] = action
            if was is None:
                self._unnamed.add(id_)

    def _call(self, kind: ActionKind, ids: Sequence[str]) -> Mapping[str, State]:
        match kind:
            case ActionKind.TERMINATE:
                return self._provider.terminate(ids, by=self._sweep_id)
            case ActionKind.STOP:
                return self._provider.stop(ids, by=self._sweep_id)
            case ActionKind.SHELVE:
                return self._provider.shelve(ids, by=self._sweep_id)

    def _after_item_error(self, group: _Group, error: ItemError) -> list[_Group]:
        """Look; then try again without whoever showed itself, or else in halves."""
        rest = self._look(group.actions)
        if len(rest) < len(group.actions):
            return [_Group(rest, self._looked_at)]
        if len(rest) > 1:
            first, second = _halves(_Group(rest))
            first.looked_at = self._looked_at
            return [first, second]
        spared = isinstance(error, ProtectedError)
        self._settle(rest, Result.KEPT if spared else Result.FAILED, f"the cloud refused: {error}")
        return []

    def _after_trouble(self, group: _Group, error: ProviderError) -> list[_Group]:
        """Wait, look, and try again what is still due, a few times and while there is time."""
        tries = group.tries + 1
        wait = 2**tries
        if tries < PATIENCE and self._clock.has(ROOM + timedelta(seconds=wait)):
            self._clock.sleep(wait)
            rest = self._look(group.actions)
            return [_Group(rest, self._looked_at, tries)]
        for action in self._look(group.actions):
            touched = action.instance.id in self._touched
            result = Result.UNKNOWN if touched else Result.FAILED
            self._settle([action], result, f"still there after {tries} tries: {error}")
        return []

    def _halt(self, reason: str) -> None:
        self._halted = self._halted or reason

    def _settle(self, actions: Sequence[Action], result: Result, detail: str) -> None:
        for action in actions:
            id_ = action.instance.id
            self._outcomes[id_] = Outcome(action=self._planned[id_], result=result, detail=detail)

    def _settle_rest(self, batch: Sequence[Action]) -> None:
        """After an early end: what was not settled was either never touched, or nobody knows."""
        for action in batch:
            id_ = action.instance.id
            if id_ not in self._outcomes and id_ not in self._accepted:
                ours = id_ in self._touched | self._released
                result = Result.UNKNOWN if ours else Result.NOT_ATTEMPTED
                self._settle([action], result, self._halted)


def _halves(group: _Group) -> list[_Group]:
    """Both to be looked at anew."""
    middle = len(group.actions) // 2
    parts = group.actions[:middle], group.actions[middle:]
    return [_Group(part, tries=group.tries) for part in parts]


def _remembering(instance: Instance, action: Action, lease: Lease | None) -> Instance:
    return replace(instance, first_seen_at=action.instance.first_seen_at, lease=lease)
