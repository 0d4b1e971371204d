"""Converts the ledger's records to DynamoDB items and back."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ...core.audit import Draft, Entry, EntryKind
from ...core.target import Target
from ..records import ScheduleRun, Watermark

type Item = Mapping[str, Any]

# For daily budgets and idempotency keys; first-seen times and audit entries are kept.
RETENTION = timedelta(days=400)
LAST = "9" * 12
DONE = "done#"


def entry_of(item: Item) -> Entry:
    """Return the audit entry of an item."""
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
    """Return the item of an audit entry."""
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
    """Return an item's key."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def watermark_place(policy: str, schedule: str) -> str:
    """Return the sort key of a watermark: of the last sweep, or of a schedule's last one."""
    return f"{policy}@{schedule}" if schedule else policy


def entry_place(number: int) -> str:
    """Return an entry's sort key: its number with leading zeros, so that texts sort as numbers."""
    return f"{number:0{len(LAST)}d}"


def text(value: str | datetime) -> dict[str, str]:
    """Return a string attribute; an instant is written as ISO 8601."""
    return {"S": value.isoformat() if isinstance(value, datetime) else str(value)}


def number(value: int) -> dict[str, str]:
    """Return a number attribute."""
    return {"N": str(value)}


def instant(value: Item) -> datetime:
    """Return the instant of a string attribute."""
    return datetime.fromisoformat(value["S"])


def expiry(at: datetime) -> int:
    """Return when the table may delete an item of this time, in seconds since 1970."""
    return int((at + RETENTION).timestamp())


def watermark_of(item: Item) -> Watermark:
    """Return the watermark of an item."""
    return Watermark(
        sweep_id=item["sweep_id"]["S"],
        completed_at=instant(item["completed_at"]),
        listed=int(item["listed"]["N"]),
        schedule=item["schedule"]["S"],
        scheduled_at=instant(item["scheduled_at"]) if "scheduled_at" in item else None,
    )


def of_watermark(watermark: Watermark) -> Item:
    """Return a watermark's attributes, without the key."""
    scheduled = watermark.scheduled_at
    return {
        "sweep_id": text(watermark.sweep_id),
        "completed_at": text(watermark.completed_at),
        "listed": number(watermark.listed),
        "schedule": text(watermark.schedule),
        **({"scheduled_at": text(scheduled)} if scheduled else {}),
    }


def schedule_run_of(schedule: str, item: Item) -> ScheduleRun:
    """Return the schedule run of an item."""
    return ScheduleRun(
        schedule=schedule,
        window=instant(item["window"]),
        begun_at=instant(item["begun_at"]),
        tries=int(item["tries"]["N"]),
        run_id=item["run_id"]["S"],
    )


def of_schedule_run(run: ScheduleRun) -> Item:
    """Return a schedule run's attributes, without the key."""
    return {
        "window": text(run.window),
        "begun_at": text(run.begun_at),
        "tries": number(run.tries),
        "run_id": text(run.run_id),
    }


def target_of(words: str) -> Target:
    """Return the target that a key names."""
    provider, account, region = words.split(":")
    return Target(provider=provider, account=account, region=region)
