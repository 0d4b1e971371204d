"""The mutation gate: how it identifies a mutant, and which mutants it accepts."""

import tomllib
from fnmatch import fnmatch

import pytest

from tools.leftovers import leftovers
from tools.mutants import LIST, ROOT, Mutant, Verdict, changed_lines, explained, judge, report_of

ONE = Mutant(module="curfew.core.plan", place="guard", change="- a\n+ b\n")
TWO = Mutant(module="curfew.core.plan", place="guard", change="- a\n+ c\n")
SOURCE = '''
"""A module."""

LIMIT: int = 20


class Places:
    EVERY = "every"

    def plain(self) -> int:
        return 1

    @property
    def hidden(self) -> bool:
        return self.plain() > 1
'''


def survived(mutant: Mutant, status: str = "survived") -> Verdict:
    return Verdict(mutant=mutant, status=status)


def test_mutant_is_identified_by_its_lines_wherever_they_are() -> None:
    before = ["def f():", "    if x:", "        return 1", "    return 2"]
    after = ["def f():", "    if x:", "        return 2", "    return 2"]

    assert changed_lines(before, after) == "- return 1\n+ return 2\n"
    assert changed_lines(["# more", *before], ["# more", *after]) == "- return 1\n+ return 2\n"


def test_a_change_of_several_lines_keeps_their_shape() -> None:
    before = ["    x = f(", "        1,", "    )"]
    after = ["    x = None"]

    assert changed_lines(before, after) == "- x = f(\n-     1,\n- )\n+ x = None\n"


def test_unexplained_survivor_is_reported() -> None:
    unexplained, idle = judge([survived(ONE), survived(TWO)], {ONE: "same"}, whole=True)

    assert unexplained == [survived(TWO)]
    assert idle == []


@pytest.mark.parametrize("status", ["survived", "no tests", "suspicious", "segfault", "skipped"])
def test_only_what_is_killed_or_out_of_time_counts_as_killed(status: str) -> None:
    assert judge([survived(ONE, status)], {}, whole=True)[0] == [survived(ONE, status)]
    for killed in ("killed", "timeout"):
        assert judge([survived(ONE, killed)], {}, whole=True) == ([], [])


def test_unused_explanation_is_reported_only_after_a_full_run() -> None:
    assert judge([survived(ONE, "killed")], {ONE: "same"}, whole=True) == ([], [ONE])
    assert judge([survived(ONE, "killed")], {ONE: "same"}, whole=False) == ([], [])


def test_printed_mutant_needs_only_a_reason_to_be_listed() -> None:
    entry = str(TWO)

    with pytest.raises(ValueError, match="no reason is given for"):
        explained(entry)
    assert explained(entry.replace('reason = ""', 'reason = "the same"')) == {TWO: "the same"}


def test_nothing_is_explained_twice() -> None:
    entry = str(ONE).replace('reason = ""', 'reason = "the same"')

    with pytest.raises(ValueError, match="explained twice"):
        explained(entry + entry)


def test_the_count_says_what_became_of_all() -> None:
    verdicts = [survived(ONE), survived(TWO), survived(ONE, "killed"), survived(TWO, "timeout")]

    assert report_of(verdicts, [survived(TWO)]) == (
        "4 mutants: 1 killed, 1 timed out, 1 explained, 1 unexplained"
    )


def test_the_list_can_be_read() -> None:
    assert all(explained(LIST.read_text("utf-8")).values())


def test_a_module_that_has_mutants_is_judged_by_its_own_tests() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    judges = settings["pytest_add_cli_args_test_selection"]

    assert all((ROOT / tests).is_file() for tests in judges)
    for pattern in settings["only_mutate"]:
        modules = list((ROOT / "functions").glob(pattern))
        assert modules, pattern
        for module in modules:
            own = f"tests/*/test_{module.stem}*.py"
            assert not list(ROOT.glob(own)) or any(fnmatch(tests, own) for tests in judges), own


def test_leftovers_are_code_run_at_import_or_behind_a_decorator() -> None:
    made = [
        (leftover.place, changed_lines(leftover.before.split("\n"), leftover.after.split("\n")))
        for leftover in leftovers("places", SOURCE)
    ]

    assert ("", "- LIMIT: int = 20\n+ LIMIT: int = 21\n") in made
    assert ("Places", '- EVERY = "every"\n+ EVERY = "XXeveryXX"\n') in made
    assert (
        "Places.hidden",
        "- return self.plain() > 1\n+ return self.plain() >= 1\n",
    ) in made
    assert {place for place, _ in made} == {"", "Places", "Places.hidden"}
