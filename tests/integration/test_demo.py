"""Every row of the demo's table is correct."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The number of rows with each name, verdict, rule and outcome.
EXPECTED = Counter(
    {
        ("t2-pair", "terminate", "selected", "verified"): 2,
        ("forgotten", "terminate", "selected", "verified"): 3,
        ("kept-by-tag", "keep", "protect-tag", "kept"): 1,
        ("termination-protected", "keep", "termination-protection", "kept"): 1,
        ("stop-protected", "keep", "stop-protection", "kept"): 1,
        ("just-started", "keep", "min-age", "kept"): 1,
        ("worker", "keep", "auto-scaling-group", "kept"): 2,
        ("stopped", "keep", "not-selected", "not a candidate"): 1,
        ("production", "keep", "not-selected", "not a candidate"): 2,
        ("", "keep", "not-selected", "not a candidate"): 2,
    }
)
ROW = re.compile(
    r"^i-[0-9a-f]{17}\s+(?P<name>\S*)\s+(?P<verdict>terminate|keep)\s+(?P<rule>[a-z-]+): .*?\s{2,}"
    r"(?P<outcome>verified|kept|not a candidate)"
)


@pytest.fixture(scope="module")
def shown() -> str:
    """Return the output of `make demo` from a new process that inherits no environment variable except PATH."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "functions"}  # noqa: TID251
    ran = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return ran.stdout


def test_the_table_has_every_instance_with_its_verdict_reason_and_outcome(shown: str) -> None:
    rows = Counter(
        (row["name"], row["verdict"], row["rule"], row["outcome"])
        for line in shown.splitlines()
        if (row := ROW.match(line))
    )
    assert rows == EXPECTED
    assert "5 to act on, 5 verified, 6 kept" in shown
    _, _, runs = shown.partition("What still runs:")
    still = Counter(line.split(maxsplit=1)[1] for line in runs.splitlines() if "i-" in line)
    assert still == {
        "kept-by-tag": 1, "termination-protected": 1, "stop-protected": 1, "just-started": 1,
        "worker": 2, "production": 2, "(no name)": 2,
    }  # fmt: skip


def test_a_fleet_lives_from_its_launch_over_http_to_the_end_of_its_lease(shown: str) -> None:
    story, _, _ = shown.partition("events/nightly.json")
    moments = re.findall(r"^\d\d:\d\d\s+(.+?)\s{2,}(.+?)\s*$", story, re.MULTILINE)
    one_line = re.sub(r"\s+", " ", story)

    assert [asked for asked, _ in moments] == [
        "POST /fleets",
        "POST /fleets, again with the same key",
        'PATCH /fleets/lab {"ttl": "4h"}',
        'sweep "leases"',
        'sweep "leases"',
        "GET /fleets/lab",
    ]
    first, again, renewed, before, _, after = (answer for _, answer in moments)
    assert first.startswith("201, launched: i-")
    assert again == first.replace("201", "200")
    assert renewed.startswith("200, until ")
    assert before == "nothing has run out"
    assert after.startswith("200, ended at ")
    pair = set(re.findall(r"i-[0-9a-f]{17}", first))
    assert len(pair) == 2
    assert set(re.findall(r"terminate (i-[0-9a-f]{17}): .*?: verified", one_line)) == pair
