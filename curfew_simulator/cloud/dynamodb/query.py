"""Query and Scan: the items of a partition or of a table, in pages.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ..call import ApiCall
from ..faults import FaultKind
from . import syntax, trees, values
from .evaluation import Bindings, check_types, holds
from .items import authorise, lag, shown
from .tables import Table, Tables
from .trees import Between, Both, Comparison, Condition, Function, Literal, Path
from .values import Item, Value, invalid

LARGEST_PAGE = 1024 * 1024


def query(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Return a page of one partition, in ascending or descending order of the range key."""
    arguments = call.arguments
    table = tables.get(arguments["TableName"])
    authorise(call, "Query", table)
    if "IndexName" in arguments:
        raise invalid(f"The table does not have the specified index: {arguments['IndexName']}")
    bindings = Bindings(arguments)
    parsed = syntax.condition(arguments.get("KeyConditionExpression", ""), "KeyConditionExpression")
    read = _Reading(call, bindings, parsed)
    _refuse_keys(read, table)
    hash_, condition = _key_condition(table, parsed.tree, bindings)
    order, items = table.partition(hash_, lag(call))
    first, end = (0, len(order)) if condition is None else _span(order, condition, bindings)
    forward = arguments.get("ScanIndexForward", True)
    if start := arguments.get("ExclusiveStartKey"):
        place = table.key_place(start)
        if place[0] != hash_:
            raise invalid(
                "The provided starting key is outside query boundaries based on provided conditions"
            )
        if forward:
            first = max(first, bisect_right(order, place[1]))
        else:
            end = min(end, bisect_left(order, place[1]))
    found = [items[range_] for range_ in order[first:end]]
    if not forward:
        found.reverse()
    return _page(tables, read, table, found)


def scan(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Return a page of the whole table."""
    arguments = call.arguments
    table = tables.get(arguments["TableName"])
    authorise(call, "Scan", table)
    read = _Reading(call, Bindings(arguments))
    found = list(table)
    if start := arguments.get("ExclusiveStartKey"):
        place = table.key_place(start)
        places = [table.place(item) for item in found]
        found = found[places.index(place) + 1 :] if place in places else found
    return _page(tables, read, table, found)


class _Reading:
    """The options of a read: its filter, projection, limit and faults."""

    def __init__(
        self, call: ApiCall, bindings: Bindings, key: trees.Parsed[Condition] | None = None
    ) -> None:
        arguments = call.arguments
        self.bindings = bindings
        self.faults = call.faults
        self.limit: int | None = arguments.get("Limit")
        self.counts = arguments.get("Select") == "COUNT"
        self.filter: Condition | None = None
        parsed: list[trees.Parsed[Any]] = [key] if key else []
        if (text := arguments.get("FilterExpression")) is not None:
            parsed.append(syntax.condition(text, "FilterExpression"))
            self.filter = parsed[-1].tree
        paths = None
        if (text := arguments.get("ProjectionExpression")) is not None:
            projection = syntax.projection(text)
            parsed.append(projection)
            paths = projection.tree
        bindings.check(parsed)
        if self.filter is not None:
            check_types(self.filter, bindings, "FilterExpression")
        self.paths = None if paths is None else tuple(bindings.steps(path) for path in paths)


def _page(tables: Tables, read: _Reading, table: Table, found: Sequence[Item]) -> Mapping[str, Any]:
    limit = len(found) + 1 if read.limit is None else read.limit
    if limit < 1:
        raise invalid("1 validation error detected: Value at 'limit' failed: it must be at least 1")
    if FaultKind.SHORT_PAGE in read.faults and found:
        limit = tables.chance.of("pages").randint(1, min(limit, len(found)))
    looked_at = _fitting(found[:limit])
    # The limit applies before the filter, so a page may be empty and still not be the last.
    kept = [i for i in looked_at if read.filter is None or holds(read.filter, i, read.bindings)]
    answer: dict[str, Any] = {"Count": len(kept), "ScannedCount": len(looked_at)}
    if not read.counts:
        answer["Items"] = [shown(read.paths, item) for item in kept]
    if looked_at and (len(looked_at) == limit or len(looked_at) < len(found)):
        answer["LastEvaluatedKey"] = table.key_of(looked_at[-1])
    return answer


def _fitting(found: Sequence[Item]) -> list[Item]:
    size, fitting = 0, []
    for item in found:
        fitting.append(item)
        size += values.size_of_item(item)
        if size >= LARGEST_PAGE:
            break
    return fitting


def _key_condition(
    table: Table, condition: Condition, bindings: Bindings
) -> tuple[Any, Condition | None]:
    """Return the hash key and the condition on the range key or None. Raise ApiError for any other condition."""
    parts = [condition.left, condition.right] if isinstance(condition, Both) else [condition]
    hashes: list[Value] = []
    ranges: list[Condition] = []
    for part in parts:
        name, value = _about(part, bindings)
        if name == table.hash_key and isinstance(part, Comparison) and part.operator == "=":
            hashes.append(value)
        elif name == table.range_key:
            check_types(part, bindings, "KeyConditionExpression")
            ranges.append(part)
        else:
            raise invalid("Query key condition not supported")
        if values.kind(value) != table.types[name]:
            said = "Condition parameter type does not match schema type"
            raise invalid(f"One or more parameter values were invalid: {said}")
    if len(hashes) != 1 or len(ranges) > 1:
        raise invalid(f"Query condition missed key schema element: {table.hash_key}")
    return values.plain(hashes[0]), ranges[0] if ranges else None


def _about(part: Condition, bindings: Bindings) -> tuple[str, Value]:
    match part:
        case (
            Comparison("=" | "<" | "<=" | ">" | ">=", Path((str(),)) as path, Literal() as literal)
            | Between(Path((str(),)) as path, Literal() as literal, Literal())
            | Function("begins_with", (Path((str(),)) as path, Literal() as literal))
        ):
            return str(bindings.steps(path)[0]), bindings.value(literal)
    raise invalid(
        "Invalid KeyConditionExpression: Invalid operator or operand used in KeyConditionExpression"
    )


def _span(order: Sequence[Any], condition: Condition, bindings: Bindings) -> tuple[int, int]:
    """Return the start and end index of the sorted range keys that meet a condition from ``_key_condition``."""

    def at(literal: Any) -> Any:
        return values.plain(bindings.value(literal))

    match condition:
        case Between(_, low, high):
            return bisect_left(order, at(low)), bisect_right(order, at(high))
        case Function("begins_with", (_, literal)):
            start = at(literal)
            first = bisect_left(order, start)
            return first, bisect_right(order, start, first, key=lambda key: key[: len(start)])
        case Comparison(operator, _, literal):
            left, right = bisect_left(order, at(literal)), bisect_right(order, at(literal))
            spans = {
                "=": (left, right),
                "<": (0, left),
                "<=": (0, right),
                ">": (right, len(order)),
                ">=": (left, len(order)),
            }
            return spans[operator]
    raise TypeError(f"{condition} is no condition on a range key")


def _refuse_keys(read: _Reading, table: Table) -> None:
    """Raise ApiError if the filter of a query names a key attribute. The filter of a scan may name one."""
    for path in () if read.filter is None else trees.paths(read.filter):
        if (name := read.bindings.steps(path)[0]) in table.keys:
            said = "Filter Expression can only contain non-primary key attributes"
            raise invalid(f"{said}: Primary key attribute: {name}")
