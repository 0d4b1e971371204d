"""Audit entries. Each contains the hash of the entry before it.

Curfew writes an ``intent`` before a call and an ``outcome`` after it. An ``event`` records what ends no instance: a
launch, a changed lease. Entries are never changed: altering, dropping or reordering one breaks every later hash.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from .instance import ActionKind, Instance
from .plan import Action, Plan
from .report import Outcome, Result

GENESIS = "0" * 64


class EntryKind(StrEnum):
    """What an entry records: a planned action, its result, or something that ended no instance."""

    INTENT = "intent"
    OUTCOME = "outcome"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry that is not yet part of the chain. ``body`` contains JSON values only.

    In an event, ``sweep_id`` is the launch's id; ``instance_id`` is the fleet's name if it concerns a whole fleet.
    """

    kind: EntryKind
    sweep_id: str
    instance_id: str
    at: datetime
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A draft that is part of the chain: with its number, the previous entry's hash and its own."""

    draft: Draft
    number: int
    previous: str
    hash: str


def intents(actions: Iterable[Action], plan: Plan, *, sweep_id: str, at: datetime) -> list[Draft]:
    """Return an intent for each action, with the description that the cloud no longer has afterwards."""
    origin = {
        "policy": plan.policy.name,
        "policy_version": plan.policy.version,
        "plan": plan.hash,
        **({"asked_by": plan.asked_by} if plan.asked_by else {}),
    }
    return [
        Draft(
            kind=EntryKind.INTENT,
            sweep_id=sweep_id,
            instance_id=action.instance.id,
            at=at,
            body={
                "action": str(action.kind),
                "rule": action.rule,
                "reason": action.reason,
                "instance": snapshot(action.instance),
                **origin,
            },
        )
        for action in actions
    ]


def event(
    action: str, subject: str, *, launch_id: str, by: str, at: datetime, **details: Any
) -> Draft:
    """Return an event: ``action`` is what was done to ``subject``, ``by`` is the principal that asked for it."""
    body = {"action": action, "by": by, **details}
    return Draft(kind=EntryKind.EVENT, sweep_id=launch_id, instance_id=subject, at=at, body=body)


def outcome(ended: Outcome, *, sweep_id: str, at: datetime) -> Draft:
    """Return the entry for the result of one action."""
    body = {
        "action": str(ended.action.kind),
        "result": str(ended.result),
        "detail": ended.detail,
    }
    return _outcome(sweep_id, ended.action.instance.id, at, body)


def intended(entry: Entry) -> ActionKind:
    """Return the action that an intent or an outcome names."""
    return ActionKind(entry.draft.body["action"])


def resolution(entry: Entry, result: Result, detail: str, *, at: datetime) -> Draft:
    """Return the outcome of an intent whose own sweep ended without writing one."""
    body = {"action": str(intended(entry)), "result": str(result), "detail": detail}
    return _outcome(entry.draft.sweep_id, entry.draft.instance_id, at, body)


def snapshot(instance: Instance) -> dict[str, Any]:
    """Return the instance's description as JSON values."""
    return {
        "id": instance.id,
        "target": str(instance.target),
        "zone": instance.zone,
        "state": str(instance.state),
        "type": instance.instance_type,
        "image": instance.image,
        "lifecycle": instance.lifecycle,
        "started_at": instance.started_at and instance.started_at.isoformat(),
        "first_seen_at": instance.first_seen_at and instance.first_seen_at.isoformat(),
        "tags": dict(instance.tags),
        "volumes": [
            {"id": v.id, "device": v.device, "delete_on_termination": v.delete_on_termination}
            for v in instance.volumes
        ],
        "lease": instance.lease
        and {
            "fleet": instance.lease.fleet,
            "launch_id": instance.lease.launch_id,
            "owner": instance.lease.owner,
            "expires_at": instance.lease.expires_at.isoformat(),
        },
    }


def link(draft: Draft, *, number: int, previous: str) -> Entry:
    """Return the draft as an entry that follows the entry whose hash is ``previous``."""
    content = [
        number,
        previous,
        str(draft.kind),
        draft.sweep_id,
        draft.instance_id,
        draft.at.isoformat(),
        draft.body,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Entry(draft=draft, number=number, previous=previous, hash=digest)


def broken(entries: Iterable[Entry], *, first: int | None = None) -> int | None:
    """Return the number of the first altered or misplaced entry, or None if the chain is intact.

    With ``first``, the chain must begin with that number; without, it may begin anywhere. It must have no gap.
    """
    before: Entry | None = None
    for entry in entries:
        if before is None and first is not None and entry.number != first:
            return entry.number
        if before and (entry.number != before.number + 1 or entry.previous != before.hash):
            return entry.number
        if link(entry.draft, number=entry.number, previous=entry.previous).hash != entry.hash:
            return entry.number
        before = entry
    return None


def _outcome(sweep_id: str, instance_id: str, at: datetime, body: dict[str, Any]) -> Draft:
    return Draft(
        kind=EntryKind.OUTCOME, sweep_id=sweep_id, instance_id=instance_id, at=at, body=body
    )


def open_intents(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the intents that no outcome of the same sweep and instance follows."""
    waiting: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        key = (entry.draft.sweep_id, entry.draft.instance_id)
        if entry.draft.kind is EntryKind.INTENT:
            waiting[key] = entry
        elif entry.draft.kind is EntryKind.OUTCOME:
            waiting.pop(key, None)
    return tuple(waiting.values())
