"""*act*: processes the batches of one kind of action and one zone, in sequence, and records their outcomes.

Just before its call, a batch is described again and its intents are written to the ledger. After an error, the batch
is described again before anything else is decided. No other module terminates, stops or shelves an instance.
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
# A call is made at most a minute after the re-check that it relies on: the ledger may be slow or the process suspended
# for these 40 seconds, and scoped credentials take up to 20 more.
FRESH = timedelta(seconds=40)


class ZoneWorker:
    """Processes the batches of one zone and holds their outcomes. Workers share only the run state."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._provider = state.provider
        self._ledger = state.ledger
        self._clock = state.clock
        self._plan = state.plan
        self.outcomes: dict[str, Outcome] = {}
        self.intended: set[str] = set()
        # Named in a call that may have had its effect: if an end is seen later, this sweep may have caused it.
        self._touched: set[str] = set()
        self._released: set[str] = set()
        self.accepted: dict[str, Action] = {}
        self.unnamed: set[str] = set()
        self._looked_at: datetime | None = None

    def process_batch(self, batch: Sequence[Action]) -> None:
        """Process one batch: re-check, claim, record intents, cancel Spot requests, send the calls.

        Never raises: an error aborts the whole run.
        """
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
            # Only a re-check raises it: the state of actions without an outcome is unknown.
            self._state.abort(f"the re-check of the batch failed: {error}")
        except Exception as error:  # noqa: BLE001  a bug: abort, report it, and lose no outcome
            self._state.abort(unexpected(error))
        self._record_rest(batch)

    def _recheck(self, actions: Sequence[Action]) -> list[Action]:
        """Describe and decide again. Record what is kept, and return the actions that are still due.

        If a call may have had its effect on an instance, only an end that is seen is a success; an instance that is
        neither ended nor due is unknown. Raises ProviderError, LedgerError.
        """
        now = self._looked_at = self._clock.now()
        again = recheck(
            actions, self._plan.policy, provider=self._provider, ledger=self._ledger, now=now
        )
        by_id = {action.instance.id: action for action in actions}
        for kept in again.plan.kept:
            self._record_verdict(by_id[kept.instance.id], kept)
        for action in again.missing:
            self._record_kept(
                action, "the cloud no longer shows it, which does not prove that it ended"
            )
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
        """Claim each fleet, so that its lease cannot be renewed any more, and return the actions to execute.

        An instance whose fleet cannot be claimed is kept. Raises LedgerError.
        """
        claimed: list[Action] = []
        for action in due:
            lease = action.instance.lease
            if lease is None or self._state.claim(lease):
                claimed.append(action)
            else:
                self._record_kept(
                    action, "leased: its lease was renewed, or another sweep has claimed its fleet"
                )
        return claimed

    def _write_intents(self, due: Sequence[Action]) -> None:
        """Write the intents to the audit, before the call. Raises LedgerError."""
        now = self._clock.now()
        self._state.append(audit.intents(due, self._plan, sweep_id=self._state.sweep_id, at=now))
        self.intended.update(action.instance.id for action in due)

    def _release(self, due: Sequence[Action]) -> list[Action]:
        """Cancel what would launch the instances again, and return the actions to execute.

        An instance that would still be launched again is not terminated. Raises ProviderError, LedgerError.
        """
        ending = [a for a in due if a.kind is ActionKind.TERMINATE]
        released = self._provider.release([a.instance for a in ending], by=self._state.sweep_id)
        if not released:
            return list(due)
        self._released.update(id_ for id_, error in released.items() if error is None)
        for action in due:
            if error := released.get(action.instance.id):
                self._record([action], Result.FAILED, f"would be launched again: {error}")
        # A cancelled request changes the cloud's state, so the batch is re-checked.
        return self._recheck([a for a in due if not released.get(a.instance.id)])

    def _send_all(self, due: Sequence[Action]) -> None:
        """Send the calls: split the batch on an error of one instance, retry on a temporary error, else abort.

        A call is sent only straight after a re-check: a batch that was re-checked before another call, or too long
        ago, is re-checked again. Raises ProviderError, LedgerError.
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
                    self._state.abort(
                        "the re-check is too old to act on: describing the instance takes too long"
                    )
                    return
                waiting = [*batch.split(), *waiting]  # a smaller batch is re-checked faster
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
        """Split the actions into batches of as many as one call may name. All but the first need another re-check."""
        some = batched(due, self._provider.capabilities.ids_per_call, strict=False)
        return [Batch(g, self._looked_at if not n else None) for n, g in enumerate(some)]

    def _is_fresh(self, looked_at: datetime | None) -> bool:
        return looked_at is not None and self._clock.now() - looked_at <= FRESH

    def _send(self, actions: Sequence[Action]) -> None:
        """Make one call, and compare the request with the response. Raises ProviderError."""
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
                self._record([action], Result.KEPT, f"was already {was} before this sweep's call")
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
        """Re-check, and return the batches to try next: without the instances that are kept now, or else in halves.

        A single instance that is still due is recorded as kept or failed.
        """
        rest = self._recheck(batch.actions)
        if len(rest) < len(batch.actions):
            return [Batch(rest, self._looked_at)]
        if len(rest) > 1:
            first, second = Batch(rest).split()
            first.looked_at = self._looked_at
            return [first, second]
        is_protected = isinstance(error, ProtectedError)
        self._record(
            rest, Result.KEPT if is_protected else Result.FAILED, f"the cloud refused: {error}"
        )
        return []

    def _after_trouble(self, batch: Batch, error: ProviderError) -> list[Batch]:
        """Wait, re-check, and return what is still due as the batch to try next.

        After the last try, or without time for another, record it as unknown or failed.
        """
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
        """Record the actions that have no outcome after an early end: as not attempted, or as unknown after a call."""
        for action in batch:
            id_ = action.instance.id
            if id_ not in self.outcomes and id_ not in self.accepted:
                ours = id_ in self._touched | self._released
                result = Result.UNKNOWN if ours else Result.NOT_ATTEMPTED
                self._record([action], result, self._state.abort_reason)
