"""The continuations of sweeps in the ledger's table.

    pk                  sk                     what
    continuation#<id>   continuation           the continuation: policy, target, attempt, phase
    continuation#<id>   action#<instance id>   one action with its instance

All have ``expires``, 30 days after the continuation was made. The continuation is written after all its actions, so
that none is missing.
"""

from collections.abc import Sequence

from ...core.plan import Action
from ..records import Continuation, ContinuationPhase
from . import continuation_items as items
from .items import key, text
from .plan_items import action_of
from .table import NEW, Table, check, put, update


class DynamoContinuations:
    """Implements ``Continuations``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def save(self, continuation: Continuation, actions: Sequence[Action]) -> None:
        guard = check(_key(continuation), when=NEW)
        writes = (put(items.of_action(continuation, action)) for action in actions)
        if self._table.write_in_batches(writes, beside=[guard]):
            self._table.write(put(items.of_continuation(continuation), when=NEW))

    def get(self, id_: str) -> Continuation | None:
        item = self._table.get(items.partition(id_), items.RECORD)
        with self._table.translate_errors():
            return None if item is None else items.continuation_of(item)

    def actions(self, continuation: Continuation) -> tuple[Action, ...]:
        found = self._table.query(items.partition(continuation.id), prefix=items.ACTION)
        with self._table.translate_errors():
            return tuple(map(action_of, found))

    def begin(self, continuation: Continuation, by: str) -> bool:
        return self._table.begin(
            _key(continuation),
            {"phase": text(ContinuationPhase.RESUMED), "resumed_by": text(by)},
            when="#phase = :waiting",
            waiting=text(ContinuationPhase.WAITING),
        )

    def end(self, continuation: Continuation) -> None:
        ended = {"phase": text(ContinuationPhase.ENDED)}
        self._table.write(update(_key(continuation), ended, when="attribute_exists(#pk)"))


def _key(continuation: Continuation) -> dict[str, dict[str, str]]:
    return key(items.partition(continuation.id), items.RECORD)
