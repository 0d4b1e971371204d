"""The ledger in one DynamoDB table: many small items, of which none grows.

The same table has the register of fleets (``fleets``), the stored plans (``plans``)
and the continuations (``continuations``). The other items are:

    pk                          sk              what
    pause                       pause           the pause switch
    seen#<target>               <instance id>   when an instance was first seen
    day#<provider>:<account>    <date>          how many actions of a day are reserved
    audit#<target>              head            number and hash of the newest entry
    audit#<target>              <number>        one entry of the audit chain
    audit#<target>              resolved        the number up to which every intent has its outcome
    watermark#<target>          <policy>        the last complete sweep
    watermark#<target>          <policy>@<...>  the last complete sweep that a schedule started
    schedule#<schedule>         run             the last window that began, and how often it was tried
    schedule#<schedule>         done#<target>   the last window that a target has completed

``expires`` is the table's time-to-live attribute. Of these items only the days have it; all others are kept.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import batched
from typing import TYPE_CHECKING

from ...core.audit import GENESIS, Draft, Entry, link, open_intents
from ...core.errors import LedgerError
from ...core.target import Target
from ..records import Pause, ScheduleRun, Watermark
from . import items
from .continuations import DynamoContinuations
from .fleets import DynamoFleets
from .plans import DynamoPlans
from .table import NEW, TRIES, Table, put, update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

ENTRIES_PER_WRITE = 50  # TransactWriteItems takes 100 items; the head is one of them


class DynamoLedger:
    """Implements ``Ledger``. ``client`` is a DynamoDB client in the table's region; ``sleep`` waits, in seconds."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = Table(client, table, sleep=sleep)
        self.fleets = DynamoFleets(self._table)
        self.plans = DynamoPlans(self._table)
        self.continuations = DynamoContinuations(self._table)

    def paused(self) -> Pause | None:
        """Return the pause, or None. Every batch reads it."""
        item = self._table.get("pause", "pause")
        if item is None or item.get("on") == {"BOOL": False}:
            return None
        with self._table.translate_errors():
            return Pause(
                since=items.instant(item["since"]), by=item["by"]["S"], reason=item["reason"]["S"]
            )

    def pause(self, pause: Pause) -> None:
        """Pause Curfew."""
        content = {
            "since": items.text(pause.since),
            "by": items.text(pause.by),
            "reason": items.text(pause.reason),
        }
        self._table.write(put({**items.key("pause", "pause"), "on": {"BOOL": True}, **content}))

    def resume(self) -> None:
        """End the pause; the item is kept, so that the role needs no right to delete."""
        self._table.write(put({**items.key("pause", "pause"), "on": {"BOOL": False}}))

    def record_first_seen(
        self, target: Target, ids: Sequence[str], now: datetime
    ) -> Mapping[str, datetime]:
        """Read the recorded times and record the missing ones; of two writers, the first one's time counts."""
        seen = self._seen(target, ids)
        for id_ in dict.fromkeys(ids):
            if id_ not in seen:
                seen[id_] = self._first_seen(target, id_, now)
        return seen

    def reserve(self, target: Target, day: date, count: int, limit: int) -> bool:
        """One conditional update. If the SDK retries it after a lost answer, it can only reserve too much."""
        if count > limit:
            return False
        change = update(
            items.key(f"day#{target.provider}:{target.account}", day.isoformat()),
            {"expires": items.number(items.expiry(datetime.fromisoformat(f"{day}T00:00Z")))},
            plus={"spent": items.number(count)},
            when="attribute_not_exists(#spent) OR #spent <= :room",
            room=items.number(limit - count),
        )
        return self._table.write(change) is None

    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        """Write entries and the new head in one transaction, so that the chain never forks."""
        for batch in batched(drafts, ENTRIES_PER_WRITE, strict=False):
            self._append(target, batch)

    def entries(self, target: Target, *, after: int = 0) -> Iterator[Entry]:
        """Yield the entries after number ``after``, page by page."""
        found = self._table.query(
            f"audit#{target}", between=(items.entry_place(after + 1), items.LAST)
        )
        with self._table.translate_errors():
            yield from map(items.entry_of, found)

    def open_intents(self, target: Target) -> tuple[Entry, ...]:
        """Read from the first intent that was open at the last call, and record up to where all have outcomes."""
        audit = f"audit#{target}"
        mark = self._table.get(audit, "resolved")
        with self._table.translate_errors():
            resolved = 0 if mark is None else int(mark["number"]["N"])
        recent = tuple(self.entries(target, after=resolved))
        still_open = open_intents(recent)
        if recent:
            now_resolved = still_open[0].number - 1 if still_open else recent[-1].number
            if now_resolved > resolved:
                self._table.write(
                    put({**items.key(audit, "resolved"), "number": items.number(now_resolved)})
                )
        return still_open

    def watermark(self, target: Target, policy: str, schedule: str = "") -> Watermark | None:
        """Return the last complete sweep, or the last one of a schedule."""
        item = self._table.get(f"watermark#{target}", items.watermark_place(policy, schedule))
        if item is None:
            return None
        with self._table.translate_errors():
            return items.watermark_of(item)

    def complete(self, target: Target, policy: str, watermark: Watermark) -> None:
        """Replace the watermark of an earlier sweep; the schedule's first, since it is the more important one."""
        for schedule in dict.fromkeys((watermark.schedule, "")):
            key = items.key(f"watermark#{target}", items.watermark_place(policy, schedule))
            item = {**key, **items.of_watermark(watermark)}
            later = "scheduled_at" if schedule else "completed_at"
            when = f"attribute_not_exists(#pk) OR #{later} <= :at"
            self._table.write(put(item, when=when, at=item[later]))
        if watermark.schedule and watermark.scheduled_at:
            place = items.key(f"schedule#{watermark.schedule}", f"{items.DONE}{target}")
            done = {**place, "window": items.text(watermark.scheduled_at)}
            when = "attribute_not_exists(#pk) OR #window <= :at"
            self._table.write(put(done, when=when, at=done["window"]))

    def schedule_run(self, schedule: str) -> ScheduleRun | None:
        """Return the last run of a schedule, or None."""
        item = self._table.get(f"schedule#{schedule}", "run")
        if item is None:
            return None
        with self._table.translate_errors():
            return items.schedule_run_of(schedule, item)

    def begin_schedule_run(self, run: ScheduleRun, *, after: ScheduleRun | None) -> bool:
        """Begin a run of a schedule. An equal item in the table means that the answer of the first try was lost."""
        item = {**items.key(f"schedule#{run.schedule}", "run"), **items.of_schedule_run(run)}
        if after is None:
            there = self._table.write(put(item, when=NEW))
        else:
            when = "#window = :window AND #begun_at = :begun_at AND #tries = :tries AND #run_id = :run_id"
            there = self._table.write(put(item, when=when, **items.of_schedule_run(after)))
        return there is None or there == item

    def completed_targets(self, schedule: str, window: datetime) -> frozenset[Target]:
        """Return the targets that have completed the window, or a later one, by one query."""
        found = self._table.query(f"schedule#{schedule}", prefix=items.DONE)
        with self._table.translate_errors():
            return frozenset(
                items.target_of(item["sk"]["S"].removeprefix(items.DONE))
                for item in found
                if items.instant(item["window"]) >= window
            )

    def _seen(self, target: Target, ids: Sequence[str]) -> dict[str, datetime]:
        keys = [items.key(f"seen#{target}", id_) for id_ in dict.fromkeys(ids)]
        with self._table.translate_errors():
            return {
                item["sk"]["S"]: items.instant(item["first_seen_at"])
                for item in self._table.get_many(keys)
            }

    def _first_seen(self, target: Target, id_: str, now: datetime) -> datetime:
        seen = {**items.key(f"seen#{target}", id_), "first_seen_at": items.text(now)}
        there = self._table.write(put(seen, when=NEW))
        with self._table.translate_errors():
            return now if there is None else items.instant(there["first_seen_at"])

    def _append(self, target: Target, drafts: Sequence[Draft]) -> None:
        audit = f"audit#{target}"
        for attempt in range(TRIES):
            head = self._table.get(audit, "head")
            with self._table.translate_errors():
                number = int(head["number"]["N"]) if head else 0
                previous = head["hash"]["S"] if head else GENESIS
            entries: list[Entry] = []
            for draft in drafts:
                entry = link(draft, number=number + len(entries) + 1, previous=previous)
                entries.append(entry)
                previous = entry.hash
            if self._write(audit, entries, after=number):
                return
            self._table.wait(attempt)
        raise LedgerError(
            f"the audit chain of {target} is too busy: other sweeps were first {TRIES} times; try again later"
        )

    def _write(self, audit: str, entries: Sequence[Entry], *, after: int) -> bool:
        """Return whether the entries were written: False if another sweep has appended after number ``after``."""
        newest = entries[-1]
        head = {
            **items.key(audit, "head"),
            "number": items.number(newest.number),
            "hash": items.text(newest.hash),
        }
        refused = self._table.transact(
            [
                put(head, when=f"{NEW} OR #number = :before", before=items.number(after)),
                *(put(items.item_of(audit, entry), when=NEW) for entry in entries),
            ]
        )
        return refused is None
