"""`make bench`: measure, print tables and goals, draw the plot, and fail if a peer chose the wrong instances."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import costs, estate, page, show, startup
from .cases import ACT, BY_NAME, CASES, ROOT, Case, across, curfew
from .fleet import REGIONS
from .goals import goals
from .measure import Run, Series, endpoint, series

CACHE = ROOT / ".cache" / "bench"
PARTS = ("work", "act", "regions", "startup", "estate", "profile")
LATENCY = 80


def main() -> None:
    """Measure the requested parts, and print all results, including those of earlier runs."""
    options = _options()
    CACHE.mkdir(parents=True, exist_ok=True)
    file = CACHE / "results.json"
    whole = set(options.parts) == set(PARTS)
    found: dict[str, Any] = {} if whole or not file.exists() else json.loads(file.read_text())
    for part in options.parts:
        log(f"{part}:")
        when = _when()  # the date and commit of this measurement
        MEASURES[part](options, found)
        for name in [f"{size:,}" for size in options.sizes] if part == "work" else [part]:
            found.setdefault("when", {})[name] = when
        file.write_text(json.dumps(found, indent=1))
    text, wrong = _text(found)
    print(text)
    (CACHE / "tables.md").write_text(text)
    picture = CACHE / "performance.svg"
    if found.get("work"):
        _draw(file, picture)
        print(f"\n{picture.relative_to(ROOT)} has the plot.")
    if options.publish:
        page.publish(text, picture)
    if wrong:
        sys.exit("WRONG selections:\n" + "\n".join(wrong))


def log(line: str) -> None:
    """Print progress to standard error, so that standard output has only the tables."""
    print(line, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, help="for the slow peers at the largest size")
    parser.add_argument("--sizes", type=_numbers, default=[1_000, 10_000, 100_000])
    parser.add_argument("--parts", type=_words, default=list(PARTS))
    parser.add_argument("--publish", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    options.slow_rounds = options.slow_rounds or options.rounds
    return options


def _numbers(text: str) -> list[int]:
    return sorted(int(word.replace("_", "")) for word in text.split(","))


def _words(text: str) -> list[str]:
    words = text.split(",")
    if unknown := set(words) - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no part {unknown.pop()}; there are {PARTS}")
    return words


def _work(options: argparse.Namespace, found: dict[str, Any]) -> None:
    for size in options.sizes:
        log(f" {size:,} instances")
        slow = options.slow_rounds if size == 100_000 else options.rounds
        with endpoint(size=size) as at:
            log(f"  {at.weight:,} bytes an instance")
            ran = series(CASES, at, rounds=options.rounds, slow_rounds=slow, log=log)
            found["bytes"] = at.weight
        found.setdefault("work", {})[str(size)] = ran.plain()


def _act(options: argparse.Namespace, found: dict[str, Any]) -> None:
    size = min(10_000, max(options.sizes))
    cases = [BY_NAME[name] for name in ("custodian", "custodian-filtered", "act")]
    with endpoint(size=size, latency_ms=LATENCY) as at:
        ran = series(cases, at, rounds=options.rounds, slow_rounds=options.rounds, log=log)
    found["act"] = {"size": size, "runs": ran.plain()}


def _regions(options: argparse.Namespace, found: dict[str, Any]) -> None:
    with endpoint(size=300, regions=len(REGIONS)) as at:
        ran = series(
            across(REGIONS), at, rounds=options.rounds, slow_rounds=options.rounds, log=log
        )
    found["regions"] = ran.plain()


def _startup(options: argparse.Namespace, found: dict[str, Any]) -> None:
    startup.build(log)
    with endpoint(size=0) as at:
        found["startup"] = {
            "cpu": startup.first_client(at, rounds=max(3, options.rounds)),
            "cold": startup.cold_starts(at, rounds=options.rounds, log=log),
        }


def _estate(options: argparse.Namespace, found: dict[str, Any]) -> None:
    cold = found.get("startup", {}).get("cold", {}).get("curfew", [])
    few = options.rounds == 1
    found["estate"] = estate.measure(
        regions=3 if few else len(REGIONS),
        cold_start=sorted(cold)[len(cold) // 2] if cold else 1.0,
        log=log,
    )


def _profile(options: argparse.Namespace, found: dict[str, Any]) -> None:
    size = min(10_000, max(options.sizes))
    with endpoint(size=size) as at:
        found["profile"] = {
            "report, limits off": costs.profile(curfew("filtered"), at),
            "every instance read": costs.profile(curfew("read-all"), at),
            "act": costs.profile(ACT, at),
        }
        found["profiled"] = size


MEASURES: dict[str, Callable[[argparse.Namespace, dict[str, Any]], None]] = {
    "work": _work,
    "act": _act,
    "regions": _regions,
    "startup": _startup,
    "estate": _estate,
    "profile": _profile,
}


def _text(found: dict[str, Any]) -> tuple[str, list[str]]:
    """Return all tables, and a line for each wrong selection."""
    work = {int(size): _series(CASES, runs) for size, runs in found.get("work", {}).items()}
    act = _series(CASES, found["act"]["runs"]) if "act" in found else None
    regions = _series(across(REGIONS), found["regions"]) if "regions" in found else None
    parts = [_measured_on(found)]
    for size, one in sorted(work.items()):
        parts += [f"### {size:,} instances, one region ({one.rounds})", show.work(one)]
    if act:
        size = found["act"]["size"]
        parts += [
            f"### Act, {size:,} instances, {LATENCY} ms a call ({act.rounds})",
            show.waits(act),
        ]
    if regions:
        parts += [
            f"### 17 regions × 300 instances ({regions.rounds})",
            show.waits(regions, regions=len(REGIONS)),
        ]
    if "startup" in found:
        parts += ["### Start-up", show.startup(found["startup"])]
    if "estate" in found:
        parts += ["### A large estate, simulated", show.estate(found["estate"])]
    if "profile" in found:
        title = f"### Where Curfew's time goes, {found['profiled']:,} instances, under cProfile"
        parts += [title, show.shares(found["profile"])]
    reached = goals(work=work, act=act, regions=regions, startup=found.get("startup"))
    parts += ["### Goals", show.reached(reached)]
    wrong = [line for one in (*work.values(), act, regions) if one for line in one.wrong()]
    return "\n\n".join(parts) + "\n", wrong


def _measured_on(found: dict[str, Any]) -> str:
    whens = found["when"]
    times = list(dict.fromkeys(whens.values()))
    when = "; ".join(
        f"{time} ({', '.join(part for part, at in whens.items() if at == time)})" for time in times
    )
    when = times[0] if len(times) == 1 else when
    weight = f", {found['bytes']:,} bytes an instance" if "bytes" in found else ""
    return f"Measured {when}, on {page.machine()}{weight}."


def _series(cases: tuple[Case, ...], runs: dict[str, list[dict[str, Any]]]) -> Series:
    there = [case for case in cases if runs.get(case.name)]
    return Series(
        cases=there, runs={name: [Run(**run) for run in some] for name, some in runs.items()}
    )


def _when() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {page.commit()}"


def _draw(source: Path, target: Path) -> None:
    python = str(ROOT / ".peers" / "bin" / "python")
    plot = str(ROOT / "benchmarks" / "plot.py")
    subprocess.run([python, plot, str(source), str(target)], check=True)


if __name__ == "__main__":
    main()
