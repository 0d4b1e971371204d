"""Medians, ratios, goals and tables, on runs that are made up."""

from benchmarks.cases import BY_NAME
from benchmarks.goals import Goal, goals
from benchmarks.measure import Run, Series
from benchmarks.show import calls, reached, table, work


def run(cpu: float, *, peak: float = 100.0, wall: float = 1.0, wrong: str = "") -> Run:
    return Run(
        wall=wall, cpu=cpu, peak=peak, calls={"DescribeInstances": 3}, most_at_once=1, wrong=wrong
    )


def made(**runs: list[Run]) -> Series:
    named = {name.replace("_", "-"): some for name, some in runs.items()}
    return Series(cases=[BY_NAME[name] for name in named], runs=named)


def test_ratios_are_taken_within_a_round() -> None:
    # The second round was slow for both.
    series = made(custodian=[run(10), run(100), run(10)], report=[run(1), run(10), run(1)])

    assert series.ratio("report", "custodian", "cpu") == 0.1
    assert series.middle("report", "cpu") == 1


def test_fewer_rounds_of_slow_cases_are_shown() -> None:
    assert made(report=[run(1)] * 5).rounds == "5 rounds"
    assert made(custodian=[run(1)], report=[run(1)] * 5).rounds == "5 rounds, the slow ones 1"


def test_a_goal_is_met_at_its_limit_and_not_above() -> None:
    verdicts = [Goal(what="", most=0.5, measured=m).verdict for m in (0.5, 0.501, None)]

    assert verdicts == ["met", "not met", "not measured"]


def test_the_goals_compare_the_largest_size_with_the_smallest() -> None:
    small = made(custodian=[run(1)], report=[run(1, peak=50)])
    large = made(
        custodian=[run(100, peak=1_000)],
        custodian_filtered=[run(40)],
        naive=[run(90)],
        floor=[run(20)],
        report=[run(5, peak=60)],
        report_all=[run(25)],
    )

    found = goals(work={1_000: small, 100_000: large}, act=None, regions=None, startup=None)

    assert [goal.measured for goal in found[:6]] == [
        5 / 100,
        5 / 40,
        25 / 90,
        25 / 20,
        60 / 50,
        60 / 1_000,
    ]
    assert [goal.verdict for goal in found[:6]] == ["met", "met", "not met", "met", "met", "met"]
    assert {goal.verdict for goal in found[6:]} == {"not measured"}


def test_every_goal_is_listed_even_if_nothing_was_measured() -> None:
    assert len(goals(work={}, act=None, regions=None, startup=None)) == 9


def test_wrong_selection_is_shown_in_the_table_and_in_the_list() -> None:
    series = made(custodian=[run(1)], report=[run(1, wrong="chose 3 of 4, or others")])

    assert "Curfew, report, limits off WRONG" in work(series)
    assert series.wrong() == ["report: chose 3 of 4, or others"]


def test_columns_of_a_table_are_aligned() -> None:
    lines = table(("", "n", ""), [("one", "1", "x"), ("three", "1,000", "")]).splitlines()

    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "| ----- | ----: | - |"


def test_calls_are_summarized_with_the_most_frequent_first() -> None:
    counted = {"DescribeInstances": 2, "DynamoDB PutItem": 1_000, "DescribeInstanceAttribute": 9}

    assert calls(counted) == "1,000 D:PutItem, 9 Attribute, 2 List"


def test_missing_measurement_has_no_number() -> None:
    row = reached([Goal(what="a", most=0.5, measured=None)]).splitlines()[-1]

    assert row.replace(" ", "") == "|a|≤0.5||notmeasured||"
