"""How many worlds it takes to miss a belt: the search, and its table."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import get_context

from ..simulation.runner import one
from .safeguards import without


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """The first world in which a belt was missed; ``seed`` is none if it was in no world."""

    belt: str
    worlds: int
    seed: int | None = None
    seen_by: str = ""
    detail: str = ""


def search(belt: str, most: int, first: int = 0) -> Missed:
    """Worlds without the belt until one is violated; a belt whose loss makes a handler raise is missed as well."""
    with without(belt):
        for number, seed in enumerate(range(first, first + most), 1):
            _, violations = one(seed)
            if violations:
                shown = violations[0]
                return Missed(
                    belt=belt,
                    worlds=number,
                    seed=seed,
                    seen_by=f"{shown.letter} {shown.rule.replace('_', ' ')}",
                    detail=shown.detail,
                )
    return Missed(belt=belt, worlds=most)


def table(belts: Iterable[str], *, most: int, jobs: int) -> int:
    """Search for each and print a row; the exit code says whether one was not missed."""
    work = [(belt, most) for belt in belts]
    unnoticed = 0
    _say(f"{'belt taken out':<22}{'worlds':>7}  {'seed':>6}  seen by")
    with get_context("spawn").Pool(jobs) as pool:
        for found in pool.imap(_search, work):
            seed = "" if found.seed is None else str(found.seed)
            _say(f"{found.belt:<22}{found.worlds:>7}  {seed:>6}  {found.seen_by or 'NOBODY'}")
            if len(work) == 1 and found.detail:
                _say(f"  {found.detail}")
            unnoticed += found.seed is None
    _say(f"belts taken out: {len(work)}, not missed: {unnoticed}")
    return int(bool(unnoticed))


def _search(asked: tuple[str, int]) -> Missed:
    return search(*asked)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
