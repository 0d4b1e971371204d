"""How many worlds it takes to detect that a safeguard is disabled: the search, and its table."""

import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from ..simulation.runner import one
from .safeguards import disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The first world that detects a disabled safeguard; ``seed`` is none if no world does."""

    safeguard: str
    worlds: int
    seed: int | None = None
    seen_by: str = ""
    detail: str = ""


def search(safeguard: str, most: int, first: int = 0) -> Detection:
    """Run worlds without the safeguard until one is violated; an exception of a handler detects it as well."""
    with disabled(safeguard):
        for number, seed in enumerate(range(first, first + most), 1):
            _, violations = one(seed)
            if violations:
                shown = violations[0]
                return Detection(
                    safeguard=safeguard,
                    worlds=number,
                    seed=seed,
                    seen_by=f"{shown.letter} {shown.rule.replace('_', ' ')}",
                    detail=shown.detail,
                )
    return Detection(safeguard=safeguard, worlds=most)


def table(safeguards: Iterable[str], *, most: int, jobs: int) -> int:
    """Search for each and print a row; return 1 if one is not detected."""
    work = [(name, most) for name in safeguards]
    unnoticed = 0
    _say(f"{'safeguard disabled':<22}{'worlds':>7}  {'seed':>6}  detected by")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for found in pool.map(_search, work):
            seed = "" if found.seed is None else str(found.seed)
            _say(
                f"{found.safeguard:<22}{found.worlds:>7}  {seed:>6}  {found.seen_by or 'NO CHECKER'}"
            )
            if len(work) == 1 and found.detail:
                _say(f"  {found.detail}")
            unnoticed += found.seed is None
    _say(f"safeguards disabled: {len(work)}, not detected: {unnoticed}")
    return int(bool(unnoticed))


def _search(asked: tuple[str, int]) -> Detection:
    return search(*asked)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
