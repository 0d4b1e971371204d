"""The functions as they ship, in a container, driven by what a person types after `make local`."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from mypy_boto3_ec2.client import EC2Client
from mypy_boto3_ec2.type_defs import InstanceTypeDef

from demo.local import IMAGE, PORT
from demo.world import REGION

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".tools" / "bin"
ENDPOINT = f"http://127.0.0.1:{PORT}"
# docker and sam want PATH and HOME. Credentials are hidden: sam would ask the real cloud whose they are, and hand them
# on to the container.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {  # noqa: TID251
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "SAM_CLI_TELEMETRY": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an event leads to: a sweep that acts or not, a launch, or an error of a kind that names a value."""

    acts: bool = False
    ends_leases: bool = False
    launches: int = 0
    error: str = ""
    names: str = ""


# One line per file in events/ that starts a sweep or a launch; a file without one fails. The others are requests of the
# HTTP API, which `sam local start-api` is driven by below.
EXPECTED = {
    "launch_invalid_image.json": Expected(error="RequestError", names="image"),
    "launch_morning.json": Expected(launches=2),
    "launch_scheduled.json": Expected(error="StaleTriggerError", names="2026-03-04T07:00:00"),
    "leases.json": Expected(ends_leases=True),
    "nightly.json": Expected(acts=True),
    "nightly_invalid_key.json": Expected(error="RequestError", names="region"),
    "nightly_invalid_policy.json": Expected(error="RequestError", names="nigthly"),
    "nightly_invalid_region.json": Expected(error="RequestError", names="eu-atlantis-1"),
    "nightly_regions.json": Expected(acts=True),
    "nightly_report.json": Expected(),
    # Its day is past for good.
    "nightly_scheduled.json": Expected(error="StaleTriggerError", names="2026-03-04T01:00:00"),
    "tick.json": Expected(ends_leases=True),
}
EVENTS = sorted(
    path.name for path in (ROOT / "events").glob("*.json") if not path.name.startswith("fleets_")
)
FUNCTIONS = {"launch": "LaunchFunction"}  # by the first word of an event's name; others sweep

# Now and then, SAM's emulator says so before the function has started. The same call again gets its answer.
# Source: https://github.com/aws/aws-sam-cli/issues/3714
SILENT = "No response from invoke container"


@pytest.fixture(scope="module", autouse=True)
def docker() -> None:
    """Skips where no container can run. In CI there is no such place."""
    missing = _what_is_missing()
    if missing and ENVIRONMENT.get("CI"):
        pytest.fail(f"{missing}; CI does not skip this", pytrace=False)
    if missing:
        pytest.skip(missing)


