"""Where a sweep spends CPU time: the own time of functions in one profiled run, by the code's owner.

The profiler makes calls slower.
"""

import pstats
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .measure import Endpoint

# The first match is the owner: a part of the file's name, or of the function's if there is no file.
OWNERS = (
    ("Curfew", ("/curfew/",)),
    ("botocore's parser", ("botocore/parsers.py", "dateutil", "xml/etree", "ElementTree", "XMLParser", "pyexpat")),
    ("the rest of botocore", ("botocore", "boto3", "jmespath", "s3transfer")),
    ("HTTP", ("urllib3", "http/client", "socket", "ssl", "email/", "select")),
    ("imports", ("importlib", "marshal", "imp.", "posix.stat", "builtins.exec", "io.open_code")),
    ("the terminal, YAML, pydantic", ("typer", "click", "rich", "yaml", "pydantic", "json/")),
)  # fmt: skip
CONTINUATION = "the interpreter and others"


def profile(command: Sequence[str], at: Endpoint) -> dict[str, float]:
    """Profile a command that begins with the interpreter. Return each owner's share of the time, largest first."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "profile"
        at.ask("reset")
        subprocess.run(
            [sys.executable, "-m", "cProfile", "-o", str(file), *command[1:]],
            env=at.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        spent: Counter[str] = Counter()
        stats = pstats.Stats(str(file))
        for (name, _, function), (_, _, own, _, _) in vars(stats)["stats"].items():
            spent[_owner(f"{name} {function}")] += own
    whole = spent.total() or 1.0
    return {owner: seconds / whole for owner, seconds in spent.most_common()}


def _owner(place: str) -> str:
    for owner, signs in OWNERS:
        if any(sign in place for sign in signs):
            return owner
    return CONTINUATION
