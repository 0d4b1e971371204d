"""DynamoDB's attribute values: their validity, equality, order and size.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

import base64
import binascii
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from ..protocols import ApiError

type Value = Mapping[str, Any]
type Item = dict[str, Any]

ORDERED = frozenset({"S", "N", "B"})
SETS = {"SS": "S", "NS": "N", "BS": "B"}
DIGITS = 38
PRECISE = Context(prec=DIGITS + 2)
LARGEST_ITEM = 400 * 1024


def invalid(message: str) -> ApiError:
    """Return the error for an invalid request."""
    return ApiError("ValidationException", message)


def kind(value: Value) -> str:
    """Return the type of a value. Raise ApiError if it has none or several."""
    if len(value) != 1:
        raise invalid("Supplied AttributeValue must contain exactly one of the supported datatypes")
    return next(iter(value))


def number(text: str) -> Decimal:
    """Return a number. Raise ApiError if the text is no number, has too many digits or is out of range."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}") from None
    if not value.is_finite():
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    value = value.normalize(Context(prec=1_000))
    if len(value.as_tuple().digits) > DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    if value and not -130 <= value.adjusted() <= 125:
        said = "Number overflow. Attempting to store a number with magnitude larger than supported range"
        raise invalid(said if value.adjusted() > 0 else said.replace("overflow", "underflow"))
    return value


def written(value: Decimal) -> str:
    """Return a number in DynamoDB's format: no exponent, no trailing zeros."""
    return f"{value.normalize(PRECISE):f}" if value else "0"


def sound(value: Value) -> Value:
    """Return a value as DynamoDB stores it, with normalized numbers. Raise ApiError if it is invalid."""
    type_ = kind(value)
    inner = value[type_]
    match type_:
        case "N":
            return {"N": written(number(inner))}
        case "NS" | "SS" | "BS":
            members = [written(number(n)) for n in inner] if type_ == "NS" else list(inner)
            if not members:
                raise invalid("One or more parameter values were invalid: An set may not be empty")
            if len(set(members)) != len(members):
                raise invalid(
                    "One or more parameter values were invalid: Input collection contains duplicates"
                )
            return {type_: members}
        case "L":
            return {"L": [sound(member) for member in inner]}
        case "M":
            return {"M": {name: sound(member) for name, member in inner.items()}}
        case "B":
            plain(value)
            return value
        case "S" | "BOOL" | "NULL":
            return value
    raise invalid(
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
    )


def sound_item(item: Mapping[str, Value]) -> Item:
    """Return an item as DynamoDB stores it. Raise ApiError if it is invalid or too large."""
    kept = {name: sound(value) for name, value in item.items()}
    if size_of_item(kept) > LARGEST_ITEM:
        raise invalid("Item size has exceeded the maximum allowed size")
    return kept


def plain(value: Value) -> Any:
    """Return a value of an ordered type as a Python value with the same order."""
    type_ = kind(value)
    match type_:
        case "S":
            return value["S"].encode()
        case "N":
            return Decimal(value["N"])
        case _:
            try:
                return base64.b64decode(value["B"], validate=True)
            except (binascii.Error, ValueError):
                raise invalid("Base64 encoded length is unexpected") from None


def equal(one: Value, other: Value) -> bool:
    """Return whether two values have the same type and are equal."""
    type_ = kind(one)
    if type_ != kind(other):
        return False
    a, b = one[type_], other[type_]
    match type_:
        case "N":
            return number(a) == number(b)
        case "NS":
            return {number(n) for n in a} == {number(n) for n in b}
        case "SS" | "BS":
            return set(a) == set(b)
        case "L":
            return len(a) == len(b) and all(map(equal, a, b))
        case "M":
            return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
        case _:
            return bool(a == b)


def compared(one: Value, other: Value) -> int | None:
    """Return -1, 0 or 1 if one is less than, equal to or greater than other, or None if they have no order."""
    type_ = kind(one)
    if type_ not in ORDERED or type_ != kind(other):
        return None
    a, b = plain(one), plain(other)
    order: int = (a > b) - (a < b)
    return order


def length(value: Value) -> int | None:
    """Return the result of the function ``size``, or None for a type without a size."""
    type_ = kind(value)
    if type_ not in {"S", "B", "L", "M", *SETS}:
        return None
    size: int = len(plain(value) if type_ in ORDERED else value[type_])
    return size


def size_of_item(item: Mapping[str, Value]) -> int:
    """Return the size of an item in bytes, about as DynamoDB counts it.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Value) -> int:
    type_ = kind(value)
    inner = value[type_]
    match type_:
        case "S":
            return len(inner.encode())
        case "N":
            return len(inner) // 2 + 1
        case "B":
            return len(inner) * 3 // 4
        case "SS" | "BS" | "NS":
            return sum(_size({SETS[type_]: member}) for member in inner)
        case "L":
            return 3 + sum(1 + _size(member) for member in inner)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(member) for name, member in inner.items())
        case _:
            return 1
