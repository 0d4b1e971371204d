"""The tables, as text that is readable in a terminal and valid Markdown."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from .goals import Goal
from .measure import Series
from .pace import seconds as paced
from .startup import over_nothing, ratio

SHORT = {"Describe": "", "Instances": "List", "InstanceAttribute": "Attribute", "DynamoDB ": "D:"}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table. Columns are as wide as necessary; all except the first and the last contain numbers."""
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    texts = {0, len(columns) - 1}

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if at in texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * width if at in texts else "-" * (width - 1) + ":" for at, width in enumerate(widths)
    ]
    return "\n".join([line(columns), f"| {' | '.join(rule)} |", *map(line, rows)])


def work(series: Series) -> str:
    """Return the table of all programs that do the same work on the same endpoint."""
    columns = (
        "",
        "wall s",
        "CPU s",
        "MB",
        "CPU ÷ Custodian",
        "CPU ÷ boto3",
        "CPU ÷ floor",
        "MB ÷ Custodian",
        "calls",
    )
    rows = []
    for case in series.cases:
        if not series.has(case.name):
            continue
        rows.append(
            (
                case.label + mark(series, case.name),
                number(series.middle(case.name, "wall")),
                number(series.middle(case.name, "cpu")),
                f"{series.middle(case.name, 'peak'):,.0f}",
                *(_against(series, case.name, to, "cpu") for to in ("custodian", "naive", "floor")),
                _against(series, case.name, "custodian", "peak"),
                calls(series.runs[case.name][-1].calls),
            )
        )
    return table(columns, rows)


def waits(series: Series, *, regions: int = 1) -> str:
    """Return the table of wall-clock times relative to Custodian, with the rate limit's lower bound per region."""
    columns = (
        "",
        "wall s",
        "CPU s",
        "wall ÷ Custodian",
        "at most at once",
        "at a quarter of EC2's rate",
        "calls",
    )
    rows = []
    for case in series.cases:
        last = series.runs[case.name][-1]
        bound = paced({k: v // regions for k, v in last.calls.items()}, percent=25)
        ours = case.name in {"act", "report", "report-all", "report-limited"}
        rows.append(
            (
                case.label + mark(series, case.name),
                number(series.middle(case.name, "wall")),
                number(series.middle(case.name, "cpu")),
                _against(series, case.name, "custodian", "wall"),
                str(last.most_at_once),
                f"≥ {bound:,.0f} s" if ours and bound > 0 else "",
                calls(last.calls),
            )
        )
    return table(columns, rows)


def startup(measured: Mapping[str, Any]) -> str:
    """Return the table of start-up times of Curfew and of a typical function."""
    cpu, cold = measured["cpu"], measured["cold"]
    rows = [
        (
            label,
            f"{over_nothing(cpu, name) * 1_000:.0f}",
            f"{median(cold[name]) * 1_000:.0f}" if cold else "not measured",
            "",
        )
        for name, label in (
            ("curfew", "Curfew's sweep"),
            ("typical", "Logger, Metrics, Tracer, boto3 EC2"),
        )
    ]
    rows.append(
        (
            "Curfew ÷ typical",
            f"{ratio(cpu, base='nothing'):.2f}",
            f"{ratio(cold):.2f}" if cold else "",
            "",
        )
    )
    return table(("", "import and first client, CPU ms", "cold start, ms", ""), rows)


def estate(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of a large estate's simulated nights."""
    columns = (
        "a night of 500 accounts × 17 regions × 200 instances",
        "done in",
        "longest target",
        "EC2 calls",
        "ledger calls",
        "Lambda $",
        "SQS $",
        "DynamoDB $",
        "$ a month",
        "",
    )
    rows = []
    for one in measured.values():
        night, dollars = one["night"], one["dollars"]
        ledger = sum(v for k, v in night["calls"].items() if k.startswith("DynamoDB"))
        rows.append(
            (
                one["label"] + ("" if one["pace"] else ", no rate limit"),
                f"{night['seconds'] / 60:.1f} min",
                f"{night['longest']:.1f} s",
                f"{sum(night['calls'].values()) - ledger:,}",
                f"{ledger:,}",
                *(f"{dollars[name]:.2f}" for name in ("functions", "queue", "ledger")),
                f"{sum(dollars.values()):.2f}",
                "",
            )
        )
    return table(columns, rows)


def shares(profiles: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of each owner's share of the CPU time, in per cent."""
    owners = sorted({owner for one in profiles.values() for owner in one})
    first = next(iter(profiles.values()))
    owners.sort(key=lambda owner: -first.get(owner, 0))
    rows = [
        (owner, *(f"{one.get(owner, 0) * 100:.0f} %" for one in profiles.values()), "")
        for owner in owners
    ]
    return table(("own time", *profiles, ""), rows)


def reached(goals: Sequence[Goal]) -> str:
    """Return the table of goals and measured ratios."""
    rows = [
        (
            goal.what,
            f"≤ {goal.most:g}",
            "" if goal.measured is None else f"{goal.measured:.3f}",
            goal.verdict,
            goal.note,
        )
        for goal in goals
    ]
    return table(("goal", "at most", "measured", "", "beside it"), rows)


def number(value: float) -> str:
    """Return seconds with two decimals, or none from 100 s."""
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def calls(counted: Mapping[str, int]) -> str:
    """Return the counts of calls by kind, with short names: "D:" means the ledger's DynamoDB."""

    def short(name: str) -> str:
        for long, word in SHORT.items():
            name = name.replace(long, word)
        return name

    return ", ".join(
        f"{count:,} {short(name)}" for name, count in sorted(counted.items(), key=_by_count)
    )


def mark(series: Series, name: str) -> str:
    """Return " WRONG" if the selection of any run was wrong, or an empty text."""
    return " WRONG" if any(run.wrong for run in series.runs[name]) else ""


def _against(series: Series, name: str, to: str, what: str) -> str:
    return f"{series.ratio(name, to, what):.3f}" if series.has(to) else ""


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
