"""``python -m curfew_simulator.ablation``: disable each safeguard, or one, until a world detects that it is missing."""

import argparse
import sys

from . import safeguards, search


def main() -> int:
    """Search, print a row for each safeguard, and return the exit code: 1 if a disabled safeguard was not detected."""
    parser = argparse.ArgumentParser(
        prog="python -m curfew_simulator.ablation", description=__doc__
    )
    parser.add_argument(
        "--without", choices=sorted(safeguards.SIMULATED), help="disable only this safeguard"
    )
    parser.add_argument(
        "--most", type=int, default=1_500, help="worlds for a safeguard to be detected in"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many processes")
    asked = parser.parse_args()
    names = [asked.without] if asked.without else [*safeguards.SIMULATED]
    return search.table(names, most=asked.most, jobs=asked.jobs)


if __name__ == "__main__":
    sys.exit(main())
