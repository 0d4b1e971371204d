"""Apply update expressions and projection expressions to items.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from . import values
from .evaluation import Bindings, find
from .trees import Arithmetic, IfNotExists, ListAppend, Literal, Path, Step, Term
from .values import Item, Value, invalid

type Steps = tuple[str | int, ...]


def updated(update: Sequence[Step], item: Item, bindings: Bindings, keys: frozenset[str]) -> Item:
    """Return the item after the update. All terms use the item before it. Raise ApiError if the update does not fit."""
    paths = [bindings.steps(phase.path) for phase in update]
    _check(paths, keys)
    new = deepcopy(item)
    removed: list[Steps] = []
    for phase, steps in zip(update, paths, strict=True):
        match phase.clause:
            case "SET" if phase.term is not None:
                _place(new, steps, _worked_out(phase.term, item, bindings))
            case "REMOVE":
                removed.append(steps)
            case _ if isinstance(phase.term, Literal):
                changed = _combined(phase.clause, find(steps, item), bindings.value(phase.term))
                if changed is None:
                    removed.append(steps)
                else:
                    _place(new, steps, changed)
    # From the end of each list, since indexes refer to the item before the update.
    for steps in sorted(removed, key=_last_place, reverse=True):
        _remove(new, steps)
    return new


def projected(paths: Iterable[Steps], item: Mapping[str, Value]) -> Item:
    """Return a copy of the item with only these paths. A list keeps only the selected members, in order."""
    tree: dict[Any, Any] = {}
    for steps in paths:
        if find(steps, item) is None:
            continue
        here = tree
        for step in steps:
            here = here.setdefault(step, {})
    found: Item = _pruned(tree, {"M": item})["M"]
    return found


def _pruned(tree: Mapping[Any, Any], value: Value) -> Any:
    if not tree:
        return value
    if "M" in value:
        return {"M": {name: _pruned(inner, value["M"][name]) for name, inner in tree.items()}}
    return {"L": [_pruned(tree[place], value["L"][place]) for place in sorted(tree)]}


def _check(paths: Sequence[Steps], keys: frozenset[str]) -> None:
    for steps in paths:
        if steps[0] in keys:
            said = f"Cannot update attribute {steps[0]}. This attribute is part of the key"
            raise invalid(f"One or more parameter values were invalid: {said}")
    for number, one in enumerate(paths):
        for other in paths[number + 1 :]:
            shorter = min(len(one), len(other))
            if one[:shorter] == other[:shorter]:
                one_shown, two_shown = (f"[{', '.join(map(str, steps))}]" for steps in (one, other))
                said = "Two document paths overlap with each other; must remove or rewrite one of these paths"
                raise invalid(
                    f"Invalid UpdateExpression: {said}; path one: {one_shown}, path two: {two_shown}"
                )


def _worked_out(term: Term, item: Item, bindings: Bindings) -> Value:
    match term:
        case Literal():
            return bindings.value(term)
        case Path():
            found = bindings.find(term, item)
            if found is None:
                said = (
                    "The provided expression refers to an attribute that does not exist in the item"
                )
                raise invalid(said)
            return found
        case IfNotExists(path, otherwise):
            found = bindings.find(path, item)
            return _worked_out(otherwise, item, bindings) if found is None else found
        case ListAppend(first, second):
            one, two = _worked_out(first, item, bindings), _worked_out(second, item, bindings)
            if "L" not in one or "L" not in two:
                raise _mistyped()
            return {"L": [*one["L"], *two["L"]]}
        case Arithmetic(operator, left, right):
            one, two = _worked_out(left, item, bindings), _worked_out(right, item, bindings)
            return _sum(one, two, minus=operator == "-")


def _combined(clause: str, old: Value | None, given: Value) -> Value | None:
    """Return the attribute's value after ADD or DELETE, or None if it is removed."""
    type_ = values.kind(given)
    if type_ not in ({"N", *values.SETS} if clause == "ADD" else values.SETS):
        said = f"Incorrect operand type for operator or function; operator: {clause}, operand type: {type_}"
        raise invalid(f"Invalid UpdateExpression: {said}")
    if old is None:
        return given if clause == "ADD" else None
    if values.kind(old) != type_:
        raise _mistyped()
    if type_ == "N":
        return _sum(old, given)
    if clause == "ADD":
        return {type_: [*old[type_], *(m for m in given[type_] if m not in old[type_])]}
    left = [member for member in old[type_] if member not in given[type_]]
    return {type_: left} if left else None


def _sum(one: Value, two: Value, *, minus: bool = False) -> Value:
    if "N" not in one or "N" not in two:
        raise _mistyped()
    a, b = values.number(one["N"]), values.number(two["N"])
    total = values.PRECISE.subtract(a, b) if minus else values.PRECISE.add(a, b)
    return {"N": values.written(values.number(str(total)))}


def _place(item: Item, steps: Steps, value: Value) -> None:
    parent = find(steps[:-1], item)
    last = steps[-1]
    if parent is not None and isinstance(last, str) and "M" in parent:
        parent["M"][last] = value
    elif parent is not None and isinstance(last, int) and "L" in parent:
        # An index beyond the end appends.
        parent["L"][last : last + 1] = [value]
    else:
        raise invalid("The document path provided in the update expression is invalid for update")


def _remove(item: Item, steps: Steps) -> None:
    parent = find(steps[:-1], item)
    last = steps[-1]
    if parent is None:
        raise invalid("The document path provided in the update expression is invalid for update")
    if isinstance(last, str):
        parent.get("M", {}).pop(last, None)
    elif last < len(parent.get("L", [])):
        del parent["L"][last]


def _last_place(steps: Steps) -> int:
    return steps[-1] if isinstance(steps[-1], int) else -1


def _mistyped() -> Exception:
    return invalid("An operand in the update expression has an incorrect data type")
