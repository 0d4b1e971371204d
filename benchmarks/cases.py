"""The measured programs: their commands, their labels, and a check that each selected the right instances."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
POLICIES = Path(__file__).parent / "curfew.yaml"
TABLE = "curfew-ledger"
REFUSED = 3  # Curfew's exit code for a plan over a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One program on one kind of work.

    ``{out}`` in the command becomes a folder for this run only. ``before`` is a command that runs first, unmeasured.
    ``kind`` is the expected result: ``ended`` (it terminates all due instances), ``report`` (a report on standard
    output) or ``refused`` (a report over a limit). An empty ``kind`` skips the check of the selection.
    """

    name: str
    label: str
    command: tuple[str, ...]
    kind: str = "ended"
    before: tuple[str, ...] = ()
    slow: bool = False


def curfew(policy: str, *more: str) -> tuple[str, ...]:
    """Return the command of Curfew's CLI, without waits for the rate limit."""
    program = (sys.executable, str(ROOT / "benchmarks" / "without_rate_limit.py"))
    return (*program, "sweep", "--json", "--file", str(POLICIES), "--policy", policy, *more)


def custodian(name: str, *more: str) -> tuple[str, ...]:
    """Return the command of Cloud Custodian, without its cache, since a nightly run has none."""
    program = str(ROOT / ".peers" / "bin" / "custodian")
    return (program, "run", "-s", "{out}", "--cache-period", "0", *more, str(PEERS / name))


def peer(name: str, *more: str) -> tuple[str, ...]:
    """Return the command of a peer that is one file and uses Curfew's libraries."""
    return (sys.executable, str(PEERS / name), *more)


ACT = curfew("filtered", "--act", "--yes", "--table", TABLE)
# The report of the previous night, which recorded when Curfew first saw each instance. The limit stops it early.
REPORT_SEEN = curfew("limited", "--table", TABLE)
CASES = (
    Case(name="custodian", label="Cloud Custodian", command=custodian("custodian.yml"), slow=True),
    Case(
        name="custodian-filtered",
        label="Cloud Custodian, server filters",
        command=custodian("custodian-filtered.yml"),
        slow=True,
    ),
    Case(name="naive", label="tutorial's boto3", command=peer("naive.py"), slow=True),
    Case(name="floor", label="floor: raw HTTP, pull parser", command=peer("floor.py")),
    Case(
        name="floor-expat",
        label="floor: raw HTTP, expat by hand",
        command=peer("floor.py", "--expat"),
    ),
    Case(
        name="floor-filtered",
        label="floor, server filters",
        command=peer("floor.py", "--filtered"),
    ),
    Case(
        name="report-limited",
        label="Curfew, report, shipped limit",
        command=curfew("limited"),
        kind="refused",
    ),
    Case(
        name="report", label="Curfew, report, limits off", command=curfew("filtered"), kind="report"
    ),
    Case(
        name="report-all",
        label="Curfew, report, every instance read",
        command=curfew("read-all"),
        kind="report",
    ),
    Case(
        name="report-all-limited",
        label="Curfew, every instance read, shipped limit",
        command=curfew("read-all-limited"),
        kind="refused",
    ),
    Case(
        name="report-none",
        label="Curfew, every instance read, none selected",
        command=curfew("nothing"),
        kind="",
    ),
    Case(name="act", label="Curfew, act", command=ACT, before=REPORT_SEEN, slow=True),
)
BY_NAME = {case.name: case for case in CASES}


def across(regions: tuple[str, ...]) -> tuple[Case, ...]:
    """Return the cases for several regions."""
    custodians = tuple(word for region in regions for word in ("--region", region))
    return (
        Case(
            name="custodian",
            label="Cloud Custodian",
            command=custodian("custodian.yml", *custodians),
        ),
        Case(name="naive", label="loop of boto3", command=peer("naive.py", *regions)),
        Case(
            name="report",
            label="Curfew, report, limits off",
            command=curfew("filtered", *custodians),
            kind="report",
        ),
        Case(
            name="report-limited",
            label="Curfew, report, shipped limit",
            command=curfew("limited", *custodians),
            kind="refused",
        ),
        Case(
            name="report-all",
            label="Curfew, report, every instance read",
            command=curfew("read-all", *custodians),
            kind="report",
        ),
    )


def wrong(
    case: Case, *, code: int, out: str, stats: Mapping[str, Any], due: Mapping[str, Any]
) -> str:
    """Return what is wrong with a run's selection according to the endpoint, or an empty text."""
    if code != (REFUSED if case.kind == "refused" else 0):
        return f"exit code {code}"
    if not case.kind:
        return ""
    if case.kind == "ended":
        right = stats["digest"] == due["digest"]
        return "" if right else f"ended {stats['ended']} of {due['count']}, or others"
    if stats["ended"]:
        return f"a report ended {stats['ended']}"
    sweeps = json.loads(out)["sweeps"]
    if case.kind == "refused":
        candidates = sum(one["candidates"] for one in sweeps)
        right = all(one["status"] == "refused" for one in sweeps)
        right = right and candidates in {due["candidates"], due["tagged"]}
        return "" if right else f"refused {candidates} candidates of {due['candidates']}"
    chosen = sum(one["actions"] for one in sweeps)
    shown = {row["id"] for one in sweeps for row in one["rows"] if row["verdict"] == "terminate"}
    left_out = any(one["rows_left_out"] for one in sweeps)
    right = chosen == due["count"] and shown <= due["ids"] and (left_out or len(shown) == chosen)
    return "" if right else f"chose {chosen} of {due['count']}, or others"
