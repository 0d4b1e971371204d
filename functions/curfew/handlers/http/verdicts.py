"""A sweep's numbers and rows, for whoever asks over HTTP."""

from collections.abc import Mapping
from typing import Any

from ...core.report import Report
from ...ledger.records import Verdict
from ...reporting import render
from .responses import Row, Summary


def summary_of(numbers: Mapping[str, Any]) -> Summary | None:
    """A sweep in numbers, as ``render`` gives them; none before there are any."""
    return Summary.model_validate(dict(numbers)) if numbers else None


def rows_of(report: Report) -> tuple[Row, ...]:
    """One row per candidate, as far as they fit into an answer."""
    found = render.rows(report, render.ROWS_PER_ANSWER)
    return tuple(Row.model_validate(row) for row in found)


def row_of(verdict: Verdict) -> Row:
    """One row of a kept plan."""
    return Row.model_validate(render.row(verdict.judged, verdict.outcome))
