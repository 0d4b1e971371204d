"""The ledger in one DynamoDB table: many small items, never a growing one.

    pk                          sk              what
    pause                       pause           the pause switch
    seen#<target>               <instance id>   when an instance was first seen
    day#<provider>:<account>    <date>          how many actions a day has cost
    audit#<target>              head            number and hash of the newest entry
    audit#<target>              <number>        one entry of the audit chain
    audit#<target>              settled         up to which number every intent has its outcome
    watermark#<target>          <policy>        the last complete sweep
    watermark#<target>          <policy>@<...>  the last complete sweep that a schedule started

``expires`` is the table's time-to-live attribute; only the days have it. What was seen and what was done is kept.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..core.audit import GENESIS, Draft, Entry, link, unsettled
from ..core.errors import LedgerError
from ..core.model import Target
from . import Pause, Watermark, items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

KEYS_PER_READ = 100  # BatchGetItem's own limit
ENTRIES_PER_WRITE = 50  # TransactWriteItems takes 100 items, the head is one
TRIES = 6


class DynamoLedger:
    """The table behind the protocol. ``client`` is a DynamoDB client of the table's region."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def paused(self) -> Pause | None:
        """Read consistently before every batch."""
        item = self._get("pause", "pause")
        if item is None or item.get("on") == {"BOOL": False}:
            return None
        with self._speaking():
            return Pause(
                since=items.instant(item["since"]), by=item["by"]["S"], reason=item["reason"]["S"]
            )

    def pause(self, pause: Pause) -> None:
        """Throw the switch."""
        said = {
            "since": items.text(pause.since),
            "by": items.text(pause.by),
            "reason": items.text(pause.reason),
        }
        self._put({**items.key("pause", "pause"), "on": {"BOOL": True}, **said})

    def resume(self) -> None:
        """Release the switch; the item stays, so that no right to delete is needed."""
        self._put({**items.key("pause", "pause"), "on": {"BOOL": False}})

    def witness(self, target: Target, ids: Sequence[str], now: datetime) -> Mapping[str, datetime]:
        """Read what is known, write what is not; a writer who comes second reads the first one's word."""
        known = self._seen(target, ids)
        for id_ in dict.fromkeys(ids):
            if id_ not in known:
                known[id_] = self._first_seen(target, id_, now)
        return known

    def reserve(self, target: Target, day: date, count: int, limit: int) -> bool:
        """One conditional update; a lost answer that the SDK repeats can only count too much."""
        if count > limit:
            return False
        with self._speaking():
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=items.key(f"day#{target.provider}:{target.account}", day.isoformat()),
                    UpdateExpression="ADD spent :count SET expires = :expires",
                    ConditionExpression="attribute_not_exists(spent) OR spent <= :room",
                    ExpressionAttributeValues={
                        ":count": items.number(count),
                        ":room": items.number(limit - count),
                        ":expires": items.number(
                            items.expiry(datetime.fromisoformat(f"{day}T00:00Z"))
                        ),
                    },
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        """Entries and the new head in one transaction, so that the chain never forks."""
        for some in batched(drafts, ENTRIES_PER_WRITE, strict=False):
            self._append(target, some)

    def entries(self, target: Target, *, after: int = 0) -> Iterator[Entry]:
        """Page through the chain."""
        with self._speaking():
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": items.text(f"audit#{target}"),
                    ":first": items.text(items.entry_place(after + 1)),
                    ":last": items.text(items.LAST),
                },
            )
            for page in pages:
                yield from map(items.entry_of, page["Items"])

    def open_intents(self, target: Target) -> tuple[Entry, ...]:
        """Read from the first entry that was still open the last time, and remember how far all is settled."""
        audit = f"audit#{target}"
        mark = self._get(audit, "settled")
        settled = 0 if mark is None else int(mark["number"]["N"])
        recent = tuple(self.entries(target, after=settled))
        still_open = unsettled(recent)
        if recent:
            now_settled = still_open[0].number - 1 if still_open else recent[-1].number
            if now_settled > settled:
                self._put({**items.key(audit, "settled"), "number": items.number(now_settled)})
        return still_open

    def watermark(self, target: Target, policy: str, schedule: str = "") -> Watermark | None:
        """The last complete sweep, or the last one of a schedule."""
        item = self._get(f"watermark#{target}", items.watermark_place(policy, schedule))
        if item is None:
            return None
        with self._speaking():
            return items.watermark_of(item)

    def complete(self, target: Target, policy: str, watermark: Watermark) -> None:
        """Record a complete sweep in the place of the one before; its schedule's first, which counts for more."""
        for schedule in dict.fromkeys((watermark.schedule, "")):
            key = items.key(f"watermark#{target}", items.watermark_place(policy, schedule))
            self._put({**key, **items.of_watermark(watermark)})

    def _seen(self, target: Target, ids: Sequence[str]) -> dict[str, datetime]:
        known: dict[str, datetime] = {}
        keys = [items.key(f"seen#{target}", id_) for id_ in dict.fromkeys(ids)]
        for some in batched(keys, KEYS_PER_READ, strict=False):
            with self._speaking():
                for item in self._read_all(some):
                    known[item["sk"]["S"]] = items.instant(item["first_seen_at"])
        return known

    def _read_all(self, keys: Sequence[items.Item]) -> Iterator[items.Item]:
        """BatchGetItem may leave keys unread when it is busy."""
        for attempt in range(TRIES):
            request: Any = {self._table: {"Keys": list(keys), "ConsistentRead": True}}
            answer = self._client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(self._table, [])
            left = answer.get("UnprocessedKeys", {}).get(self._table)
            if not left:
                return
            keys = left["Keys"]
            _wait(attempt)
        raise LedgerError(f'the ledger, DynamoDB table "{self._table}", is too busy to be read')

    def _first_seen(self, target: Target, id_: str, now: datetime) -> datetime:
        with self._speaking():
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={
                        **items.key(f"seen#{target}", id_),
                        "first_seen_at": items.text(now),
                    },
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return self._seen(target, [id_])[id_]
        return now

    def _append(self, target: Target, drafts: Sequence[Draft]) -> None:
        audit = f"audit#{target}"
        for attempt in range(TRIES):
            head = self._get(audit, "head")
            number = int(head["number"]["N"]) if head else 0
            previous = head["hash"]["S"] if head else GENESIS
            entries: list[Entry] = []
            for draft in drafts:
                entry = link(draft, number=number + len(entries) + 1, previous=previous)
                entries.append(entry)
                previous = entry.hash
            with self._speaking():
                try:
                    self._write(audit, entries, after=number)
                except self._client.exceptions.TransactionCanceledException as cancelled:
                    if not _overtaken(cancelled.response):
                        raise
                else:
                    return
            _wait(attempt)
        raise LedgerError(f"the audit chain of {target} is too busy: {TRIES} tries were overtaken")

    def _write(self, audit: str, entries: Sequence[Entry], *, after: int) -> None:
        newest = entries[-1]
        head = {
            "TableName": self._table,
            "Item": {
                **items.key(audit, "head"),
                "number": items.number(newest.number),
                "hash": items.text(newest.hash),
            },
            "ConditionExpression": "attribute_not_exists(pk) OR #number = :before",
            "ExpressionAttributeNames": {"#number": "number"},
            "ExpressionAttributeValues": {":before": items.number(after)},
        }
        puts = [
            {
                "TableName": self._table,
                "Item": items.item_of(audit, entry),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
            for entry in entries
        ]
        transaction: Any = [{"Put": put} for put in (head, *puts)]
        self._client.transact_write_items(TransactItems=transaction)

    def _get(self, pk: str, sk: str) -> items.Item | None:
        with self._speaking():
            answer = self._client.get_item(
                TableName=self._table, Key=items.key(pk, sk), ConsistentRead=True
            )
            return answer.get("Item")

    def _put(self, item: items.Item) -> None:
        with self._speaking():
            self._client.put_item(TableName=self._table, Item=item)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise LedgerError(
                f'the ledger, DynamoDB table "{self._table}", cannot be used: {error}'
            ) from error
        except (LookupError, ValueError, TypeError) as error:
            raise LedgerError(
                f'the ledger, DynamoDB table "{self._table}", holds something that is not its own: '
                f"{type(error).__name__}: {error}"
            ) from error


def _overtaken(response: Any) -> bool:
    """Whether a transaction lost a race: another sweep appended first, and the place after it is free."""
    codes = {reason.get("Code") for reason in response.get("CancellationReasons", [])}
    return bool(codes & {"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError"})


def _wait(attempt: int) -> None:
    time.sleep(0.05 * 2**attempt)
