"""The continuations in memory, with the same behaviour as those in DynamoDB."""

from collections.abc import Sequence
from dataclasses import replace
from threading import RLock

from ...core.plan import Action
from ..records import Continuation, ContinuationPhase
from .synchronized import synchronized


class MemoryContinuations:
    """Keeps every continuation until the process ends."""

    def __init__(self) -> None:
        self.mutex = RLock()
        self._continuations: dict[str, Continuation] = {}
        self._actions: dict[str, tuple[Action, ...]] = {}

    @synchronized
    def save(self, continuation: Continuation, actions: Sequence[Action]) -> None:
        if continuation.id not in self._continuations:
            in_order = sorted(actions, key=lambda action: action.instance.id)
            self._continuations[continuation.id] = continuation
            self._actions[continuation.id] = tuple(in_order)

    def get(self, id_: str) -> Continuation | None:
        return self._continuations.get(id_)

    def actions(self, continuation: Continuation) -> tuple[Action, ...]:
        return self._actions.get(continuation.id, ())

    @synchronized
    def begin(self, continuation: Continuation, by: str) -> bool:
        there = self._continuations.get(continuation.id)
        if there is None or there.phase is not ContinuationPhase.WAITING:
            return False
        resumed = replace(there, phase=ContinuationPhase.RESUMED, resumed_by=by)
        self._continuations[there.id] = resumed
        return True

    @synchronized
    def end(self, continuation: Continuation) -> None:
        there = self._continuations.get(continuation.id)
        if there is not None:
            self._continuations[there.id] = replace(there, phase=ContinuationPhase.ENDED)
