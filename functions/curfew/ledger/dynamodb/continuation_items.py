"""Converts continuations and their actions to DynamoDB items and back."""

from ...core.plan import Action
from ..records import Continuation, ContinuationPhase
from .fleet_items import of_target, target_of
from .items import Item, instant, key, number, text
from .plan_items import expiry, of_judged

RECORD = "continuation"
ACTION = "action#"


def partition(id_: str) -> str:
    """Return the partition key of a continuation and its actions."""
    return f"continuation#{id_}"


def of_continuation(continuation: Continuation) -> Item:
    """Return the item of a continuation, without its actions."""
    scheduled_at = continuation.scheduled_at
    return {
        **key(partition(continuation.id), RECORD),
        "id": text(continuation.id),
        "root_sweep_id": text(continuation.root_sweep_id),
        "sweep_id": text(continuation.sweep_id),
        "attempt": number(continuation.attempt),
        "policy": text(continuation.policy),
        "policy_version": text(continuation.policy_version),
        **of_target(continuation.target),
        "made_at": text(continuation.made_at),
        "expires_at": text(continuation.expires_at),
        "listed": number(continuation.listed),
        "troubled": {"BOOL": continuation.troubled},
        "schedule": text(continuation.schedule),
        **({"scheduled_at": text(scheduled_at)} if scheduled_at else {}),
        "phase": text(continuation.phase),
        "resumed_by": text(continuation.resumed_by),
        "expires": expiry(continuation.made_at),
    }


def continuation_of(item: Item) -> Continuation:
    """Return the continuation of an item, without its actions."""
    return Continuation(
        id=item["id"]["S"],
        root_sweep_id=item["root_sweep_id"]["S"],
        sweep_id=item["sweep_id"]["S"],
        attempt=int(item["attempt"]["N"]),
        policy=item["policy"]["S"],
        policy_version=item["policy_version"]["S"],
        target=target_of(item),
        made_at=instant(item["made_at"]),
        expires_at=instant(item["expires_at"]),
        listed=int(item["listed"]["N"]),
        troubled=bool(item["troubled"]["BOOL"]),
        schedule=item["schedule"]["S"],
        scheduled_at=instant(item["scheduled_at"]) if "scheduled_at" in item else None,
        phase=ContinuationPhase(item["phase"]["S"]),
        resumed_by=item["resumed_by"]["S"],
    )


def of_action(continuation: Continuation, action: Action) -> Item:
    """Return the item of an action."""
    return {
        **key(partition(continuation.id), f"{ACTION}{action.instance.id}"),
        **of_judged(action),
        "expires": expiry(continuation.made_at),
    }
