"""The page on safety is complete: a row for every case and invariant, none empty, and each named test exists."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
RULES, CASES, INVARIANTS, ELSEWHERE = (
    "The rules",
    "The cases",
    "The invariants",
    "Safeguards that broke elsewhere",
)
CITED = re.compile(
    r"\[`(?P<path>[\w/.]+)::(?P<name>[\w:]+)(\[(?P<set>[\w-]+)\])?`\]\((?P<link>[^)]+)\)"
)
WHY_NOT = re.compile(r"\*Not (yet|here)\*: (?P<why>.*)", re.DOTALL)
WORDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, with stripped cells."""

    cells: tuple[str, ...]
    columns: int

    @property
    def number(self) -> str:
        return self.cells[0]

    @property
    def proof(self) -> str:
        """Return the last cell: tests, or the reason why there are none."""
        return self.cells[-1]

    @property
    def reason(self) -> str:
        """Return the last cell without the tests."""
        return CITED.sub("", self.proof).strip(" ,")


def section(title: str) -> str:
    """Return the text under a heading, up to the next heading of that level."""
    _, found, rest = PAGE.partition(f"\n## {title}\n")
    assert found, f"there is no section {title}"
    return rest.partition("\n## ")[0]


def rows(title: str) -> list[Row]:
    """Return every row of every table in a section, without the header rows."""
    found: list[Row] = []
    for table in re.findall(r"(?:^\|.*\|\n?)+", section(title), re.MULTILINE):
        head, line, *body = (cells(text) for text in table.strip().splitlines())
        assert set("".join(line)) <= set("-"), f"a table of {title} has no head"
        found += [Row(one, len(head)) for one in body]
    assert found, f"{title} has no table"
    return found


def cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


@cache
def defined_in(path: str) -> frozenset[str]:
    """Return the names of the tests in a file, those in a class with the class's name in front."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return frozenset(_named(tree.body))


def _named(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for part in body:
        match part:
            case ast.FunctionDef(name=name) if name.startswith("test_"):
                yield within + name
            case ast.ClassDef(name=name, body=inner) if name.startswith("Test"):
                yield from _named(inner, f"{name}::")


@cache
def scenarios_of(path: str) -> frozenset[str]:
    """Return the names of a file's scenarios, by which its tests are parametrised."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return frozenset(
        part.args[0].value
        for part in ast.walk(tree)
        if isinstance(part, ast.Call)
        and isinstance(part.func, ast.Name)
        and part.func.id == "Scenario"
        and isinstance(part.args[0], ast.Constant)
        and isinstance(part.args[0].value, str)
    )


def test_there_is_a_row_for_each_of_the_87_cases() -> None:
    assert [row.number for row in rows(CASES)] == [str(number) for number in range(1, 88)]


def test_there_is_a_row_for_each_invariant() -> None:
    expected = [
        *(f"S{number}" for number in range(1, 31)),
        *(f"L{number}" for number in range(1, 5)),
    ]

    assert [row.number for row in rows(INVARIANTS)] == expected


def test_the_rules_are_numbered_and_say_where_in_the_code_they_are_kept() -> None:
    rules = rows(RULES)

    assert [row.number for row in rules] == [str(number) for number in range(1, len(rules) + 1)]
    for row in rules:
        places = re.findall(r"`([^`]+)`", row.proof)
        assert places
        for place in places:
            roots = (ROOT, ROOT / "functions" / "curfew")
            assert any((root / place).exists() for root in roots), f"rule {row.number}: {place}"


@pytest.mark.parametrize("title", [RULES, CASES, INVARIANTS, ELSEWHERE])
def test_no_cell_is_empty(title: str) -> None:
    for row in rows(title):
        assert len(row.cells) == row.columns, row.cells
        assert all(row.cells), row.cells


@pytest.mark.parametrize("title", [CASES, INVARIANTS, ELSEWHERE])
def test_every_row_names_a_test_or_says_in_a_sentence_why_there_is_none(title: str) -> None:
    for row in rows(title):
        if not row.reason:
            assert CITED.search(row.proof), row.cells
            continue
        explanation = WHY_NOT.fullmatch(row.reason)
        assert explanation, f"neither a test nor a reason: {row.reason}"
        assert explanation["why"].endswith("."), row.reason
        assert len(explanation["why"].split()) >= WORDS, row.reason


def test_every_test_that_is_named_is_there() -> None:
    cited = list(CITED.finditer(PAGE))
    assert len(cited) > len(rows(CASES))
    for one in cited:
        path, name, scenario = one["path"], one["name"], one["set"]
        assert one["link"] == f"../tests/{path}", one[0]
        assert name in defined_in(path), f"there is no {path}::{name}"
        assert scenario is None or scenario in scenarios_of(path), one[0]


def test_nothing_that_looks_like_a_test_is_named_in_another_way() -> None:
    """A name that the other tests here do not check could be that of a removed test."""
    for title in (CASES, INVARIANTS, ELSEWHERE):
        for row in rows(title):
            assert "::" not in CITED.sub("", "".join(row.cells)), row.cells
