"""Converts stored plans and their verdicts to DynamoDB items and back."""

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from ...core.instance import ActionKind, Instance, State, Volume
from ...core.lease import Lease
from ...core.plan import Action, Kept
from ...core.report import Outcome, Result
from ...core.target import Target
from ..records import PlanPhase, StoredPlan, Verdict
from .fleet_items import of_target, target_of
from .items import Item, instant, key, number, text

RETENTION = timedelta(days=30)
RECORD = "plan"
VERDICT = "verdict#"


def plan(id_: str) -> str:
    """Return the partition key of a plan and its verdicts."""
    return f"plan#{id_}"


def of_record(record: StoredPlan) -> Item:
    """Return the item of a plan, without its verdicts."""
    return {
        **key(plan(record.id), RECORD),
        "id": text(record.id),
        "policy": text(record.policy),
        "policy_version": text(record.policy_version),
        **of_target(record.target),
        "asked_by": text(record.asked_by),
        "made_at": text(record.made_at),
        "expires_at": text(record.expires_at),
        "phase": text(record.phase),
        "hash": text(record.hash),
        "applied_by": text(record.applied_by),
        "summary": text(_json(dict(record.summary))),
        "expires": expiry(record.made_at),
    }


def record_of(item: Item) -> StoredPlan:
    """Return the plan of an item, without its verdicts."""
    return StoredPlan(
        id=item["id"]["S"],
        policy=item["policy"]["S"],
        policy_version=item["policy_version"]["S"],
        target=target_of(item),
        asked_by=item["asked_by"]["S"],
        made_at=instant(item["made_at"]),
        expires_at=instant(item["expires_at"]),
        phase=PlanPhase(item["phase"]["S"]),
        hash=item["hash"]["S"],
        applied_by=item["applied_by"]["S"],
        summary=dict(json.loads(item["summary"]["S"]).items()),
    )


def of_verdict(record: StoredPlan, verdict: Verdict) -> Item:
    """Return the item of a verdict."""
    judged, outcome = verdict.judged, verdict.outcome
    return {
        **key(plan(record.id), f"{VERDICT}{judged.instance.id}"),
        **of_judged(judged),
        **({"result": text(outcome.result), "detail": text(outcome.detail)} if outcome else {}),
        "expires": expiry(record.made_at),
    }


def of_judged(judged: Action | Kept) -> dict[str, Any]:
    """Return the attributes of an action or of a kept instance."""
    return {
        "rule": text(judged.rule),
        "reason": text(judged.reason),
        "instance": text(_json(asdict(judged.instance))),
        **({"action": text(judged.kind)} if isinstance(judged, Action) else {}),
    }


def verdict_of(item: Item) -> Verdict:
    """Return the verdict of an item."""
    if "action" not in item:
        instance = _instance_of(json.loads(item["instance"]["S"]))
        kept = Kept(instance=instance, rule=item["rule"]["S"], reason=item["reason"]["S"])
        return Verdict(judged=kept)
    action = action_of(item)
    if "result" not in item:
        return Verdict(judged=action)
    result, detail = Result(item["result"]["S"]), item["detail"]["S"]
    return Verdict(judged=action, outcome=Outcome(action=action, result=result, detail=detail))


def action_of(item: Item) -> Action:
    """Return the action of an item."""
    return Action(
        instance=_instance_of(json.loads(item["instance"]["S"])),
        kind=ActionKind(item["action"]["S"]),
        rule=item["rule"]["S"],
        reason=item["reason"]["S"],
    )


def expiry(made_at: datetime) -> dict[str, str]:
    """Return when the table may delete the item, in seconds since 1970."""
    return number(int((made_at + RETENTION).timestamp()))


def _json(values: Any) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, default=datetime.isoformat)


def _instance_of(content: dict[str, Any]) -> Instance:
    lease = content.pop("lease")
    instants: dict[str, Any] = {
        name: datetime.fromisoformat(at) if (at := content.pop(name)) else None
        for name in ("started_at", "first_seen_at")
    }
    return Instance(
        target=Target(**content.pop("target")),
        state=State(content.pop("state")),
        volumes=tuple(Volume(**volume) for volume in content.pop("volumes")),
        ambiguous=tuple(content.pop("ambiguous", ())),  # older plans do not have it
        lease=lease and Lease(expires_at=datetime.fromisoformat(lease.pop("expires_at")), **lease),
        **instants,
        **content,
    )
