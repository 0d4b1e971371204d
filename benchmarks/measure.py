"""Run the programs as processes against one endpoint, in rounds, and compute medians of the kernel's measurements.

Every round runs every case once, in the same order. Ratios compare runs of one round, so that a machine that is slow
for a while does not distort them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from .cases import ROOT, Case, wrong

PATIENCE = 3_600
# The only inherited environment variables: no credentials, no configuration, no proxies.
KEPT = ("HOME", "LANG", "PATH", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: seconds, megabytes, calls by kind, the ledger's units; ``wrong`` describes a wrong selection."""

    wall: float
    cpu: float
    peak: float
    calls: Mapping[str, int]
    most_at_once: int
    reads: float = 0
    writes: float = 0
    wrong: str = ""


@dataclass(slots=True, kw_only=True)
class Series:
    """The runs of several cases, round by round."""

    cases: Sequence[Case]
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Return whether the case ran."""
        return bool(self.runs.get(name))

    def middle(self, name: str, what: str) -> float:
        """Return the median over the rounds."""
        return float(median(getattr(run, what) for run in self.runs[name]))

    def ratio(self, name: str, to: str, what: str) -> float:
        """Return the median of the ratios of the rounds that have both cases."""
        pairs = zip(self.runs[name], self.runs[to], strict=False)
        return float(median(getattr(a, what) / getattr(b, what) for a, b in pairs))

    @property
    def rounds(self) -> str:
        """Return the number of rounds, in words."""
        counts = [len(runs) for runs in self.runs.values()]
        most, least = max(counts), min(counts)
        words = f"{most} round{'s' * (most > 1)}"
        return words if most == least else f"{words}, the slow ones {least}"

    def wrong(self) -> list[str]:
        """Return a line for each wrong run."""
        return [
            f"{name}: {run.wrong}" for name, runs in self.runs.items() for run in runs if run.wrong
        ]

    def plain(self) -> dict[str, list[dict[str, Any]]]:
        """Return the runs as data for a JSON file."""
        return {name: [asdict(run) for run in runs] for name, runs in self.runs.items()}


class Endpoint:
    """A client of the endpoint's process. ``weight`` is the average size of an instance in bytes."""

    def __init__(self, port: int, weight: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.weight = weight

    def ask(self, path: str) -> dict[str, Any]:
        """Request a control path, and return its response."""
        with urlopen(f"{self.url}/_{path}", timeout=PATIENCE) as answer:  # noqa: S310  the endpoint's address
            found: dict[str, Any] = json.load(answer)
            return found

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment variables with which a process uses the endpoint as AWS."""
        return {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "AWS_ACCESS_KEY_ID": "123456789012",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "CURFEW_ROLES": "curfew",  # each call is made with scoped credentials
            "PYTHONWARNINGS": "ignore",
            **more,
        }


@contextmanager
def endpoint(*, size: int, regions: int = 1, latency_ms: float = 0) -> Iterator[Endpoint]:
    """Serve a fleet in a new process until the block ends."""
    options = ["--size", str(size), "--regions", str(regions), "--latency-ms", str(latency_ms)]
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.endpoint", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None  # noqa: S101  Popen has a pipe
        ready = json.loads(server.stdout.readline())
        yield Endpoint(ready["port"], ready["bytes"])
    finally:
        server.terminate()
        server.wait(timeout=60)
        if server.stdout is not None:
            server.stdout.close()


def series(
    cases: Sequence[Case],
    at: Endpoint,
    *,
    rounds: int,
    slow_rounds: int,
    log: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Series:
    """Run all cases in rounds, slow ones in ``slow_rounds``, and return the runs.

    Each case that is not slow runs once before, unmeasured, to load files into memory and let the endpoint render its
    pages.
    """
    found = Series(cases=cases, runs={case.name: [] for case in cases})
    due = at.ask("due")
    due["ids"] = set(due["ids"])
    for case in cases:
        if not case.slow:
            one(case, at, due=due, environment=environment)
    for number in range(rounds):
        for case in cases:
            if case.slow and number >= slow_rounds:
                continue
            run = one(case, at, due=due, environment=environment)
            found.runs[case.name].append(run)
            log(
                f"  round {number + 1}: {case.label}: {run.wall:.2f} s, {run.cpu:.2f} s of CPU"
                + (f", WRONG: {run.wrong}" if run.wrong else "")
            )
    return found


def one(
    case: Case,
    at: Endpoint,
    *,
    due: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run one case on a fleet without terminated instances."""
    env = at.environment(**(environment or {}))
    at.ask("reset")
    if case.before:
        latency = at.ask("latency?ms=0")["before"]
        subprocess.run(
            case.before, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        at.ask(f"latency?ms={latency}")
        at.ask("zero")
    with tempfile.TemporaryDirectory(prefix="curfew-bench-") as folder:
        wall, cpu, peak, code, out = process(case.command, env=env, folder=Path(folder))
    stats = at.ask("stats")
    return Run(
        wall=wall,
        cpu=cpu,
        peak=peak,
        calls=dict(sorted(stats["calls"].items())),
        most_at_once=stats["most_at_once"],
        reads=stats["units"].get("read", 0),
        writes=stats["units"].get("write", 0),
        wrong=wrong(case, code=code, out=out, stats=stats, due=due),
    )


def process(
    command: Sequence[str], *, env: Mapping[str, str], folder: Path
) -> tuple[float, float, float, int, str]:
    """Run a command. Return its wall and CPU seconds, peak memory in MB, exit code and output, children included."""
    words = [str(folder / "out") if word == "{out}" else word for word in command]
    output, errors = folder / "stdout", folder / "stderr"
    with output.open("wb") as out, errors.open("wb") as err:
        begun = time.monotonic()
        child = subprocess.Popen(words, env=dict(env), stdout=out, stderr=err, cwd=folder)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in {0, 3}:
        sys.stderr.write(errors.read_text()[-2_000:])
    cpu = used.ru_utime + used.ru_stime
    return wall, cpu, used.ru_maxrss / 1_024, child.returncode, output.read_text()
