"""Writes the OpenAPI document of the API, or checks that the one which is there is no other.

python -m tools.openapi [--check] docs/openapi.json
"""

import sys
from pathlib import Path

from curfew.handlers.http.openapi import document
from curfew.handlers.http_api import api


def main(arguments: list[str]) -> int:
    """Write, or check; the exit status."""
    check = "--check" in arguments
    (place,) = (Path(argument) for argument in arguments if argument != "--check")
    made = document(api)
    if not check:
        place.write_text(made, "utf-8")
        return 0
    if place.exists() and place.read_text("utf-8") == made:
        return 0
    sys.stderr.write(f"{place} is stale: run `python -m tools.openapi {place}`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
