"""*act*: one lane of a plan: batches of one action and one zone, one after the other, and what has become of them.

A batch is described again just before its call, and its intents are in the ledger before that. After an error the
cloud is looked at before anything else is decided. Only here is an instance's end ordered.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import batched

from ..core import audit
from ..core.errors import (
    AmbiguousError,
    ItemError,
    LedgerError,
    ProtectedError,
    ProviderError,
    RateLimitedError,
    RefusedError,
    unexpected,
)
from ..core.instance import ActionKind, State
from ..core.plan import Action, Kept
from ..core.report import Outcome, Result
from .batch import Batch
from .recheck import recheck
from .run_state import ROOM, RunState

PATIENCE = 4
# An order comes at most a minute after the look that it rests on: the ledger may be slow, a process may stand still,
# and to borrow the right takes up to 20 of its seconds.
FRESH = timedelta(seconds=40)


class ZoneWorker:
    """What has been settled in one zone so far. Nothing in it is another lane's, but the run that they share."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._provider = state.provider
        self._ledger = state.ledger
        self._clock = state.clock
        self._plan = state.plan
        self.outcomes: dict[str, Outcome] = {}
        self.intended: set[str] = set()
        # By an order that was, or may have been, carried out: an end that is found now may be our doing.
        self._touched: set[str] = set()
        self._released: set[str] = set()
        self.accepted: dict[str, Action] = {}
        self.unnamed: set[str] = set()
        self._looked_at: datetime | None = None

    def process_batch(self, batch: Sequence[Action]) -> None:
        """Look, write down, release, order. Whatever goes wrong stops the run; nothing is raised."""
        try:
            if self._state.may_continue() and (due := self._claim(self._recheck(batch))):
                self._write_intents(due)
                if self._state.may_continue():
                    self._send_all(self._release(due))
        except LedgerError as error:
            self._state.abort(str(error))
        except RateLimitedError as error:
            self._state.abort(f"out of time: {error}", cut=True)
        except ProviderError as error:
            # Only a look lets an error through: nothing is known of what is not settled yet.
            self._state.abort(f"looking at the batch failed: {error}")
        except Exception as error:  # noqa: BLE001  a fault of ours: stop, say so, and lose no outcome
            self._state.abort(unexpected(error))
        self._record_rest(batch)

    def _recheck(self, actions: Sequence[Action]) -> list[Action]:
        """Describe again and decide again; settle what is spared and return what is still due.

        Raises ProviderError, LedgerError.
        Of what was touched, only an end that is seen is a success; what is neither ended nor due is unknown.
        """
        now = self._looked_at = self._clock.now()
        again = recheck(
            actions, self._plan.policy, provider=self._provider, ledger=self._ledger, now=now
        )
        by_id = {action.instance.id: action for action in actions}
        for kept in again.plan.kept:
            self._record_verdict(by_id[kept.instance.id], kept)
        for action in again.missing:
            self._record_kept(action, "not to be seen any more, which proves nothing")
        return list(again.plan.actions)

    def _record_verdict(self, action: Action, kept: Kept) -> None:
        ours = action.instance.id in self._touched | self._released
        if ours and kept.instance.state in action.kind.ends:
            self.accepted[action.instance.id] = action
        else:
            self._record_kept(action, f"{kept.rule}: {kept.reason}")

    def _record_kept(self, action: Action, detail: str) -> None:
        id_ = action.instance.id
        if id_ in self._released:
            detail += "; its Spot request is cancelled"
        self._record([action], Result.UNKNOWN if id_ in self._touched else Result.KEPT, detail)

    def _claim(self, due: Sequence[Action]) -> list[Action]:
        """Take each fleet in hand, so that no renewal succeeds any more; one that was renewed is spared.

        Raises LedgerError.
        """
        claimed: list[Action] = []
        for action in due:
            lease = action.instance.lease
            if lease is None or self._state.claim(lease):
                claimed.append(action)
            else:
                self._record_kept(action, "leased: its lease was renewed, or another sweep ends it")
        return claimed

    def _write_intents(self, due: Sequence[Action]) -> None:
        """The audit comes before the call. Raises LedgerError."""
        now = self._clock.now()
        self._state.append(audit.intents(due, self._plan, sweep_id=self._state.sweep_id, at=now))
        self.intended.update(action.instance.id for action in due)

    def _release(self, due: Sequence[Action]) -> list[Action]:
        """Undo what would launch the instances anew; one that stays bound is not terminated. Raises ProviderError."""
        ending = [a for a in due if a.kind is ActionKind.TERMINATE]
        released = self._provider.release([a.instance for a in ending], by=self._state.sweep_id)
        if not released:
            return list(due)
        self._released.update(id_ for id_, error in released.items() if error is None)
        for action in due:
            if error := released.get(action.instance.id):
                self._record([action], Result.FAILED, f"would be launched anew: {error}")
        # Undoing changed the world, so the batch is looked at once more.
        return self._recheck([a for a in due if not released.get(a.instance.id)])

    def _send_all(self, due: Sequence[Action]) -> None:
        """Give the order; split on the fault of one, slow down on trouble, stop on anything else.

        A group is ordered only straight after a look: what was looked at before another call, or too long ago, is
        looked at again.
        """
        waiting = self._batches(due)
        while waiting:
            batch = waiting.pop(0)
            if not self._is_fresh(batch.looked_at):
                batch.actions = self._recheck(batch.actions)
            if not batch.actions:
                continue
            if not self._state.may_continue():
                return
            if not self._is_fresh(self._looked_at):
                if not self._state.check_time():
                    return
                if len(batch.actions) == 1:
                    self._state.abort("what was seen is too old to act on: looking takes too long")
                    return
                waiting = [*batch.split(), *waiting]  # fewer are looked at faster
                continue
            try:
                self._send(batch.actions)
            except ItemError as error:
                waiting = [*self._after_item_error(batch, error), *waiting]
            except RefusedError as error:
                self._state.abort(str(error))
                self._record(self._recheck(batch.actions), Result.FAILED, str(error))
                return
            except RateLimitedError as error:
                if error.late:
                    raise
                waiting.insert(0, Batch(batch.actions, tries=batch.tries))
            except ProviderError as error:
                waiting = [*self._after_trouble(batch, error), *waiting]

    def _batches(self, due: Sequence[Action]) -> list[Batch]:
        """As many as one order may name; after the first of them the others are looked at again."""
        some = batched(due, self._provider.capabilities.ids_per_call, strict=False)
        return [Batch(g, self._looked_at if not n else None) for n, g in enumerate(some)]

    def _is_fresh(self, looked_at: datetime | None) -> bool:
        return looked_at is not None and self._clock.now() - looked_at <= FRESH

    def _send(self, actions: Sequence[Action]) -> None:
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
                self._record([action], Result.KEPT, f"was {was} already: somebody else's doing")
                continue
            self.accepted[id_] = action
            if was is None:
                self.unnamed.add(id_)

    def _call(self, kind: ActionKind, ids: Sequence[str]) -> Mapping[str, State]:
        match kind:
            case ActionKind.TERMINATE:
                return self._provider.terminate(ids, by=self._state.sweep_id)
            case ActionKind.STOP:
                return self._provider.stop(ids, by=self._state.sweep_id)
            case ActionKind.SHELVE:
                return self._provider.shelve(ids, by=self._state.sweep_id)

    def _after_item_error(self, batch: Batch, error: ItemError) -> list[Batch]:
        """Look; then try again without whoever showed itself, or else in halves."""
        rest = self._recheck(batch.actions)
        if len(rest) < len(batch.actions):
            return [Batch(rest, self._looked_at)]
        if len(rest) > 1:
            first, second = Batch(rest).split()
            first.looked_at = self._looked_at
            return [first, second]
        spared = isinstance(error, ProtectedError)
        self._record(rest, Result.KEPT if spared else Result.FAILED, f"the cloud refused: {error}")
        return []

    def _after_trouble(self, batch: Batch, error: ProviderError) -> list[Batch]:
        """Wait, look, and try again what is still due, a few times and while there is time."""
        tries = batch.tries + 1
        wait = 2**tries
        if tries < PATIENCE and self._clock.has(ROOM + timedelta(seconds=wait)):
            self._clock.sleep(wait)
            rest = self._recheck(batch.actions)
            return [Batch(rest, self._looked_at, tries)]
        for action in self._recheck(batch.actions):
            touched = action.instance.id in self._touched
            result = Result.UNKNOWN if touched else Result.FAILED
            self._record([action], result, f"still there after {tries} tries: {error}")
        return []

    def _record(self, actions: Sequence[Action], result: Result, detail: str) -> None:
        for action in actions:
            id_ = action.instance.id
            self.outcomes[id_] = Outcome(
                action=self._state.planned[id_], result=result, detail=detail
            )

    def _record_rest(self, batch: Sequence[Action]) -> None:
        """After an early end: what was not settled was either never touched, or nobody knows."""
        for action in batch:
            id_ = action.instance.id
            if id_ not in self.outcomes and id_ not in self.accepted:
                ours = id_ in self._touched | self._released
                result = Result.UNKNOWN if ours else Result.NOT_ATTEMPTED
                self._record([action], result, self._state.abort_reason)
