"""Converts a sweep's summary and rows to HTTP responses."""

from collections.abc import Mapping
from typing import Any

from ...core.report import Report
from ...ledger.records import Verdict
from ...reporting import render
from .responses import Row, Summary


def summary_of(numbers: Mapping[str, Any]) -> Summary | None:
    """Return a sweep's summary from the numbers of ``render``, or None if there are none."""
    return Summary.model_validate(dict(numbers)) if numbers else None


def rows_of(report: Report) -> tuple[Row, ...]:
    """Return one row for each candidate, at most as many as a response may have."""
    found = render.rows(report, render.ROWS_PER_ANSWER)
    return tuple(Row.model_validate(row) for row in found)


def row_of(verdict: Verdict) -> Row:
    """Return one row of a stored plan."""
    return Row.model_validate(render.row(verdict.judged, verdict.outcome))
