"""Evaluate an expression on an item: replace placeholders, follow paths, test conditions.

Sources: as in ``syntax``, and https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
"""

from collections.abc import Iterable, Mapping
from typing import Any

from . import values
from .trees import (
    Between,
    Both,
    Comparison,
    Condition,
    Either,
    Function,
    In,
    Literal,
    Not,
    Operand,
    Parsed,
    Path,
    Size,
)
from .values import Item, Value, invalid


class Bindings:
    """The names and values of a request's placeholders."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._names: Mapping[str, str] = arguments.get("ExpressionAttributeNames") or {}
        given: Mapping[str, Value] = arguments.get("ExpressionAttributeValues") or {}
        self._values = {name: values.sound(value) for name, value in given.items()}

    def check(self, expressions: Iterable[Parsed[Any]]) -> None:
        """Raise ApiError for an undefined placeholder, or a defined one that no expression uses."""
        used = frozenset[str]().union(*(parsed.placeholders for parsed in expressions))
        for placeholder in sorted(used - self._names.keys() - self._values.keys()):
            which = "value" if placeholder.startswith(":") else "name"
            said = f"An expression attribute {which} used in the expression is not defined"
            raise invalid(f"Invalid expression: {said}; attribute {which}: {placeholder}")
        for kind, given in (("Names", self._names), ("Values", self._values)):
            if unused := sorted(given.keys() - used):
                said = f"Value provided in ExpressionAttribute{kind} unused in expressions"
                raise invalid(f"{said}: keys: {{{', '.join(unused)}}}")

    def value(self, literal: Literal) -> Value:
        """Return the value of a placeholder."""
        return self._values[literal.name]

    def steps(self, path: Path) -> tuple[str | int, ...]:
        """Return a path's steps, with names in place of placeholders."""
        return tuple(
            self._names[step] if isinstance(step, str) and step.startswith("#") else step
            for step in path.steps
        )

    def find(self, path: Path, item: Mapping[str, Value]) -> Value | None:
        """Return the value at a path of an item, or None."""
        return find(self.steps(path), item)


def find(steps: tuple[str | int, ...], item: Mapping[str, Value]) -> Value | None:
    """Return the value at these steps of an item, or None."""
    here: Value | None = {"M": item}
    for step in steps:
        if here is None:
            return None
        if isinstance(step, str):
            here = here["M"].get(step) if "M" in here else None
        else:
            members = here.get("L", [])
            here = members[step] if step < len(members) else None
    return here


def holds(condition: Condition, item: Item, bindings: Bindings) -> bool:
    """Return whether a condition holds. A missing value is not less than, greater than or equal to any value."""
    match condition:
        case Both(left, right):
            return holds(left, item, bindings) and holds(right, item, bindings)
        case Either(left, right):
            return holds(left, item, bindings) or holds(right, item, bindings)
        case Not(inner):
            return not holds(inner, item, bindings)
        case Comparison(operator, left, right):
            return _compares(operator, _value(left, item, bindings), _value(right, item, bindings))
        case Between(operand, low, high):
            found = _value(operand, item, bindings)
            return _compares(">=", found, _value(low, item, bindings)) and _compares(
                "<=", found, _value(high, item, bindings)
            )
        case In(operand, options):
            found = _value(operand, item, bindings)
            return any(_compares("=", found, _value(o, item, bindings)) for o in options)
        case Function(name, operands):
            return _function(name, operands, item, bindings)


def check_types(condition: Condition, bindings: Bindings, what: str) -> None:
    """Raise ApiError for operands of a type that is wrong for any item. DynamoDB checks this before it reads one."""
    match condition:
        case Both(left, right) | Either(left, right):
            check_types(left, bindings, what)
            check_types(right, bindings, what)
        case Not(inner):
            check_types(inner, bindings, what)
        case Comparison(operator, left, right) if operator not in {"=", "<>"}:
            _ordered((left, right), operator, bindings, what)
        case Between(operand, low, high):
            _ordered((operand, low, high), "BETWEEN", bindings, what)
            if isinstance(low, Literal) and isinstance(high, Literal):
                order = values.compared(bindings.value(low), bindings.value(high))
                if order is None or order > 0:
                    said = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
                    raise invalid(f"Invalid {what}: {said}")
        case Function("begins_with", (_, Literal() as start)):
            if values.kind(bindings.value(start)) not in {"S", "B"}:
                raise _mistyped("begins_with", bindings.value(start), what)


def _ordered(operands: Iterable[Operand], operator: str, bindings: Bindings, what: str) -> None:
    for operand in operands:
        if (
            isinstance(operand, Literal)
            and values.kind(bindings.value(operand)) not in values.ORDERED
        ):
            raise _mistyped(operator, bindings.value(operand), what)


def _mistyped(operator: str, value: Value, what: str) -> Exception:
    said = f"operator or function: {operator}, operand type: {values.kind(value)}"
    return invalid(f"Invalid {what}: Incorrect operand type for operator or function; {said}")


def _value(operand: Operand, item: Item, bindings: Bindings) -> Value | None:
    match operand:
        case Literal():
            return bindings.value(operand)
        case Path():
            return bindings.find(operand, item)
        case Size(path):
            found = bindings.find(path, item)
            length = None if found is None else values.length(found)
            return None if length is None else {"N": str(length)}


def _compares(operator: str, left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        # With a missing value, only <> holds, unless both values are missing.
        return operator == "<>" and left is not right
    if operator in {"=", "<>"}:
        return values.equal(left, right) is (operator == "=")
    order = values.compared(left, right)
    if order is None:
        return False
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _function(name: str, operands: tuple[Operand, ...], item: Item, bindings: Bindings) -> bool:
    found = _value(operands[0], item, bindings)
    if name == "attribute_exists":
        return found is not None
    if name == "attribute_not_exists":
        return found is None
    wanted = _value(operands[1], item, bindings)
    if found is None or wanted is None:
        return False
    match name:
        case "attribute_type":
            return values.kind(found) == wanted.get("S")
        case "begins_with":
            type_ = values.kind(wanted)
            same = type_ in {"S", "B"} and values.kind(found) == type_
            return bool(same and values.plain(found).startswith(values.plain(wanted)))
        case _:
            return _contains(found, wanted)


def _contains(found: Value, wanted: Value) -> bool:
    type_, of = values.kind(found), values.kind(wanted)
    if type_ in {"S", "B"} and type_ == of:
        return values.plain(wanted) in values.plain(found)
    if type_ == "L":
        return any(values.equal(member, wanted) for member in found["L"])
    if values.SETS.get(type_) == of:
        return any(values.equal({of: member}, wanted) for member in found[type_])
    return False
