"""Measure start-up: imports and the first client, and a cold start under Lambda's runtime emulator.

Compare Curfew to a typical function with Powertools and boto3, both as `sam build` leaves them. ``/var/task`` is
read-only in Lambda, so this measurement stores no compiled files either.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import Request, urlopen

from .cases import POLICIES, ROOT, TABLE
from .measure import Endpoint, process

BUILT = ROOT / ".aws-sam" / "build" / "SweepFunction"
TYPICAL = ROOT / ".cache" / "bench" / "typical"
IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"
REGION = "us-east-1"
EVENT = {"policy": "filtered", "mode": "report"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A built function: its folder, its handler, and a program that runs until it has its first client."""

    name: str
    label: str
    folder: Path
    handler: str
    program: str


NOTHING = Function(name="nothing", label="interpreter alone", folder=BUILT, handler="", program="")
CURFEW = Function(
    name="curfew",
    label="Curfew's sweep",
    folder=BUILT,
    handler="curfew.handlers.sweep.handler",
    program=f"import curfew.handlers.sweep; from curfew import bootstrap; bootstrap.app().provider('{REGION}')",
)
USUAL = Function(
    name="typical",
    label="typical function",
    folder=TYPICAL / "TypicalFunction",
    handler="app.handler",
    program="import app",
)


def build(log: Callable[[str], None]) -> None:
    """Build the typical function with `sam build`, unless the build has the present requirements."""
    source = ROOT / "benchmarks" / "typical"
    if (USUAL.folder / "app.py").exists():
        lock = (source / "requirements.txt").read_bytes()
        if (USUAL.folder / "requirements.txt").read_bytes() == lock:
            return
    log("building the typical function")
    command = ("sam", "build", "--template", str(source / "template.yaml"))
    tools = f"{ROOT / '.tools' / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    subprocess.run(
        [shutil.which("sam", path=tools) or "sam", *command[1:], "--build-dir", str(TYPICAL)],
        cwd=ROOT,
        env={"PATH": tools, "HOME": str(Path.home()), "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        check=True,
    )


def first_client(at: Endpoint, *, rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds until the first client for each program and round, the interpreter's included."""
    found: dict[str, list[float]] = {one.name: [] for one in (NOTHING, CURFEW, USUAL)}
    env = at.environment(**_settings())
    for number in range(rounds + 1):
        for one in (NOTHING, CURFEW, USUAL):
            program = f"import sys; sys.path.insert(0, {str(one.folder)!r}); {one.program}"
            command = (sys.executable, "-I", "-S", "-B", "-c", program)
            with tempfile.TemporaryDirectory() as folder:
                _, cpu, _, code, _ = process(command, env=env, folder=Path(folder))
            if code:
                raise RuntimeError(f"{one.label} did not start")
            if number:  # the first brings the files into memory
                found[one.name].append(cpu)
    return found


def cold_starts(at: Endpoint, *, rounds: int, log: Callable[[str], None]) -> dict[str, list[float]]:
    """Return the seconds from request to response of first invocations, each in a new container.

    Each lists the endpoint's instances once. The result is empty without Docker, the runtime image or the emulator.
    """
    if problem := _missing():
        log(f"no cold starts are measured: {problem}")
        return {}
    found: dict[str, list[float]] = {one.name: [] for one in (CURFEW, USUAL)}
    for number in range(rounds + 1):
        for one in (CURFEW, USUAL):
            seconds = _cold_start(one, at)
            if number:
                found[one.name].append(seconds)
                log(f"  round {number}: {one.label}: {seconds * 1_000:.0f} ms")
    return found


def over_nothing(cpu: dict[str, list[float]], name: str) -> float:
    """Return the median of a function's CPU seconds minus those of an interpreter that does nothing."""
    return median(a - b for a, b in zip(cpu[name], cpu["nothing"], strict=True))


def ratio(measured: dict[str, list[float]], *, base: str = "") -> float:
    """Return the median ratio of Curfew to the typical function within the rounds, each minus ``base`` if given."""
    less = measured[base] if base else [0.0] * len(measured["curfew"])
    each = zip(measured["curfew"], measured["typical"], less, strict=True)
    return median((ours - zero) / (theirs - zero) for ours, theirs, zero in each)


def _settings() -> dict[str, str]:
    return {
        "CURFEW_POLICIES": str(POLICIES),
        "CURFEW_TABLE": TABLE,
        "POWERTOOLS_METRICS_NAMESPACE": "bench",
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


def _missing() -> str:
    if not shutil.which("docker"):
        return "there is no docker"
    if _docker("info").returncode:
        return "no Docker daemon answers"
    if _docker("image", "inspect", IMAGE).returncode:
        return f"the image {IMAGE} is not here"
    return "" if _emulator() else "SAM has no emulator for this machine"


def _emulator() -> Path | None:
    return next(ROOT.glob(".tools/lib/python3*/site-packages/samcli/local/rapid/*-x86_64"), None)


def _cold_start(function: Function, at: Endpoint) -> float:
    port, api = _free_ports(2)
    settings = at.environment(**_settings()) | {
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "CURFEW_POLICIES": "/policies.yaml",
    }
    emulator = _emulator()
    mounts = (
        f"{function.folder}:/var/task:ro",
        f"{emulator}:/rie:ro",
        f"{POLICIES}:/policies.yaml:ro",
    )
    words = [word for mount in mounts for word in ("--volume", mount)]
    words += [
        word
        for name, value in settings.items()
        if name not in {"HOME", "PATH", "TMPDIR"}
        for word in ("--env", f"{name}={value}")
    ]
    # On the host's network, since the endpoint and both ports of the emulator listen only on the loopback.
    started = _docker(
        "run", "--detach", "--rm", "--network", "host", *words, "--entrypoint", "/rie", IMAGE,
        "--log-level", "error",
        "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
        "--runtime-api-address", f"127.0.0.1:{api}",
        "/var/runtime/bootstrap", function.handler,
    )  # fmt: skip
    container = started.stdout.strip()
    if started.returncode:
        raise RuntimeError(f"{function.label}: {started.stderr.strip()}")
    try:
        return _invoked(port, function)
    finally:
        _docker("kill", container)


def _invoked(port: int, function: Function) -> float:
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    request = Request(url, data=json.dumps(EVENT).encode())
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{function.label}: the emulator did not start") from None
            time.sleep(0.05)
    time.sleep(0.2)
    begun = time.monotonic()
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310  the loopback address
            said = answer.read().decode()
    except URLError as error:
        raise RuntimeError(f"{function.label}: {error}") from None
    seconds = time.monotonic() - begun
    if "errorMessage" in said:
        raise RuntimeError(f"{function.label}: {said[:500]}")
    return seconds


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