def _what_is_missing() -> str | None:
    if not shutil.which("docker"):
        return "there is no docker on the PATH"
    if _run("docker", "info").returncode:
        return "no Docker daemon answers"
    if _run("docker", "image", "inspect", IMAGE).returncode:
        return f"the runtime image is not here: docker pull {IMAGE}"
    return None


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT | {"PATH": f"{TOOLS}:{ENVIRONMENT['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The cloud of `make local`, seen from outside."""

    ec2: EC2Client

    def instances(self) -> dict[str, InstanceTypeDef]:
        pages = self.ec2.get_paginator("describe_instances").paginate()
        return {
            instance["InstanceId"]: instance
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        }

    def states(self) -> dict[str, str]:
        return {id_: instance["State"]["Name"] for id_, instance in self.instances().items()}

    def leased(self, fleet: str) -> set[str]:
        """What still runs of a fleet, by its tag."""
        return {
            id_
            for id_, instance in self.instances().items()
            if _tags(instance).get("curfew:fleet") == fleet
            and instance["State"]["Name"] in {"pending", "running"}
        }

    def doomed(self) -> set[str]:
        """What the nightly policy has to terminate, worked out again from what the cloud says."""
        return {
            id_
            for id_, instance in self.instances().items()
            if instance["State"]["Name"] == "running"
            and _tags(instance).get("env") in {"dev", "sandbox"}
            and not {"curfew:keep", "aws:autoscaling:groupname"}
            & {key.lower() for key in _tags(instance)}
            and time.time() - instance["LaunchTime"].timestamp() > 15 * 60
            and not self._is_protected(id_)
        }

    def _is_protected(self, id_: str) -> bool:
        ask = self.ec2.describe_instance_attribute
        end = ask(InstanceId=id_, Attribute="disableApiTermination")["DisableApiTermination"]
        stop = ask(InstanceId=id_, Attribute="disableApiStop")["DisableApiStop"]
        return end.get("Value", True) or stop.get("Value", True)


def _tags(instance: InstanceTypeDef) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`make local` and `sam local start-api` listen where they always do, so only one process of the tests has them."""
    with (tmp_path_factory.getbasetemp().parent / "sam-local.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def sandbox(alone: None, tmp_path: Path) -> Iterator[Sandbox]:
    """A fresh sandbox, as `make local` serves it."""
    log = tmp_path / "local.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "demo.local"],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not any(line.startswith("ready") for line in log.read_text().splitlines()):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"demo.local did not get ready:\n{log.read_text()}")
            time.sleep(0.1)
        ec2 = boto3.client(
            "ec2",
            endpoint_url=ENDPOINT,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        yield Sandbox(ec2)
    finally:
        server.terminate()
        server.wait(timeout=30)


def invoke(event: str, *options: str | Path) -> dict[str, Any]:
    """What `sam local invoke` answers; all it needs but the event is in samconfig.toml."""
    function = FUNCTIONS.get(event.partition("_")[0], "SweepFunction")
    command = ("sam", "local", "invoke", function, "--event", f"events/{event}", *options)
    ran = _run(*command)
    if SILENT in ran.stderr:
        ran = _run(*command)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip(), ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return answer


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_leads_to_what_it_should(event: str, sandbox: Sandbox) -> None:
    assert event in EXPECTED, f"events/{event} has no expectation in this test"
    expected = EXPECTED[event]
    before, doomed = sandbox.states(), sandbox.doomed()
    expiring = sandbox.leased("tutorial")
    assert doomed, "the sandbox has nothing to sweep"
    assert expiring, "the sandbox has no lease that ran out"
    assert len(doomed) < sum(state == "running" for state in before.values())

    answer = invoke(event)

    assert answer.get("errorType", "") == expected.error, answer
    assert expected.names in answer.get("errorMessage", "")
    ends = doomed if expected.acts else expiring if expected.ends_leases else set()
    if "nightly" in answer.get("due", {}):  # a tick in the night
        ends = ends | doomed
    after = sandbox.states()
    assert {id_: after[id_] for id_ in before} == before | dict.fromkeys(ends, "terminated")
    assert len(after) - len(before) == expected.launches


def test_a_stack_in_report_mode_terminates_nothing(sandbox: Sandbox) -> None:
    before = sandbox.states()

    answer = invoke("nightly.json", "--parameter-overrides", "Mode=report")

    assert "errorMessage" not in answer, answer
    assert sandbox.states() == before


def test_a_second_sweep_finds_nothing_more_to_do(sandbox: Sandbox) -> None:
    invoke("nightly.json")
    after_the_first = sandbox.states()

    answer = invoke("nightly.json")

    assert "errorMessage" not in answer, answer
    assert sandbox.states() == after_the_first


def test_without_an_endpoint_a_local_event_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    before = sandbox.states()
    env_vars = tmp_path / "env.json"
    env_vars.write_text(json.dumps({"Parameters": {"CURFEW_TABLE": "curfew-ledger"}}))

    answer = invoke("nightly.json", "--env-vars", env_vars)

    assert answer["errorType"] == "ConfigError"
    assert "AWS_ENDPOINT_URL" in answer["errorMessage"]
    assert sandbox.states() == before
