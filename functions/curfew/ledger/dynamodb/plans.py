"""The stored plans in the ledger's table.

    pk          sk                      what
    plan#<id>   plan                    the plan: policy, target, caller, phase, summary
    plan#<id>   verdict#<instance id>   one verdict with its instance and its outcome

All have ``expires``, 30 days after the plan was made. The record gets the phase "planned" after all verdicts are
written, so that none is missing.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from ...core.report import Report
from .. import rules
from ..records import Page, PlanPhase, StoredPlan, Verdict
from . import plan_items as items
from .items import key, text
from .table import NEW, Table, Write, check, put

STILL_PLANNING = f"{NEW} OR #phase = :planning"


class DynamoPlans:
    """Implements ``Plans``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, record: StoredPlan) -> None:
        """Never replaces a record."""
        self._table.write(put(items.of_record(record), when=NEW))

    def get(self, id_: str) -> StoredPlan | None:
        item = self._table.get(items.plan(id_), items.RECORD)
        with self._table.translate_errors():
            return None if item is None else items.record_of(item)

    def save(self, record: StoredPlan, report: Report) -> None:
        """Writes nothing if the plan is no longer being planned: another worker has already made it."""
        planning = text(PlanPhase.PLANNING)
        guard = check(
            key(items.plan(record.id), items.RECORD), when=STILL_PLANNING, planning=planning
        )
        writes = _writes(record, rules.verdicts(report))
        if self._table.write_in_batches(writes, beside=[guard]):
            self._table.write(put(items.of_record(record), when=STILL_PLANNING, planning=planning))

    def verdicts(self, record: StoredPlan, *, limit: int, after: str = "") -> Page[Verdict]:
        found = self._table.query(
            items.plan(record.id),
            prefix=items.VERDICT,
            after=f"{items.VERDICT}{after}" if after else "",
            page=limit + 1,
        )
        with self._table.translate_errors():
            verdicts = [items.verdict_of(item) for item in islice(found, limit + 1)]
        return rules.cut(verdicts, limit, lambda verdict: verdict.judged.instance.id)

    def begin(self, record: StoredPlan, by: str) -> bool:
        return self._table.begin(
            key(items.plan(record.id), items.RECORD),
            {"phase": text(PlanPhase.APPLYING), "applied_by": text(by)},
            when="#phase = :planned",
            planned=text(PlanPhase.PLANNED),
        )

    def finish(self, record: StoredPlan, report: Report) -> None:
        self._table.write_in_batches(_writes(record, rules.outcomes(report)))
        self._table.write(put(items.of_record(record)))


def _writes(record: StoredPlan, verdicts: Iterable[Verdict]) -> Iterator[Write]:
    return (put(items.of_verdict(record, verdict)) for verdict in verdicts)
