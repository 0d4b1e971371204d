"""The plans that somebody asked for, in the ledger's table.

    pk          sk                      what
    plan#<id>   plan                    the plan: what for, by whom, at which step, in numbers
    plan#<id>   verdict#<instance id>   one verdict with its instance, and what became of it

All have ``expires``, 30 days after the plan was made. A record that says "planned" is written after its verdicts, so
that all of them are there.
"""

from collections.abc import Iterable, Sequence
from itertools import batched, islice
from uuid import uuid4

from ...core.report import Report
from .. import rules
from ..records import Page, PlanRecord, PlanStep, Verdict
from . import plan_items as items
from .items import key, text
from .table import NEW, Table, Write, check, put, update

# A transaction holds 4 MB; an instance with 50 tags of the longest, four bytes each, has 80 kB.
VERDICTS_PER_WRITE = 25
STILL_PLANNING = f"{NEW} OR #step = :planning"


class DynamoPlans:
    """The plans behind the protocol."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, record: PlanRecord) -> None:
        """One that is there already stays as it is."""
        self._table.write(put(items.of_record(record), when=NEW))

    def get(self, id_: str) -> PlanRecord | None:
        item = self._table.get(items.plan(id_), items.RECORD)
        with self._table.speaking():
            return None if item is None else items.record_of(item)

    def save(self, record: PlanRecord, report: Report) -> None:
        """Nothing is written once the plan is past planning: whoever made it a second time comes too late."""
        planning = text(PlanStep.PLANNING)
        guard = check(
            key(items.plan(record.id), items.RECORD), when=STILL_PLANNING, planning=planning
        )
        if self._write(record, rules.verdicts(report), beside=[guard]):
            self._table.write(put(items.of_record(record), when=STILL_PLANNING, planning=planning))

    def verdicts(self, record: PlanRecord, *, limit: int, after: str = "") -> Page[Verdict]:
        found = self._table.query(
            items.plan(record.id),
            prefix=items.VERDICT,
            after=f"{items.VERDICT}{after}" if after else "",
            page=limit + 1,
        )
        with self._table.speaking():
            verdicts = [items.verdict_of(item) for item in islice(found, limit + 1)]
        return rules.cut(verdicts, limit, lambda verdict: verdict.judged.instance.id)

    def begin(self, record: PlanRecord, by: str) -> bool:
        """A lost answer leaves a mark that only this very call can know: the same person a second time is second."""
        mark = {"begun": text(uuid4().hex)}
        refused = self._table.write(
            update(
                key(items.plan(record.id), items.RECORD),
                {"step": text(PlanStep.APPLYING), "applied_by": text(by), **mark},
                when="#step = :planned",
                planned=text(PlanStep.PLANNED),
            )
        )
        return refused is None or mark.items() <= refused.items()

    def finish(self, record: PlanRecord, report: Report) -> None:
        self._write(record, rules.outcomes(report), beside=[])
        self._table.write(put(items.of_record(record)))

    def _write(
        self, record: PlanRecord, verdicts: Iterable[Verdict], *, beside: Sequence[Write]
    ) -> bool:
        for some in batched(verdicts, VERDICTS_PER_WRITE, strict=False):
            writes = [put(items.of_verdict(record, verdict)) for verdict in some]
            if self._table.transact([*beside, *writes]) is not None:
                return False
        return True
