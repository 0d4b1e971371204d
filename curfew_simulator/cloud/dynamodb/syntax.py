"""Parse DynamoDB's expression language into trees. This module resolves no placeholder and evaluates nothing.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html,
.../Expressions.UpdateExpressions.html, .../Expressions.Attributes.html, .../ReservedWords.html
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path as File

from .trees import (
    Arithmetic,
    Between,
    Both,
    Comparison,
    Condition,
    Either,
    Function,
    IfNotExists,
    In,
    ListAppend,
    Literal,
    Not,
    Operand,
    Parsed,
    Path,
    Size,
    Step,
    Term,
)
from .values import invalid

RESERVED = frozenset((File(__file__).parent / "reserved_words.txt").read_text("ascii").split())
COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
FUNCTIONS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
_TOKEN = re.compile(r"\s*(?:([:#]\w+|[A-Za-z_]\w*|\d+)|(<>|<=|>=|[=<>+\-,.()\[\]]))", re.ASCII)
_WORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"})


@lru_cache(maxsize=4096)
def condition(text: str, what: str) -> Parsed[Condition]:
    """Parse a condition, key condition or filter; ``what`` is its parameter's name. Raise ApiError if invalid."""
    return _whole(text, what, _Parser.condition)


@lru_cache(maxsize=4096)
def update(text: str) -> Parsed[tuple[Step, ...]]:
    """Parse an update expression. Raise ApiError if it is invalid."""
    return _whole(text, "UpdateExpression", _Parser.update)


@lru_cache(maxsize=4096)
def projection(text: str) -> Parsed[tuple[Path, ...]]:
    """Parse a projection expression. Raise ApiError if it is invalid."""
    return _whole(text, "ProjectionExpression", lambda parser: parser.several(parser.path))


def _whole[T](text: str, what: str, rule: "Callable[[_Parser], T]") -> Parsed[T]:
    if not text.strip():
        raise invalid(f"Invalid {what}: The expression can not be empty;")
    parser = _Parser(_tokens(text, what), what)
    tree = rule(parser)
    parser.end()
    return Parsed(tree, frozenset(t for t in parser.tokens if t[0] in ":#"))


def _tokens(text: str, what: str) -> list[str]:
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found:
            raise invalid(f'Invalid {what}: Syntax error; token: "{text[place:].strip()[:1]}"')
        tokens.append(found.group(1) or found.group(2))
        place = found.end()
    return tokens


