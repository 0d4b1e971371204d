"""Draw `performance.svg` from a file of results. It runs in the peers' environment, the only one with matplotlib."""

import json
import sys
from math import log10
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "curfew",  # the same results give the same file
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
        "font.size": 10,
    }
)
from matplotlib import pyplot as plt  # noqa: E402  the backend is set first

# Curfew's lines are dark and thick, those of the peers light; a dashed line means server filters.
LINES = {
    "custodian": ("Cloud Custodian", "#c2410c", "-", 1.6),
    "naive": ("tutorial's boto3", "#a16207", "-", 1.6),
    "custodian-filtered": ("Custodian, server filters", "#c2410c", "--", 1.6),
    "report-all": ("Curfew, every instance read", "#1d4ed8", "-", 2.6),
    "floor": ("floor: raw HTTP, pull parser", "#6b7280", "-", 1.2),
    "report": ("Curfew, server filters", "#1d4ed8", "--", 2.6),
    "report-limited": ("Curfew, filters, shipped limit", "#0e7490", "--", 2.6),
    "floor-filtered": ("floor, server filters", "#6b7280", "--", 1.2),
}


def main() -> None:
    """Read the results and write the picture."""
    source, target = map(Path, sys.argv[1:])
    work = {int(size): runs for size, runs in json.loads(source.read_text())["work"].items()}
    sizes = sorted(work)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
    for axis, what, title in (
        (axes[0], "cpu", "CPU seconds of the whole process"),
        (axes[1], "peak", "peak memory, MB"),
    ):
        ends = _draw(axis, work, sizes, what)
        axis.set_title(title, loc="left", fontsize=11, pad=14)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(_plain))
        axis.set_xlabel("instances in the region")
        axis.grid(visible=True, axis="y", color="#e5e7eb", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        _label(axis, ends, sizes[-1])
    figure.savefig(
        target, format="svg", facecolor="white", metadata={"Date": None, "Creator": None}
    )


def _plain(value: float, _position: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _draw(axis: Any, work: dict[int, Any], sizes: list[int], what: str) -> dict[str, float]:
    """Draw the lines, and return the last value of each."""
    ends = {}
    for name, (_, colour, dash, width) in LINES.items():
        points = [
            (size, median(run[what] for run in work[size][name]))
            for size in sizes
            if work[size].get(name)
        ]
        if points:
            axis.plot(
                *zip(*points, strict=True), color=colour, linestyle=dash, linewidth=width, marker="o",
                markersize=4,
            )  # fmt: skip
            ends[name] = points[-1][1]
    return ends


def _label(axis: Any, ends: dict[str, float], last: int) -> None:
    """Write a name at the end of each line, in its colour, and move names apart that would overlap."""
    low, high = map(log10, axis.get_ylim())
    names = sorted(ends, key=ends.__getitem__)
    places = _apart([log10(ends[name]) for name in names], step=(high - low) / 18, most=high)
    for name, place in zip(names, places, strict=True):
        label, colour, *_ = LINES[name]
        end = ends[name]
        axis.annotate(
            f"{label}: {end:,.1f}" if end < 10 else f"{label}: {end:,.0f}",
            xy=(last, end),
            xytext=(last * 1.25, 10**place),
            color=colour,
            fontsize=9,
            va="center",
            annotation_clip=False,
        )


def _apart(places: list[float], *, step: float, most: float) -> list[float]:
    """Return the positions with at least ``step`` between them, each moved as little as possible."""
    moved = list(places)
    for _ in range(200):
        for at in range(len(moved) - 1):
            lack = step - (moved[at + 1] - moved[at])
            if lack > 0:
                moved[at] -= lack / 2
                moved[at + 1] += lack / 2
        if moved and moved[-1] > most:
            moved[-1] = most
    return moved


if __name__ == "__main__":
    main()
