"""*report*: renders a ``Report`` as rows, summary, metrics, answer or sentence, for terminal, logs, metrics and HTTP.

Tags and names are hostile data: a text for a terminal passes through ``plain``; JSON escapes it anyway.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.lease import Fleet, format_utc
from ..core.plan import Action, Kept
from ..core.report import Outcome, Report, Result

# Instances kept by these rules are not logged; those kept by any other rule are.
WAITING_RULES = frozenset({"older-than", "not-selected"})
# Lambda's response has at most 6 MB; the counts are always complete.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ROWS_PER_ANSWER = 2_000


def rows(report: Report, most: int | None = None) -> list[dict[str, Any]]:
    """Return the first ``most`` candidates as rows with verdict, rule, reason and outcome, ordered by id."""
    if report.plan is None:
        return []
    ended = {outcome.action.instance.id: outcome for outcome in report.outcomes}
    judged: list[Action | Kept] = [*report.plan.kept, *report.plan.actions]
    judged.sort(key=lambda one: one.instance.id)
    return [row(one, ended.get(one.instance.id)) for one in judged[:most]]


def row(judged: Action | Kept, outcome: Outcome | None = None) -> dict[str, Any]:
    """Return one instance as a row with verdict, rule, reason and outcome."""
    instance = judged.instance
    verdict, result = "keep", "kept"
    if isinstance(judged, Action):
        verdict, result = str(judged.kind), str(outcome.result) if outcome else "planned"
    detail = {"detail": outcome.detail} if outcome and outcome.detail else {}
    return {
        "id": instance.id,
        "name": instance.name,
        "zone": instance.zone,
        "type": instance.instance_type,
        "state": str(instance.state),
        "verdict": verdict,
        "rule": judged.rule,
        "reason": judged.reason,
        "outcome": result,
        **detail,
    }


def matters(row: Mapping[str, Any]) -> bool:
    """Return whether the log gets a line for this row."""
    return row["rule"] not in WAITING_RULES or row["verdict"] != "keep"


def summary(report: Report) -> dict[str, Any]:
    """Return one sweep in numbers. ``listed`` counts the population, the other numbers count candidates."""
    plan = report.plan
    return {
        "sweep_id": report.sweep_id,
        "policy": report.policy,
        "policy_version": plan.policy.version if plan else "",
        "provider": report.target.provider,
        "account": report.target.account,
        "region": report.target.region,
        "mode": str(report.mode),
        "status": str(report.status),
        "problem": report.problem,
        "listed": report.listed,
        "candidates": plan.candidates if plan else 0,
        "actions": len(plan.actions) if plan else 0,
        "kept": len(plan.kept) if plan else 0,
        **{str(result).replace("-", "_"): report.count(result) for result in Result},
        "plan": plan.hash if plan else "",
        "resolved_intents": list(report.resolved_intents),
        "root_sweep_id": report.root_sweep_id or report.sweep_id,
        "attempt": report.attempt,
        "throttles": report.throttles,
        "rate_limited_seconds": round(report.rate_limited, 3),
        "started_at": report.started_at.isoformat(timespec="seconds"),
        "seconds": round((report.finished_at - report.started_at).total_seconds(), 3),
    }


def metrics(report: Report) -> dict[str, float]:
    """Return the metrics of one sweep: counts, and seconds if the name says so."""
    numbers = summary(report)
    return {
        "Listed": numbers["listed"],
        "Candidates": numbers["candidates"],
        "Actions": numbers["actions"],
        "Kept": numbers["kept"] + numbers["kept_at_recheck"],
        "Verified": numbers["verified"],
        "Failed": numbers["failed"] + numbers["unknown"],
        "Throttles": numbers["throttles"],
        "RateLimitedSeconds": numbers["rate_limited_seconds"],
    }


def answer(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the response of an invocation: each sweep's summary and, as far as they fit, its rows."""
    room = ROWS_PER_ANSWER
    sweeps = []
    for report in reports:
        numbers, shown = summary(report), rows(report, room)
        room -= len(shown)
        left_out = numbers["candidates"] - len(shown)
        sweeps.append({**numbers, "rows": shown, "rows_left_out": left_out})
    return {"sweeps": sweeps}


def sentence(report: Report) -> str:
    """Return one sweep in one line, for people."""
    numbers = summary(report)
    done = ", ".join(
        f"{numbers[key]} {key.replace('_', ' ')}"
        for key in ("verified", "accepted", "kept_at_recheck", "failed", "unknown", "not_attempted")
        if numbers[key]
    )
    what = f"{numbers['actions']} to act on, {numbers['kept']} kept, of {numbers['listed']} listed"
    ended = (
        f"{report.policy} in {report.target.account} {report.target.region}, {report.mode} mode: "
        f"{report.status}: {what}"
    )
    if report.attempt:
        ended = f"{ended}, continuation {report.attempt} of {report.root_sweep_id}"
    if done:
        ended += f"; {done}"
    return f"{ended}; {report.problem}" if report.problem else ended


def fleet(fleet: Fleet) -> dict[str, Any]:
    """Return a fleet as JSON values: owner, lease and the phase of its launch."""
    return {
        "name": fleet.name,
        "launch_id": fleet.launch_id,
        "template": fleet.template,
        "owner": fleet.owner,
        "account": fleet.target.account,
        "region": fleet.target.region,
        "count": fleet.count,
        "phase": str(fleet.phase),
        "problem": fleet.problem,
        "created_at": format_utc(fleet.created_at),
        "expires_at": format_utc(fleet.expires_at),
        "ended_at": format_utc(fleet.ended_at) if fleet.ended_at else None,
    }


def plain(text: str) -> str:
    """Return the text with every character escaped that a terminal could interpret."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
