"""What a terminal shows: tables and lines in which nothing from outside can be an order to it."""

import sys
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.report import Report, Status
from ..reporting import render

# Where no terminal says how wide it is, a table has room for its reasons.
out = Console(width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True)


class Exit(IntEnum):
    """The exit codes. What the sweep found or did is in its output."""

    OK = 0
    FAILED = 1  # a sweep failed, was incomplete or stopped early
    INVALID = 2  # the command, the policy file or a setting is wrong; nothing was done
    REFUSED = 3  # a plan was over a limit, and was not carried out
    DECLINED = 4  # the confirmation was not given; nothing was done


def show(reports: list[Report], *, only_actions: bool = False) -> None:
    """Each sweep as its table and its sentence."""
    for report in reports:
        rows = [r for r in render.rows(report) if r["verdict"] != "keep" or not only_actions]
        if rows:
            out.print(table_of(rows))
        out.print(text(render.sentence(report), "bold"))


def exit_code(reports: list[Report]) -> Exit:
    """What a failure is to whoever called; a refusal is one of its own kind."""
    refused = [report for report in reports if report.status is Status.REFUSED]
    if any(report.failed for report in reports if report not in refused):
        return Exit.FAILED
    return Exit.REFUSED if refused else Exit.OK


def table_of(rows: list[dict[str, Any]]) -> Table:
    """The verdicts as a table: what goes first, then what stays, by reason."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("instance", "name"):
        table.add_column(column, no_wrap=True)
    for column in ("verdict", "reason", "outcome"):
        table.add_column(column, overflow="fold")
    for row in sorted(rows, key=_by_verdict):
        goes = row["verdict"] != "keep"
        style = "bold red" if goes else "dim" if row["rule"] in render.WAITING_RULES else "green"
        told = row["outcome"] != "verified" and row.get("detail")
        outcome = f"{row['outcome']}: {told}" if told else row["outcome"]
        table.add_row(
            text(row["id"]),
            text(row["name"]),
            text(row["verdict"], style),
            text(f"{row['rule']}: {row['reason']}"),
            text(outcome),
        )
    return table


def text(words: str, style: str = "") -> Text:
    """Words from outside: inert, whatever markup or control characters are in them."""
    return Text(render.plain(words), style=style)


def _by_verdict(row: dict[str, Any]) -> tuple[bool, bool, str, str]:
    return row["verdict"] == "keep", row["rule"] in render.WAITING_RULES, row["rule"], row["id"]
