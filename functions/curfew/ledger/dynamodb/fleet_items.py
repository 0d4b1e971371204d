"""How fleets, their launches and their instances look as DynamoDB items.

An instant that a condition compares stands twice: as a text for people, and in seconds since 1970 as ``…_epoch``. Who
changes only one of them by hand makes the item unreadable: then nobody decides by half of it.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ...core.launch import Answer, Attempt, Order
from ...core.lease import Fleet, Member, Step
from ...core.target import Target
from .items import Item, expiry, instant, key, number, text

FLEETS = "fleet"
ORDER = "order"
ATTEMPT = "attempt#"
INSTANCE = "instance#"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def seconds(at: datetime) -> dict[str, str]:
    """An instant as a number that conditions can compare, exact to the microsecond."""
    return _exact(at - _EPOCH)


def moment(name: str, at: datetime) -> dict[str, Any]:
    """An instant under its name, as a text and as a number."""
    return {name: text(at), f"{name}_epoch": seconds(at)}


def target_of(item: Item) -> Target:
    """Where a fleet or a plan is at home."""
    return Target(
        provider=item["provider"]["S"], account=item["account"]["S"], region=item["region"]["S"]
    )


def of_target(target: Target) -> dict[str, Any]:
    """A target as attributes."""
    return {name: text(value) for name, value in asdict(target).items()}


def launch(operation: str) -> str:
    """Where all that belongs to one launch stands."""
    return f"fleet#{operation}"


def home(target: Target, instance_id: str) -> dict[str, Any]:
    """The key of what says to which fleet an instance belongs."""
    return key(f"lease#{target}", instance_id)


def of_fleet(fleet: Fleet) -> Item:
    """A fleet in its place."""
    return {
        **key(FLEETS, fleet.name),
        "operation": text(fleet.operation),
        "template": text(fleet.template),
        **of_target(fleet.target),
        "owner": text(fleet.owner),
        "count": number(fleet.count),
        "created_at": text(fleet.created_at),
        **moment("expires_at", fleet.expires_at),
        "longest": _exact(fleet.longest),
        "step": text(fleet.step),
        "problem": text(fleet.problem),
        **({"claimed_by": text(fleet.claimed_by)} if fleet.claimed_by else {}),
        **(moment("claimed_at", fleet.claimed_at) if fleet.claimed_at else {}),
        **({"ended_at": text(fleet.ended_at)} if fleet.ended_at else {}),
    }


def fleet_of(item: Item) -> Fleet:
    """A fleet as it stands."""
    return Fleet(
        name=item["sk"]["S"],
        operation=item["operation"]["S"],
        template=item["template"]["S"],
        target=target_of(item),
        owner=item["owner"]["S"],
        count=int(item["count"]["N"]),
        created_at=instant(item["created_at"]),
        expires_at=_moment_of(item, "expires_at"),
        longest=_duration(item["longest"]["N"]),
        step=Step(item["step"]["S"]),
        problem=item["problem"]["S"],
        claimed_by=item["claimed_by"]["S"] if "claimed_by" in item else "",
        claimed_at=_moment_of(item, "claimed_at") if _has(item, "claimed_at") else None,
        ended_at=instant(item["ended_at"]) if "ended_at" in item else None,
    )


def locked_at(item: Item) -> datetime | None:
    """When the lock of a fleet was last taken or kept."""
    return instant(item["locked_at"]) if "locked_at" in item else None


def of_order(order: Order) -> Item:
    """A frozen order in its place."""
    said = json.dumps(asdict(order), sort_keys=True, ensure_ascii=False)
    return {**key(launch(order.operation), ORDER), "order": text(said)}


def order_of(item: Item) -> Order:
    """A frozen order, to the last detail."""
    said = json.loads(item["order"]["S"])
    lists: dict[str, Any] = {
        name: tuple(said.pop(name)) for name in ("instance_types", "subnets", "security_groups")
    }
    lists["networks"] = tuple(said.pop("networks", ()))  # an older order is for a cloud without
    return Order(target=Target(**said.pop("target")), **lists, **said)


def of_key(scope: str, body: str, fleet: Fleet) -> Item:
    """An idempotency key in its place."""
    return {
        **key(f"key#{scope}", "key"),
        "body": text(body),
        "fleet": text(fleet.name),
        "operation": text(fleet.operation),
        "expires": number(expiry(fleet.created_at)),
    }


def attempt_place(number_: int) -> str:
    """Where an attempt stands."""
    return f"{ATTEMPT}{number_:03d}"


def of_attempt(operation: str, attempt: Attempt, worker: str) -> Item:
    """An attempt in its place, with whoever made it."""
    return {
        **key(launch(operation), attempt_place(attempt.number)),
        "number": number(attempt.number),
        "pool": number(attempt.pool),
        "count": number(attempt.count),
        **of_answer(attempt),
        "worker": text(worker),
    }


def of_answer(attempt: Attempt) -> dict[str, Any]:
    """What came of an attempt, as attributes."""
    return {
        "answer": text(attempt.answer),
        "launched": number(attempt.launched),
        "problem": text(attempt.problem),
    }


def attempt_of(item: Item) -> Attempt:
    """An attempt as it stands."""
    return Attempt(
        number=int(item["number"]["N"]),
        pool=int(item["pool"]["N"]),
        count=int(item["count"]["N"]),
        answer=Answer(item["answer"]["S"]),
        launched=int(item["launched"]["N"]),
        problem=item["problem"]["S"],
    )


def member_of(item: Item) -> Member:
    """One instance of a fleet."""
    return Member(
        instance_id=item["sk"]["S"].removeprefix(INSTANCE),
        born_at=instant(item["born_at"]),
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
