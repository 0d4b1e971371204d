"""How the ledger's things look as DynamoDB items: attribute values in, the ledger's words out, and back."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ...core.audit import Draft, Entry, EntryKind
from ...core.target import Target
from ..records import Round, Watermark

type Item = Mapping[str, Any]

# Day budgets may go; what was seen and what was done stays.
RETENTION = timedelta(days=400)
LAST = "9" * 12
DONE = "done#"


def entry_of(item: Item) -> Entry:
    """An audit entry as it was written."""
    return Entry(
        draft=Draft(
            kind=EntryKind(item["kind"]["S"]),
            sweep_id=item["sweep_id"]["S"],
            instance_id=item["instance_id"]["S"],
            at=instant(item["at"]),
            body=json.loads(item["body"]["S"]),
        ),
        number=int(item["sk"]["S"]),
        previous=item["previous"]["S"],
        hash=item["hash"]["S"],
    )


def item_of(audit: str, entry: Entry) -> Item:
    """An audit entry in its place."""
    draft = entry.draft
    return {
        **key(audit, entry_place(entry.number)),
        "kind": text(draft.kind),
        "sweep_id": text(draft.sweep_id),
        "instance_id": text(draft.instance_id),
        "at": text(draft.at),
        "body": text(json.dumps(draft.body, sort_keys=True, ensure_ascii=False)),
        "previous": text(entry.previous),
        "hash": text(entry.hash),
    }


def key(pk: str, sk: str) -> dict[str, Any]:
    """An item's key."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def watermark_place(policy: str, schedule: str) -> str:
    """Where a watermark stands: the last of all, or of a schedule."""
    return f"{policy}@{schedule}" if schedule else policy


def entry_place(number: int) -> str:
    """An entry's number, so that texts sort as numbers do."""
    return f"{number:0{len(LAST)}d}"


def text(value: str | datetime) -> dict[str, str]:
    """A text, or an instant as one."""
    return {"S": value.isoformat() if isinstance(value, datetime) else str(value)}


def number(value: int) -> dict[str, str]:
    """A number."""
    return {"N": str(value)}


def instant(value: Item) -> datetime:
    """An instant that was written as a text."""
    return datetime.fromisoformat(value["S"])


def expiry(at: datetime) -> int:
    """When the table may let go of what is of this time."""
    return int((at + RETENTION).timestamp())


def watermark_of(item: Item) -> Watermark:
    """A watermark as it was written."""
    return Watermark(
        sweep_id=item["sweep_id"]["S"],
        completed_at=instant(item["completed_at"]),
        listed=int(item["listed"]["N"]),
        schedule=item["schedule"]["S"],
        scheduled_at=instant(item["scheduled_at"]) if "scheduled_at" in item else None,
    )


def of_watermark(watermark: Watermark) -> Item:
    """A watermark without its key."""
    scheduled = watermark.scheduled_at
    return {
        "sweep_id": text(watermark.sweep_id),
        "completed_at": text(watermark.completed_at),
        "listed": number(watermark.listed),
        "schedule": text(watermark.schedule),
        **({"scheduled_at": text(scheduled)} if scheduled else {}),
    }


def round_of(schedule: str, item: Item) -> Round:
    """A round as it was written."""
    return Round(
        schedule=schedule,
        window=instant(item["window"]),
        begun_at=instant(item["begun_at"]),
        tries=int(item["tries"]["N"]),
        mark=item["mark"]["S"],
    )


def of_round(round_: Round) -> Item:
    """A round without its key."""
    return {
        "window": text(round_.window),
        "begun_at": text(round_.begun_at),
        "tries": number(round_.tries),
        "mark": text(round_.mark),
    }


def target_of(words: str) -> Target:
    """A target as it is spelt in a key."""
    provider, account, region = words.split(":")
    return Target(provider=provider, account=account, region=region)
