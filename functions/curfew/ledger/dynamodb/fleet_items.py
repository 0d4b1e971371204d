"""Converts fleets, launches and members to DynamoDB items and back.

Timestamps used in conditions are stored twice, as ISO 8601 text and as epoch seconds (``…_epoch``). If they disagree,
the item is rejected, so a manual edit of one cannot take partial effect.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ...core.launch import Attempt, AttemptResult, LaunchSpec
from ...core.lease import Fleet, Member, Phase
from ...core.target import Target
from .items import Item, expiry, instant, key, number, text

FLEETS = "fleet"
LAUNCH_SPEC = "launch-spec"
ATTEMPT = "attempt#"
INSTANCE = "instance#"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def seconds(at: datetime) -> dict[str, str]:
    """Return an instant as seconds since 1970, exact to the microsecond, which conditions can compare."""
    return _exact(at - _EPOCH)


def moment(name: str, at: datetime) -> dict[str, Any]:
    """Return the two attributes of an instant: text and number."""
    return {name: text(at), f"{name}_epoch": seconds(at)}


def target_of(item: Item) -> Target:
    """Return the target of a fleet's or a plan's item."""
    return Target(
        provider=item["provider"]["S"], account=item["account"]["S"], region=item["region"]["S"]
    )


def of_target(target: Target) -> dict[str, Any]:
    """Return a target's attributes."""
    return {name: text(value) for name, value in asdict(target).items()}


def launch(launch_id: str) -> str:
    """Return the partition key of a launch."""
    return f"fleet#{launch_id}"


def home(target: Target, instance_id: str) -> dict[str, Any]:
    """Return the key of the item that names an instance's fleet."""
    return key(f"lease#{target}", instance_id)


def of_fleet(fleet: Fleet) -> Item:
    """Return the item of a fleet."""
    return {
        **key(FLEETS, fleet.name),
        "launch_id": text(fleet.launch_id),
        "template": text(fleet.template),
        **of_target(fleet.target),
        "owner": text(fleet.owner),
        "count": number(fleet.count),
        "created_at": text(fleet.created_at),
        **moment("expires_at", fleet.expires_at),
        "longest": _exact(fleet.longest),
        "phase": text(fleet.phase),
        "problem": text(fleet.problem),
        **({"claimed_by": text(fleet.claimed_by)} if fleet.claimed_by else {}),
        **(moment("claimed_at", fleet.claimed_at) if fleet.claimed_at else {}),
        **({"ended_at": text(fleet.ended_at)} if fleet.ended_at else {}),
    }


def fleet_of(item: Item) -> Fleet:
    """Return the fleet of an item. Raises ValueError if its timestamps disagree."""
    return Fleet(
        name=item["sk"]["S"],
        launch_id=item["launch_id"]["S"],
        template=item["template"]["S"],
        target=target_of(item),
        owner=item["owner"]["S"],
        count=int(item["count"]["N"]),
        created_at=instant(item["created_at"]),
        expires_at=_moment_of(item, "expires_at"),
        longest=_duration(item["longest"]["N"]),
        phase=Phase(item["phase"]["S"]),
        problem=item["problem"]["S"],
        claimed_by=item["claimed_by"]["S"] if "claimed_by" in item else "",
        claimed_at=_moment_of(item, "claimed_at") if _has(item, "claimed_at") else None,
        ended_at=instant(item["ended_at"]) if "ended_at" in item else None,
    )


def locked_at(item: Item) -> datetime | None:
    """Return when the lock of a fleet was last taken or extended, or None."""
    return instant(item["locked_at"]) if "locked_at" in item else None


def of_launch_spec(spec: LaunchSpec) -> Item:
    """Return the item of a frozen launch spec."""
    content = json.dumps(asdict(spec), sort_keys=True, ensure_ascii=False)
    return {**key(launch(spec.launch_id), LAUNCH_SPEC), "spec": text(content)}


def launch_spec_of(item: Item) -> LaunchSpec:
    """Return the frozen launch spec of an item."""
    content = json.loads(item["spec"]["S"])
    lists: dict[str, Any] = {
        name: tuple(content.pop(name)) for name in ("instance_types", "subnets", "security_groups")
    }
    lists["networks"] = tuple(content.pop("networks", ()))  # older specs are for EC2
    return LaunchSpec(target=Target(**content.pop("target")), **lists, **content)


def of_key(scope: str, body: str, fleet: Fleet) -> Item:
    """Return the item of an idempotency key."""
    return {
        **key(f"key#{scope}", "key"),
        "body": text(body),
        "fleet": text(fleet.name),
        "launch_id": text(fleet.launch_id),
        "expires": number(expiry(fleet.created_at)),
    }


def attempt_place(number_: int) -> str:
    """Return the sort key of an attempt."""
    return f"{ATTEMPT}{number_:03d}"


def of_attempt(launch_id: str, attempt: Attempt, worker: str) -> Item:
    """Return the item of an attempt, with the worker that made it."""
    return {
        **key(launch(launch_id), attempt_place(attempt.number)),
        "number": number(attempt.number),
        "pool": number(attempt.pool),
        "count": number(attempt.count),
        **of_result(attempt),
        "worker": text(worker),
    }


def of_result(attempt: Attempt) -> dict[str, Any]:
    """Return the attributes of an attempt's result."""
    return {
        "result": text(attempt.result),
        "launched": number(attempt.launched),
        "problem": text(attempt.problem),
    }


def attempt_of(item: Item) -> Attempt:
    """Return the attempt of an item."""
    return Attempt(
        number=int(item["number"]["N"]),
        pool=int(item["pool"]["N"]),
        count=int(item["count"]["N"]),
        result=AttemptResult(item["result"]["S"]),
        launched=int(item["launched"]["N"]),
        problem=item["problem"]["S"],
    )


def member_of(item: Item) -> Member:
    """Return the fleet's instance of an item."""
    return Member(
        instance_id=item["sk"]["S"].removeprefix(INSTANCE),
        launched_at=instant(item["launched_at"]),
        ended_at=instant(item["ended_at"]) if "ended_at" in item else None,
    )


def _moment_of(item: Item, name: str) -> datetime:
    at = instant(item[name])
    if Decimal(item[f"{name}_epoch"]["N"]) != Decimal(seconds(at)["N"]):
        raise ValueError(f"{name} is not {name}_epoch")
    return at


def _has(item: Item, name: str) -> bool:
    return name in item or f"{name}_epoch" in item


def _exact(duration: timedelta) -> dict[str, str]:
    return {"N": format(Decimal(duration // _MICROSECOND).scaleb(-6), "f")}


def _duration(exact: str) -> timedelta:
    return int(Decimal(exact).scaleb(6)) * _MICROSECOND
