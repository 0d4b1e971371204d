"""The stored plans in memory, with the same behaviour as those in DynamoDB."""

from dataclasses import replace
from threading import RLock

from ...core.report import Report
from .. import rules
from ..records import Page, PlanPhase, StoredPlan, Verdict
from .synchronized import synchronized


class MemoryPlans:
    """Keeps every plan until the process ends."""

    def __init__(self) -> None:
        self.mutex = RLock()
        self._records: dict[str, StoredPlan] = {}
        self._verdicts: dict[str, dict[str, Verdict]] = {}

    @synchronized
    def open(self, record: StoredPlan) -> None:
        self._records.setdefault(record.id, record)

    def get(self, id_: str) -> StoredPlan | None:
        return self._records.get(id_)

    @synchronized
    def save(self, record: StoredPlan, report: Report) -> None:
        there = self._records.get(record.id)
        if there is None or there.phase is PlanPhase.PLANNING:
            self._write(record, rules.verdicts(report))

    def verdicts(self, record: StoredPlan, *, limit: int, after: str = "") -> Page[Verdict]:
        all_ = sorted(self._verdicts.get(record.id, {}).items())
        following = [verdict for id_, verdict in all_ if id_ > after][: limit + 1]
        return rules.cut(following, limit, lambda verdict: verdict.judged.instance.id)

    @synchronized
    def begin(self, record: StoredPlan, by: str) -> bool:
        there = self._records.get(record.id)
        if there is None or there.phase is not PlanPhase.PLANNED:
            return False
        self._records[record.id] = replace(there, phase=PlanPhase.APPLYING, applied_by=by)
        return True

    @synchronized
    def finish(self, record: StoredPlan, report: Report) -> None:
        self._write(record, rules.outcomes(report))

    def _write(self, record: StoredPlan, verdicts: list[Verdict]) -> None:
        stored = self._verdicts.setdefault(record.id, {})
        stored.update({verdict.judged.instance.id: verdict for verdict in verdicts})
        self._records[record.id] = record
