"""The operations on one item: put, get, update, delete; and BatchGetItem.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html and its neighbours
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..call import ApiCall
from ..faults import FaultKind
from ..protocols import ApiError
from . import syntax, trees, values
from .evaluation import Bindings, check_types, holds
from .tables import Key, Table, Tables
from .trees import Step
from .updates import projected, updated
from .values import Item, invalid

MOST_KEYS = 100
FAILED = "The conditional request failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One parsed write that is not applied yet: its table and key, its condition, and the new item or update."""

    table: Table
    place: Key
    key: Item
    bindings: Bindings
    condition: trees.Condition | None = None
    put: Item | None = None
    update: tuple[Step, ...] | None = None
    deletes: bool = False
    returns_old: bool = False

    def allowed(self) -> bool:
        """Return whether the condition holds for the present item."""
        old = self.table.get(self.place)
        return self.condition is None or holds(self.condition, old or {}, self.bindings)

    def result(self) -> Item | None:
        """Return the item after the write, None if deleted. Raise ApiError if the update does not fit the item."""
        old = self.table.get(self.place)
        if self.put is not None or self.deletes:
            return self.put
        if self.update is None:
            return old
        keys = self.table.keys
        new = updated(self.update, old or dict(self.key), self.bindings, keys)
        return values.sound_item(new)


def understood(tables: Tables, call: ApiCall, kind: str, arguments: Mapping[str, Any]) -> Write:
    """Parse a Put, Update, Delete or ConditionCheck. Raise ApiError if it is not allowed or invalid by itself."""
    table = tables.get(arguments["TableName"])
    authorise(call, f"{kind}Item", table)
    bindings = Bindings(arguments)
    parsed: list[trees.Parsed[Any]] = []
    condition = update = put = None
    if (text := arguments.get("ConditionExpression")) is not None:
        parsed.append(syntax.condition(text, "ConditionExpression"))
        condition = parsed[-1].tree
    if (text := arguments.get("UpdateExpression")) is not None:
        parsed.append(syntax.update(text))
        update = parsed[-1].tree
    bindings.check(parsed)
    if condition is not None:
        check_types(condition, bindings, "ConditionExpression")
    if kind == "Put":
        put = values.sound_item(arguments["Item"])
        place, key = table.place(put), table.key_of(put)
    else:
        key = {name: values.sound(value) for name, value in arguments["Key"].items()}
        place = table.key_place(key)
    if kind == "Update":
        update = update or ()
    return Write(
        table=table, place=place, key=key, bindings=bindings, condition=condition, put=put, update=update,
        deletes=kind == "Delete",
        returns_old=arguments.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
    )  # fmt: skip


def put_item(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Write an item."""
    return _written(tables, call, "Put")


def update_item(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Update an item, or create it if there is none."""
    return _written(tables, call, "Update")


def delete_item(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Delete an item. The call succeeds even if there is none."""
    return _written(tables, call, "Delete")


def get_item(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Return an item: the present version for a consistent read, else perhaps an older one."""
    arguments = call.arguments
    table = tables.get(arguments["TableName"])
    authorise(call, "GetItem", table)
    paths = projection(arguments)
    place = table.key_place(arguments["Key"])
    item = table.get(place, lag(call))
    return {} if item is None else {"Item": shown(paths, item)}


def batch_get_item(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Return the items of up to 100 keys. A fault may leave some keys unprocessed.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    """
    requests: Mapping[str, Any] = call.arguments.get("RequestItems", {})
    if sum(len(request["Keys"]) for request in requests.values()) > MOST_KEYS:
        raise invalid("Too many items requested for the BatchGetItem call")
    responses: dict[str, list[Item]] = {}
    left: dict[str, Any] = {}
    for name, request in requests.items():
        table = tables.get(name)
        authorise(call, "BatchGetItem", table)
        paths = projection(request)
        places = [table.key_place(key) for key in request["Keys"]]
        if len(set(places)) < len(places):
            raise invalid("Provided list of item keys contains duplicates")
        read = len(places)
        if FaultKind.UNPROCESSED in call.faults:
            read = tables.chance.of("unprocessed").randrange(len(places))
            left[name] = {**request, "Keys": request["Keys"][read:]}
        late = timedelta() if request.get("ConsistentRead") else lag(call)
        found = (table.get(place, late) for place in places[:read])
        responses[name] = [shown(paths, item) for item in found if item is not None]
    return {"Responses": responses, "UnprocessedKeys": left}


def authorise(call: ApiCall, operation: str, table: Table) -> None:
    """Raise ApiError unless IAM allows the operation on the table."""
    call.principal.demand(
        f"dynamodb:{operation}", table.arn, code="AccessDeniedException", status=400
    )


def projection(arguments: Mapping[str, Any]) -> tuple[tuple[str | int, ...], ...] | None:
    """Return the paths that a read asks for, or None for whole items. Raise ApiError if they are invalid."""
    text = arguments.get("ProjectionExpression")
    bindings = Bindings(arguments)
    if text is None:
        bindings.check(())
        return None
    parsed = syntax.projection(text)
    bindings.check((parsed,))
    return tuple(bindings.steps(path) for path in parsed.tree)


def shown(paths: tuple[tuple[str | int, ...], ...] | None, item: Item) -> Item:
    """Return the part of an item that a read asks for."""
    return item if paths is None else projected(paths, item)


def lag(call: ApiCall) -> timedelta:
    """Return the age of the data that a read returns: 0 for a consistent read."""
    fault = call.faults.get(FaultKind.STALE)
    if fault is None or call.arguments.get("ConsistentRead"):
        return timedelta()
    return timedelta(seconds=fault.seconds)


def _written(tables: Tables, call: ApiCall, kind: str) -> Mapping[str, Any]:
    wanted = call.arguments.get("ReturnValues", "NONE")
    if wanted not in {"NONE", "ALL_OLD"} and kind != "Update":
        raise invalid("Return values set to invalid value")
    write = understood(tables, call, kind, call.arguments)
    if FaultKind.CONFLICT in call.faults:
        raise ApiError("TransactionConflictException", "Transaction is ongoing for the item")
    old = write.table.get(write.place)
    if not write.allowed():
        more = {"Item": old} if write.returns_old and old is not None else {}
        raise ApiError("ConditionalCheckFailedException", FAILED, more=more)
    new = write.result()
    tables.write(write.table, write.place, new)
    returned = _returned(wanted, write, old, new)
    return {"Attributes": returned} if returned else {}


def _returned(wanted: str, write: Write, old: Item | None, new: Item | None) -> Item | None:
    paths = [write.bindings.steps(phase.path) for phase in write.update or ()]
    match wanted:
        case "ALL_OLD":
            return old
        case "ALL_NEW":
            return new
        case "UPDATED_OLD":
            return projected(paths, old or {})
        case "UPDATED_NEW":
            return projected(paths, new or {})
    return None
