"""Write the results into `docs/performance.md`, between its two marks."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from .cases import ROOT

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- measured: `make bench PUBLISH=1` writes from here -->", "<!-- to here -->"


def publish(text: str, picture: Path) -> None:
    """Copy the tables and the picture into the documentation."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}")
    if picture.exists():
        PICTURE.write_bytes(picture.read_bytes())


def machine() -> str:
    """Return a line that describes the machine and the versions of the measured software."""
    peers = subprocess.run(
        [
            str(ROOT / ".peers" / "bin" / "python"),
            "-c",
            "import c7n.version as v; print(v.version)",
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} shared cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"botocore {version('botocore')}, c7n {peers}"
    )


def commit() -> str:
    """Return the present commit, or an empty text outside of a clone."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()
