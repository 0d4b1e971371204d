"""Measure the targets of the simulation: the cost of one account and region of 200 instances, on each kind of night.

The calls, the units of the ledger and the CPU time are from real sweeps of 17 regions, one process for each region.
The CPU time excludes start-up, which is the time of the same program for a region without instances.
"""

import re
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from .cases import REPORT_SEEN, ROOT, Case, curfew
from .fleet import REGIONS
from .measure import Endpoint, Run, endpoint, one
from .prices import month
from .simulation import Estate, Night, Target, night

SIZE = 200
LATENCY = 80
ACCOUNTS = 500
SAMPLED = 3  # number of targets measured with real latency
NIGHTS = {
    "quiet": ("act mode, nothing is due", "quiet", ("--act", "--yes")),
    "report": ("report mode, a tenth is due", "filtered", ()),
    "busy": ("act mode, a tenth is due and goes", "filtered", ("--act", "--yes")),
}
MEMORY = re.compile(r"MemorySize: (\d+)")


def measure(
    *, regions: int, cold_start: float, log: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Return, for each kind of night, the measured targets, the estate's simulated night, and the price of a month."""
    found: dict[str, dict[str, Any]] = {}
    memory = int((MEMORY.search((ROOT / "template.yaml").read_text()) or ["", "512"])[1])
    estate = Estate(
        targets=ACCOUNTS * len(REGIONS),
        latency=LATENCY / 1_000,
        memory=memory,
        cold_start=cold_start,
    )
    for name, (label, policy, more) in NIGHTS.items():
        log(f"  {label}")
        targets = _targets(policy, more, regions=regions)
        for pace in (25, None):
            went = night(_paced(estate, pace), targets)
            found[name if pace else f"{name}-no-rate-limit"] = {
                "label": label,
                "pace": pace,
                "memory": memory,
                "night": asdict(went),
                "dollars": asdict(_bill(went, memory, estate.targets)),
                "targets": [asdict(target) for target in targets],
            }
    return found


def _paced(estate: Estate, percent: float | None) -> Estate:
    return Estate(**(asdict(estate) | {"percent": percent}))


def _bill(went: Night, memory: int, messages: int) -> Any:
    return month(
        gb_seconds=went.busy * memory / 1_024,
        invocations=messages,
        messages=messages,
        reads=went.reads,
        writes=went.writes,
    )


def _targets(policy: str, more: tuple[str, ...], *, regions: int) -> list[Target]:
    with endpoint(size=SIZE, regions=len(REGIONS)) as at:
        runs = [_run(at, policy, more, name) for name in REGIONS[:regions]]
        at.ask(f"latency?ms={LATENCY}")
        waiting = [_run(at, policy, more, name) for name in REGIONS[: min(SAMPLED, regions)]]
    with endpoint(size=0, regions=len(REGIONS)) as at:
        empty = [_run(at, policy, more, REGIONS[0]).cpu for _ in range(SAMPLED)]
    startup = median(empty)
    # The time that latency adds, divided by the latency, is the number of calls made one after the other.
    shares = [
        (slow.wall - fast.wall) / (LATENCY / 1_000) / sum(fast.calls.values())
        for fast, slow in zip(runs, waiting, strict=False)
    ]
    share = min(1.0, max(0.0, median(shares)))
    return [
        Target(
            calls=run.calls,
            in_a_row=sum(run.calls.values()) * share,
            cpu=max(0.0, run.cpu - startup),
            reads=run.reads,
            writes=run.writes,
        )
        for run in runs
    ]


def _run(at: Endpoint, policy: str, more: tuple[str, ...], region: str) -> Run:
    case = Case(
        name="target",
        label=region,
        command=curfew(policy, *more, "--table", "curfew-ledger", "--region", region),
        kind="",
        before=(*REPORT_SEEN, "--region", region),
    )
    return one(case, at, due={})
