"""The syntax trees of DynamoDB's expressions.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html and the pages below it
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Path:
    """A document path. A step is a name, a placeholder for a name, or an index into a list."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A placeholder for a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Size:
    """The ``size`` of the value at a path."""

    path: Path


type Operand = Path | Literal | Size


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and a comparison operator."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """An operand within two bounds, inclusive."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """An operand in a list of options."""

    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function with a boolean result."""

    name: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """A negated condition."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Both:
    """Two conditions joined by AND."""

    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Either:
    """Two conditions joined by OR."""

    left: "Condition"
    right: "Condition"


type Condition = Comparison | Between | In | Function | Not | Both | Either


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A sum or a difference."""

    operator: str
    left: "Term"
    right: "Term"


@dataclass(frozen=True, slots=True)
class IfNotExists:
    """The value at a path, or another term if there is none."""

    path: Path
    otherwise: "Term"


@dataclass(frozen=True, slots=True)
class ListAppend:
    """The concatenation of two lists."""

    first: "Term"
    second: "Term"


type Term = Path | Literal | Arithmetic | IfNotExists | ListAppend


@dataclass(frozen=True, slots=True)
class Step:
    """One action of an update clause on one path. REMOVE has no term."""

    clause: str
    path: Path
    term: Term | None = None


@dataclass(frozen=True, slots=True)
class Parsed[T]:
    """A syntax tree and the placeholders in it."""

    tree: T
    placeholders: frozenset[str]


def paths(tree: Any) -> Iterator[Path]:
    """Yield every path in a tree."""
    match tree:
        case Path():
            yield tree
        case tuple():
            for part in tree:
                yield from paths(part)
        case _ if is_dataclass(tree):
            for part in fields(tree):
                yield from paths(getattr(tree, part.name))
