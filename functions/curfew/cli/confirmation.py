"""Asks for the confirmation before a plan is executed."""

import sys

import typer

from ..core.errors import RequestError
from ..core.report import Report, Status
from .output import Exit, err


def actions_of(report: Report) -> int:
    """Return how many actions a complete plan has."""
    return len(report.plan.actions) if report.plan and report.status is Status.COMPLETED else 0


def confirm(reports: list[Report], *, yes: bool) -> None:
    """Ask the caller to type the number of actions, unless ``yes``.

    Raises RequestError if the input is no terminal, typer's Exit if the answer is another.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RequestError("--act needs a confirmation, but the input is no terminal: add --yes")
    acting = [report for report in reports if actions_of(report)]
    count = sum(map(actions_of, acting))
    kind = acting[0].plan.actions[0].kind if acting[0].plan else ""
    where = ", ".join(f"{report.target.account} {report.target.region}" for report in acting)
    try:
        typed = typer.prompt(
            f"{kind} {count} instances in {where}: type {count} to confirm", err=True
        )
    except typer.Abort:  # the end of input, or Ctrl-C
        typed = ""
    if typed.strip() != str(count):
        err.print("Not confirmed: nothing was done.")
        raise typer.Exit(Exit.DECLINED)
