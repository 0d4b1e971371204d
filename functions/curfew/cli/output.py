"""Prints tables and lines. Data from outside cannot control the terminal."""

import sys
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.report import Report, Status
from ..reporting import render

# Without a terminal, which has a width, tables are wide enough for their reasons.
out = Console(width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True)


class Exit(IntEnum):
    """The exit codes. The output says what the sweep found and did."""

    OK = 0
    FAILED = 1  # a sweep failed, was incomplete or stopped early
    INVALID = 2  # the command, the policy file or a setting is invalid; no call was made
    REFUSED = 3  # a plan was over a limit and was not executed
    DECLINED = 4  # the confirmation was not given; no call was made


def show(reports: list[Report], *, only_actions: bool = False) -> None:
    """Print each sweep as a table and a sentence."""
    for report in reports:
        rows = [r for r in render.rows(report) if r["verdict"] != "keep" or not only_actions]
        if rows:
            out.print(table_of(rows))
        out.print(text(render.sentence(report), "bold"))


def exit_code(reports: list[Report]) -> Exit:
    """Return the exit code of a command: FAILED if a sweep failed, REFUSED if only plans were refused."""
    refused = [report for report in reports if report.status is Status.REFUSED]
    if any(report.failed for report in reports if report not in refused):
        return Exit.FAILED
    return Exit.REFUSED if refused else Exit.OK


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return the verdicts as a table: actions first, then kept instances, by rule."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("instance", "name"):
        table.add_column(column, no_wrap=True)
    for column in ("verdict", "reason", "outcome"):
        table.add_column(column, overflow="fold")
    for row in sorted(rows, key=_by_verdict):
        acts = row["verdict"] != "keep"
        style = "bold red" if acts else "dim" if row["rule"] in render.WAITING_RULES else "green"
        detail = row["outcome"] != "verified" and row.get("detail")
        outcome = f"{row['outcome']}: {detail}" if detail else row["outcome"]
        table.add_row(
            text(row["id"]),
            text(row["name"]),
            text(row["verdict"], style),
            text(f"{row['rule']}: {row['reason']}"),
            text(outcome),
        )
    return table


def text(words: str, style: str = "") -> Text:
    """Return a text from outside as plain text, without markup or control characters."""
    return Text(render.plain(words), style=style)


def _by_verdict(row: dict[str, Any]) -> tuple[bool, bool, str, str]:
    return row["verdict"] == "keep", row["rule"] in render.WAITING_RULES, row["rule"], row["id"]