class _Parser:
    """A recursive descent parser with one method for each grammar rule."""

    def __init__(self, tokens: Sequence[str], what: str) -> None:
        self.tokens = tokens
        self._what = what
        self._place = 0

    def condition(self) -> Condition:
        left = self._conjunction()
        while self._takes("OR"):
            left = Either(left, self._conjunction())
        return left

    def _conjunction(self) -> Condition:
        left = self._negation()
        while self._takes("AND"):
            left = Both(left, self._negation())
        return left

    def _negation(self) -> Condition:
        if self._takes("NOT"):
            return Not(self._negation())
        if self._takes("("):
            inner = self.condition()
            self._demand(")")
            return inner
        return self._simple()

    def _simple(self) -> Condition:
        if self._peek(1) == "(" and self._peek() != "size":
            return self._function()
        operand = self._operand()
        if self._takes("BETWEEN"):
            low = self._operand()
            self._demand("AND")
            return Between(operand, low, self._operand())
        if self._takes("IN"):
            self._demand("(")
            options = self.several(self._operand)
            self._demand(")")
            return In(operand, options)
        if self._peek() not in COMPARATORS:
            raise self._error()
        return Comparison(self._next(), operand, self._operand())

    def _function(self) -> Function:
        name = self._next()
        if name not in FUNCTIONS:
            raise invalid(f"Invalid {self._what}: Invalid function name; function: {name}")
        self._demand("(")
        operands = self.several(self._operand)
        self._demand(")")
        if len(operands) != FUNCTIONS[name]:
            said = f"operator or function: {name}, number of operands: {len(operands)}"
            raise invalid(
                f"Invalid {self._what}: Incorrect number of operands for operator or function; {said}"
            )
        if not isinstance(operands[0], Path) and name.startswith("attribute"):
            raise invalid(
                f"Invalid {self._what}: Operator or function requires a document path; operator or function: {name}"
            )
        return Function(name, operands)

    def _operand(self) -> Operand:
        if self._peek().startswith(":"):
            return Literal(self._next())
        if self._peek() == "size" and self._peek(1) == "(":
            self._next()
            self._demand("(")
            path = self.path()
            self._demand(")")
            return Size(path)
        return self.path()

    def path(self) -> Path:
        steps: list[str | int] = [self._name()]
        while True:
            if self._takes("."):
                steps.append(self._name())
            elif self._takes("["):
                if not self._peek().isdecimal():
                    raise self._error()
                steps.append(int(self._next()))
                self._demand("]")
            else:
                return Path(tuple(steps))

    def _name(self) -> str:
        token = self._peek()
        if token.upper() in RESERVED:
            if token.upper() in _WORDS:
                raise self._error()
            said = f"Attribute name is a reserved keyword; reserved keyword: {token}"
            raise invalid(f"Invalid {self._what}: {said}")
        if not token[:1].isalpha() and not token.startswith(("#", "_")):
            raise self._error()
        return self._next()

    def update(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        seen: set[str] = set()
        while self._peek():
            clause = self._next().upper()
            if clause in seen:
                said = f'The "{clause}" section can only be used once in an update expression;'
                raise invalid(f"Invalid {self._what}: {said}")
            if clause not in {"SET", "REMOVE", "ADD", "DELETE"}:
                self._place -= 1
                raise self._error()
            seen.add(clause)
            steps.extend(self.several(lambda clause=clause: self._step(clause)))  # type: ignore[misc]
        return tuple(steps)

    def _step(self, clause: str) -> Step:
        path = self.path()
        if clause == "REMOVE":
            return Step(clause, path)
        if clause == "SET":
            self._demand("=")
            return Step(clause, path, self._term())
        if not self._peek().startswith(":"):
            raise self._error()
        return Step(clause, path, Literal(self._next()))

    def _term(self) -> Term:
        left = self._factor()
        if self._peek() in {"+", "-"}:
            return Arithmetic(self._next(), left, self._factor())
        return left

    def _factor(self) -> Term:
        if self._takes("("):
            inner = self._term()
            self._demand(")")
            return inner
        if self._peek(1) == "(":
            name = self._next()
            self._demand("(")
            made: Term
            if name == "if_not_exists":
                path = self.path()
                self._demand(",")
                made = IfNotExists(path, self._term())
            elif name == "list_append":
                first = self._term()
                self._demand(",")
                made = ListAppend(first, self._term())
            else:
                said = f"Invalid function name; function: {name}"
                raise invalid(f"Invalid {self._what}: {said}")
            self._demand(")")
            return made
        if self._peek().startswith(":"):
            return Literal(self._next())
        return self.path()

    def several[T](self, rule: Callable[[], T]) -> tuple[T, ...]:
        found = [rule()]
        while self._takes(","):
            found.append(rule())
        return tuple(found)

    def end(self) -> None:
        if self._place < len(self.tokens):
            raise self._error()

    def _peek(self, ahead: int = 0) -> str:
        place = self._place + ahead
        return self.tokens[place] if place < len(self.tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise self._error()
        self._place += 1
        return token

    def _takes(self, token: str) -> bool:
        if self._peek().upper() != token:
            return False
        self._place += 1
        return True

    def _demand(self, token: str) -> None:
        if not self._takes(token):
            raise self._error()

    def _error(self) -> Exception:
        token = self._peek() or "<EOF>"
        near = " ".join(self.tokens[max(0, self._place - 1) : self._place + 2])
        return invalid(f'Invalid {self._what}: Syntax error; token: "{token}", near: "{near}"')
