"""The performance goals of a sweep, as ratios within the rounds of one run, and whether it meets them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .measure import Series
from .pace import seconds as paced
from .startup import ratio

LARGE, SMALL = 100_000, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal: what it compares, its upper bound, the measured ratio, and a note."""

    what: str
    most: float
    measured: float | None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return "met", "not met" or "not measured"."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.most else "not met"


def goals(
    *,
    work: dict[int, Series],
    act: Series | None,
    regions: Series | None,
    startup: dict[str, Any] | None,
) -> list[Goal]:
    """Return all goals, measured at the largest size of this run; growth is relative to the smallest."""
    return [
        *_of_work(work),
        *_of_act(act),
        *_of_regions(regions),
        Goal(
            what="cold start under the runtime emulator ÷ typical function",
            most=0.5,
            measured=ratio(startup["cold"]) if startup and startup["cold"] else None,
        ),
    ]


def _of_work(work: dict[int, Series]) -> Iterator[Goal]:
    size = max(work, default=0)
    at = f"{size:,} instances" + ("" if size == LARGE else f" (the goal is for {LARGE:,})")
    series = work.get(size)
    for peer, most, what in (
        ("custodian", 0.06, "Custodian"),
        ("custodian-filtered", 0.22, "Custodian with server filters"),
    ):
        yield Goal(
            what=f"CPU of a report, server filters ÷ {what}, {at}",
            most=most,
            measured=_ratio(series, "report", peer, "cpu"),
            note=_also(series, "report-limited", peer, "cpu", "within the shipped limit"),
        )
    for peer, most, what in (("naive", 0.22, "naive boto3"), ("floor", 1.35, "floor")):
        yield Goal(
            what=f"CPU, every instance read ÷ {what}, {at}",
            most=most,
            measured=_ratio(series, "report-all", peer, "cpu"),
            note=_also(series, "report-all-limited", peer, "cpu", "within the shipped limit"),
        )
    small = work.get(min(work, default=0))
    own = None
    if series and small and series is not small and series.has("report") and small.has("report"):
        own = series.middle("report", "peak") / small.middle("report", "peak")
    yield Goal(
        what=f"peak memory of a report, {at} ÷ its own at {min(work, default=0):,}",
        most=1.3,
        measured=own,
        note=_growth(series, small),
    )
    yield Goal(
        what=f"peak memory of a report ÷ Custodian's, {at}",
        most=0.06,
        measured=_ratio(series, "report", "custodian", "peak"),
    )


def _of_act(act: Series | None) -> Iterator[Goal]:
    note = ""
    if act and act.has("act"):
        run = act.runs["act"][-1]
        looks = run.calls.get("DescribeInstanceAttribute", 0)
        bound = paced(run.calls, percent=25)
        note = (
            f"{looks:,} of {sum(run.calls.values()):,} calls read protections; no rate limit. "
            f"At a quarter of EC2's rate it takes {bound:,.0f} s at least"
        )
    yield Goal(
        what="wall of an act sweep ÷ Custodian's unverified terminate, 80 ms a call",
        most=0.5,
        measured=_ratio(act, "act", "custodian", "wall"),
        note=note,
    )


def _of_regions(regions: Series | None) -> Iterator[Goal]:
    yield Goal(
        what="wall of 17 regions × 300 instances ÷ Custodian",
        most=0.2,
        measured=_ratio(regions, "report", "custodian", "wall"),
        note=_also(regions, "report-limited", "custodian", "wall", "within the shipped limit"),
    )


def _ratio(series: Series | None, name: str, to: str, what: str) -> float | None:
    if series is None or not (series.has(name) and series.has(to)):
        return None
    return series.ratio(name, to, what)


def _also(series: Series | None, name: str, to: str, what: str, words: str) -> str:
    found = _ratio(series, name, to, what)
    return "" if found is None else f"{found:.3f} {words}"


def _growth(series: Series | None, small: Series | None) -> str:
    if not series or not small or series is small:
        return ""
    ways = (
        ("report-all", "when every instance is read"),
        ("report-none", "when every one is read and none is selected"),
    )
    return ", ".join(
        f"{series.middle(name, 'peak') / small.middle(name, 'peak'):.2f} {how}"
        for name, how in ways
        if series.has(name) and small.has(name)
    )
