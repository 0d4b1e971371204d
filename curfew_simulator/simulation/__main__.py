"""``python -m curfew_simulator.simulation``: run worlds, or replay one by its seed."""

import argparse
import secrets
import sys
import time
from collections import Counter

from ..cloud.faults import PROFILES
from .runner import Broken, Sum, many, one

SHOWN = 5  # worlds with a violation


def main() -> int:
    """Run, print, and say by the exit code whether anything was violated."""
    asked = _parser().parse_args()
    if asked.seed is not None:
        generator, violations = one(asked.seed, asked.faults)
        _print(*generator.log, "", *(f"VIOLATION {v}" for v in violations))
        _print(f"violations: {len(violations)}")
        return int(bool(violations))
    first = secrets.randbelow(10**9) if asked.fresh else asked.seed_from
    begun = time.monotonic()
    found = many(
        range(first, first + asked.count), faults=asked.faults, jobs=asked.jobs, report=_progress
    )
    _sum(found, first, time.monotonic() - begun)
    return int(bool(found.broken))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m curfew_simulator.simulation", description=__doc__
    )
    parser.add_argument("--count", type=int, default=1_000, help="how many worlds")
    parser.add_argument("--seed-from", type=int, default=0, help="the first one's seed")
    parser.add_argument("--fresh", action="store_true", help="begin with a fresh seed")
    parser.add_argument("--seed", type=int, help="one world, step by step")
    parser.add_argument(
        "--faults", choices=sorted(PROFILES), default="", help="else as the seed has it"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many processes")
    return parser


def _progress(found: Sum) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{found.worlds} worlds, {len(found.broken)} violated ")
        sys.stderr.flush()


def _sum(found: Sum, first: int, seconds: float) -> None:
    for broken in sorted(found.broken, key=lambda b: b.seed)[:SHOWN]:
        _story(broken)
    if found.broken:
        _print("seeds of all worlds with a violation:")
        _print("  " + " ".join(str(broken.seed) for broken in found.broken))
    _print(
        f"worlds run:      {found.worlds}, from seed {first} on ({_counts(found.kinds)})",
        f"invocations:     {found.invocations.total()} ({_counts(found.invocations)})",
        f"calls seen:      {found.calls.total()} ({_counts(found.calls)})",
        f"effects:         {found.effects.total()} ({_counts(found.effects)})",
        f"faults injected: {found.faults.total()} ({_counts(found.faults)})",
        f"took:            {seconds:.0f} s, {1_000 * found.seconds / max(found.worlds, 1):.0f} ms of CPU a world",
        f"violations: {sum(len(broken.violations) for broken in found.broken)}",
    )


def _story(broken: Broken) -> None:
    _print(f"seed {broken.seed}:", *(f"  {line}" for line in broken.log))
    _print(*(f"  VIOLATION {violation}" for violation in broken.violations))
    _print(f"  again: python -m curfew_simulator.simulation --seed {broken.seed}", "")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
