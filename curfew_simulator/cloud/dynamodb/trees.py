"""The trees that DynamoDB's expressions are read into.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html and the pages below it
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Path:
    """A document path: names, or their placeholders, and places in lists."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A placeholder for a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Size:
    """How big what is at a path is."""

    path: Path


type Operand = Path | Literal | Size


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and what is to hold between them."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """An operand between two others, both included."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """An operand among others."""

    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that is true or false."""

    name: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Both:
    """AND."""

    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Either:
    """OR."""

    left: "Condition"
    right: "Condition"


type Condition = Comparison | Between | In | Function | Not | Both | Either


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A sum, or a difference."""

    operator: str
    left: "Term"
    right: "Term"


@dataclass(frozen=True, slots=True)
class IfNotExists:
    """What is at a path, or else something."""

    path: Path
    otherwise: "Term"


@dataclass(frozen=True, slots=True)
class ListAppend:
    """One list after another."""

    first: "Term"
    second: "Term"


type Term = Path | Literal | Arithmetic | IfNotExists | ListAppend


@dataclass(frozen=True, slots=True)
class Step:
    """One clause's action on one path; REMOVE has no term."""

    clause: str
    path: Path
    term: Term | None = None


@dataclass(frozen=True, slots=True)
class Parsed[T]:
    """A tree, and the placeholders that it has."""

    tree: T
    placeholders: frozenset[str]


def paths(tree: Any) -> Iterator[Path]:
    """Every path in a tree."""
    match tree:
        case Path():
            yield tree
        case tuple():
            for part in tree:
                yield from paths(part)
        case _ if is_dataclass(tree):
            for part in fields(tree):
                yield from paths(getattr(tree, part.name))
