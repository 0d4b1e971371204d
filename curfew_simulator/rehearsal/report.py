"""A rehearsal on a terminal, or as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table

from curfew.cli.output import out, text

if TYPE_CHECKING:
    from .night import Night, Swept
    from .outcome import Outcome

DONE = {"terminate": "terminated", "stop": "stopped"}
COUNTS = ("verified", "accepted", "kept_at_recheck", "failed", "unknown", "not_attempted")

type Row = Mapping[str, Any]


def as_text(outcome: "Outcome") -> None:
    """Print the report by night and policy: ended instances, kept instances with the reason, and the faults."""
    rehearsal = outcome.rehearsal
    file, regions = rehearsal.policies, ", ".join(rehearsal.regions)
    out.print(
        text(
            f"{file.path} (version {file.version}), seed {rehearsal.seed}, {rehearsal.faults} faults, {regions}"
        )
    )
    for problem in rehearsal.unlaunched:
        out.print(text(f"not launched: {problem}", "yellow"))
    for night in outcome.nights:
        _night(night, rehearsal.policies.timezone)
    out.print()
    out.print(_policies(outcome))
    _promises(outcome)


def as_json(outcome: "Outcome") -> None:
    """Print the same as JSON, with every row."""
    rehearsal = outcome.rehearsal
    content = {
        "file": str(rehearsal.policies.path),
        "policy_version": rehearsal.policies.version,
        "seed": rehearsal.seed,
        "faults": rehearsal.faults,
        "nights": [
            {
                "night": night.number,
                "began": night.began.isoformat(),
                "calls": night.calls,
                "faults": dict(sorted(night.faults.items())),
                "meanwhile": night.meanwhile,
                "policies": [
                    {
                        "policy": s.policy,
                        "problem": s.problem,
                        "sweeps": s.summaries,
                        "rows": s.rows,
                    }
                    for s in night.sweeps
                ],
            }
            for night in outcome.nights
        ],
        "not_launched": rehearsal.unlaunched,
        "instances": rehearsal.population,
        "terminated": outcome.terminated.total(),
        "stopped": outcome.stopped.total(),
        "should_have_been_kept": sorted(outcome.wronged),
        "promises": [
            {"promise": words, "broken": times} for words, times in outcome.promises.items()
        ],
        "violations": [str(violation) for violation in outcome.violations],
        "verdict": outcome.verdict,
    }
    out.file.write(json.dumps(content, indent=2) + "\n")  # ASCII: nothing a terminal obeys


def _night(night: "Night", zone: Any) -> None:
    out.print()
    out.print(
        text(f"Night {night.number}, {night.began.astimezone(zone):%a %d %b %Y, %H:%M}", "bold")
    )
    for swept in night.sweeps:
        _swept(swept)
    for line in night.meanwhile:
        _indented(text(f"meanwhile: {line}"), 2)
    _indented(text(f"the cloud: {night.calls} calls, {_faults(night.faults)}", "dim"), 2)


def _swept(swept: "Swept") -> None:
    for summary in swept.summaries:
        rows = [row for row in swept.rows if row["region"] == summary["region"]]
        _indented(text(_sentence(summary, rows)), 2)
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(justify="right")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for count, became, rule, example in _groups(summary, rows):
            content = (text(str(count)), text(became, _style(became)), text(rule), text(example))
            table.add_row(*content)
        if table.row_count:
            _indented(table, 4)
    if swept.problem:
        _indented(text(f"{swept.policy}: {swept.problem}", "yellow"), 2)


def _groups(summary: Row, rows: list[Row]) -> Iterable[tuple[int, str, str, str]]:
    """Yield the rows grouped by outcome and rule, with count and example; ended instances come first."""
    groups: dict[tuple[int, str, str], list[Row]] = {}
    for row in rows:
        done = row["outcome"] == "verified"
        became = DONE[row["verdict"]] if done else str(row["outcome"])
        place = 0 if done else 2 if row["verdict"] == "keep" else 1
        groups.setdefault((place, became, row["rule"]), []).append(row)
    for (_, became, rule), alike in sorted(groups.items()):
        row = alike[0]
        why = (
            row["reason"]
            if row["outcome"] in {"verified", "kept"}
            else row.get("detail", row["reason"])
        )
        yield len(alike), became, rule, ": ".join(filter(None, (row["name"], why)))
    waiting = summary["kept"] - sum(row["verdict"] == "keep" for row in rows)
    if waiting > 0:
        yield waiting, "kept", "not due", "too young for the policy, or not meant by it"


def _sentence(summary: Row, rows: Iterable[Row]) -> str:
    done = [f"{summary[key]} {key.replace('_', ' ')}" for key in COUNTS if summary[key]]
    found = f"{summary['actions']} to act on, {summary['kept']} kept, of {summary['listed']} listed"
    content = f"{summary['policy']} in {summary['region']}: {summary['status']}: " + "; ".join(
        filter(None, (found, ", ".join(done)))
    )
    problem = summary["problem"]
    shown = any(problem in (row["reason"] + row.get("detail", "")) for row in rows)
    return content if not problem or shown else f"{content}; {problem}"


def _policies(outcome: "Outcome") -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    for count in DONE.values():
        table.add_column(count, justify="right")
    table.add_column("its sweeps")
    for name in outcome.rehearsal.names:
        ends = ", ".join(f"{times} {end}" for end, times in outcome.statuses(name).most_common())
        went = str(outcome.terminated[name]), str(outcome.stopped[name])
        table.add_row(*map(text, (name, *went, ends)))
    return table


def _promises(outcome: "Outcome") -> None:
    out.print()
    out.print(text(f"Checked over {outcome.calls} calls and {outcome.faults.total()} faults:"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for words, times in outcome.promises.items():
        said = f"broken {times}x" if times else "kept"
        table.add_row(text(said, "bold red" if times else "green"), text(words))
    _indented(table, 2)
    for violation in outcome.violations:
        out.print(text(f"VIOLATION {violation}", "bold red"))
    out.print(text(f"violations: {len(outcome.violations)}", "bold"))
    out.print(text(outcome.verdict, "bold"))


def _indented(shown: Any, by: int) -> None:
    out.print(Padding(shown, (0, 0, 0, by), expand=False))


def _faults(faults: Counter[str]) -> str:
    by_kind = ", ".join(f"{times} {kind}" for kind, times in sorted(faults.items(), key=_most))
    return f"{faults.total()} faults" + (f" ({by_kind})" if by_kind else "")


def _most(kind: tuple[str, int]) -> tuple[int, str]:
    return -kind[1], kind[0]


def _style(became: str) -> str:
    if became in DONE.values():
        return "bold red"
    return "green" if became.startswith("kept") else "yellow"
