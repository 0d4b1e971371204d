"""A rehearsal: the seed determines the output, it runs nights for every policy, and reaches no real cloud."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_socket import SocketBlockedError, disable_socket

from curfew.cli import commands, plugins
from curfew.cli.output import Exit
from curfew.config.policy_file import load
from curfew.config.settings import SHIPPED_POLICIES
from curfew.core.errors import ConfigError
from curfew_simulator.checkers.rule import Finding
from curfew_simulator.cloud.history import Change
from curfew_simulator.rehearsal.outcome import Outcome
from curfew_simulator.rehearsal.promises import PROMISES, judged
from curfew_simulator.rehearsal.runner import Rehearsal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHIPPED = str(SHIPPED_POLICIES)
WHIMSICAL = """
timezone: America/New_York
protect: { tags: [Keep-Me, do not touch], min_age: 1h }
limits: { per_sweep: 4, percent: 30, per_day: 5 }
policies:
  gpu:
    select:
      states: [running, pending]
      instance_types: [p5.*, "g?.*"]
      tags: { branch: { like: [pr-*, "?x"] }, env: dev }
      regions: [us-east-1, eu-west-1]
    older_than: 2h
    action: terminate
  named:
    select: { states: [running], with_tags: [Name, temp], without_tags: [Owner, cost-center] }
    action: stop
  leases:
    select: { lease: expired }
    action: terminate
    limits: { per_sweep: 50, percent: 100 }
  nobody:
    select: { states: [stopped], without_tags: owner }
    action: terminate
    limits: { per_sweep: 0 }
fleets:
  lab:
    image: resolve:ssm:/lab/image
    instance_types: [p5.48xlarge, t3.micro]
    subnets: [subnet-12345678, subnet-87654321]
    security_groups: sg-12345678
    profile: lab
    market: spot
    count: { default: 1, max: 1 }
    ttl: { default: 30m, max: 1h }
"""
STRANGE = """
policies:
  abroad:
    select: { states: [stopped, stopping], instance_types: ["*.metal", "x?e.*"], regions: [af-south-1, me-south-1] }
    action: terminate
  expired:
    select: { lease: expired, states: running, tags: { env: { like: "*" } } }
    action: terminate
  nameless:
    select: { states: running, without_tags: [Name, "odd key"] }
    action: stop
    older_than: 52w
  odd:
    select: { states: running, tags: { "U\u0308": ["", "\\e[2J[bold]", "x*y"] } }
    action: terminate
"""
SMALL = ("--nights", "2", "--instances", "25")

type Ran = tuple[int, str, str]
type Run = Callable[..., Ran]


@pytest.fixture
def rehearse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``curfew rehearse``, and returns its exit code, output and errors."""

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["curfew", "rehearse", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            commands.main()
        printed = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), printed.out, printed.err

    return run


@pytest.fixture
def whimsical(tmp_path: Path) -> str:
    path = tmp_path / "whimsical.yaml"
    path.write_text(WHIMSICAL)
    return str(path)


@pytest.fixture(scope="module")
def calm() -> Rehearsal:
    """Return a rehearsal of the shipped file in calm nights, with many instances."""
    return rehearsed(SHIPPED, faults="calm", instances=60)


def rehearsed(file: str, seed: int = 1, faults: str = "harsh", **more: int) -> Rehearsal:
    sizes = {"nights": 2, "instances": 25} | more
    rehearsal = Rehearsal(load(Path(file)), seed=seed, faults=faults, **sizes)
    rehearsal.run()
    return rehearsal


def joined(out: str) -> str:
    """Return the output without line breaks."""
    return " ".join(out.split())


def test_the_same_seed_has_the_same_output(rehearse: Run) -> None:
    words = (SHIPPED, "--seed", "7", "--faults", "harsh", *SMALL)

    assert rehearse(*words) == rehearse(*words)


def test_another_process_has_the_same_output() -> None:
    script = (
        "import sys; from curfew.cli.commands import main; "
        f"sys.argv = ['curfew', 'rehearse', {SHIPPED!r}, '--seed', '7', '--json', '--nights', '1']; main()"
    )
    path = os.pathsep.join(map(str, sys.path))

    ran = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert ran[0] == ran[1]
    assert json.loads(ran[0])["violations"] == []


def test_page_of_simulator_shows_real_output(
    rehearse: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "simulator.md").read_text()
    shown = page.partition("curfew rehearse functions/curfew.yaml")[2]
    words, _, rest = shown.partition("\n")
    printed, _, _ = rest.partition("\n```")
    before, _, after = printed.partition("\n  …\n")

    _, out, _ = rehearse("functions/curfew.yaml", *words.split())

    real = "\n".join(map(str.rstrip, out.splitlines()))
    assert real.startswith(before)
    assert real.endswith(after)


def test_another_seed_is_another_world(rehearse: Run) -> None:
    _, one, _ = rehearse(SHIPPED, "--seed", "1", *SMALL)
    _, other, _ = rehearse(SHIPPED, "--seed", "2", *SMALL)

    assert one != other


def test_every_policy_of_the_file_is_rehearsed_every_night(rehearse: Run, whimsical: str) -> None:
    code, out, _ = rehearse(whimsical, "--seed", "1", "--json", *SMALL)

    found = json.loads(out)
    assert code == Exit.OK
    for night in found["nights"]:
        assert [p["policy"] for p in night["policies"]] == ["gpu", "named", "leases", "nobody"]
    gpu = [s["region"] for n in found["nights"] for s in n["policies"][0]["sweeps"]]
    assert set(gpu) == {"us-east-1", "eu-west-1"}


@pytest.mark.parametrize("seed", range(20))
def test_shipped_file_terminates_no_instance_that_should_be_kept(seed: int) -> None:
    rehearsal = rehearsed(SHIPPED, seed, instances=20)

    assert judged(rehearsal.history()) == []
    assert rehearsal.world.faults.injected.total() > 20


@pytest.mark.parametrize("faults", ["calm", "rough", "harsh"])
def test_file_with_every_condition_terminates_no_instance_to_keep(
    whimsical: str, faults: str
) -> None:
    assert judged(rehearsed(whimsical, 3, faults, instances=80).history()) == []


def test_a_file_with_strange_words_is_rehearsed_too(tmp_path: Path) -> None:
    """The file has an opt-in region, regions too small for percentages, and characters that no tag may have."""
    path = tmp_path / "strange.yaml"
    path.write_text(STRANGE)

    for seed in range(3):
        outcome = Outcome.of(rehearsed(str(path), seed, "rough", instances=60))

        assert outcome.violations == []
        assert outcome.terminated["abroad"] > 0


def test_every_policy_finds_its_instances_in_calm_nights(calm: Rehearsal) -> None:
    outcome = Outcome.of(calm)

    assert outcome.terminated["nightly"] > 0
    assert outcome.stopped["ownerless"] > 0
    rules = {row["rule"] for night in outcome.nights for s in night.sweeps for row in s.rows}
    assert rules >= {"protect-tag", "leased", "auto-scaling-group", "min-age"}
    assert rules & {"termination-protection", "stop-protection"}
    assert outcome.faults.total() == 0


def test_a_lease_that_has_run_out_ends_its_fleet(whimsical: str) -> None:
    rehearsal = rehearsed(whimsical, faults="calm")

    assert not rehearsal.unlaunched
    assert Outcome.of(rehearsal).terminated["leases"] == 2


def test_limits_take_effect_and_are_shown(rehearse: Run, whimsical: str) -> None:
    code, out, _ = rehearse(whimsical, "--faults", "calm", "--seed", "1", *SMALL)

    assert code == Exit.OK
    assert "nobody in eu-central-1: refused" in out
    assert "limit-per-sweep" in out
    assert "a sweep may have 0" in joined(out)


def test_the_last_lines_are_for_people(rehearse: Run) -> None:
    _, out, _ = rehearse(SHIPPED, "--seed", "7", *SMALL)

    *_, violations, verdict = out.splitlines()
    assert violations == "violations: 0"
    assert verdict.startswith("2 nights, ")
    assert verdict.endswith(", 0 that should have been kept")


def test_what_the_cloud_did_is_counted_by_kind(rehearse: Run) -> None:
    _, out, _ = rehearse(SHIPPED, "--seed", "7", "--json", *SMALL)

    faults = [night["faults"] for night in json.loads(out)["nights"]]
    assert all(set(night) >= {"stale", "throttled"} for night in faults)


# The checks can fail: they check a rehearsal by another file than the one that it ran with.


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (("min_age: 15m", "min_age: 52w"), "no protected instance"),
        (("env: [dev, sandbox]", "env: [nothing]"), "that the policy does not mean"),
        (("per_sweep: 20", "per_sweep: 1"), "no sweep goes beyond its limits"),
        (("percent: 50", "percent: 1"), "no sweep goes beyond its limits"),
        (("per_day: 50", "per_day: 0"), "no day goes beyond its limit"),
    ],
)
def test_a_promise_that_is_broken_is_seen(
    calm: Rehearsal,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    change: tuple[str, str],
    broken: str,
) -> None:
    stricter = tmp_path / "stricter.yaml"
    assert change[0] in SHIPPED_POLICIES.read_text()
    stricter.write_text(SHIPPED_POLICIES.read_text().replace(*change))
    assert judged(calm.history()) == []

    monkeypatch.setattr(calm, "policies", load(stricter))

    assert any(broken in str(violation) for violation in judged(calm.history()))


def test_instances_that_should_have_been_kept_are_counted(
    calm: Rehearsal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(SHIPPED_POLICIES.read_text().replace("min_age: 15m", "min_age: 52w"))
    monkeypatch.setattr(calm, "policies", load(stricter))

    outcome = Outcome.of(calm)

    history = calm.world.history
    assert outcome.wronged
    assert outcome.wronged <= {*history.of(Change.TERMINATED), *history.of(Change.STOPPED)}
    assert outcome.verdict.endswith(f", {len(outcome.wronged)} that should have been kept")


def test_broken_promise_is_reported_and_fails_the_command(
    rehearse: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROMISES, "it never rains", (lambda _: iter([Finding("drops", "i-1")]),))

    code, out, _ = rehearse(SHIPPED, "--nights", "1", "--instances", "5")

    assert code == Exit.FAILED
    assert "broken 1x" in out
    assert "VIOLATION it never rains: drops" in out
    assert out.splitlines()[-2] == "violations: 1"
    assert out.endswith(", 1 that should have been kept\n")


# Errors before it begins.


def test_an_invalid_file_is_refused_with_its_line(rehearse: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SHIPPED_POLICIES.read_text().replace("min_age: 15m", "min_age: 0m"))
    line = SHIPPED_POLICIES.read_text().splitlines().index("  min_age: 15m") + 1

    code, out, err = rehearse(str(path))

    assert code == Exit.INVALID
    assert out == ""
    assert f"bad.yaml:{line}: protect.min_age" in joined(err)


def test_faults_that_there_are_not_are_refused(rehearse: Run) -> None:
    code, _, err = rehearse(SHIPPED, "--faults", "apocalyptic")

    assert code == Exit.INVALID
    assert "harsh" in err


def test_without_the_extra_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"pip install '\.\[dance\]' in a checkout"):
        plugins.command("dance")


# Nothing real.


def test_nothing_of_this_machine_is_read_and_no_socket_is_opened(
    rehearse: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = (SHIPPED, "--seed", "7", "--json", *SMALL)
    _, expected, _ = rehearse(*words)
    config = tmp_path / "config"
    config.write_text("this is [no configuration")
    hostile = {
        "AWS_PROFILE": "production",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(config),
        "AWS_ENDPOINT_URL": "https://ec2.example.com",
        "AWS_MAX_ATTEMPTS": "many",
        "AWS_RETRY_MODE": "never",
        "AWS_REGION": "nowhere",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SAM_LOCAL": "true",
        "CURFEW_MODE": "whatever",
        "CURFEW_TABLE": "real-ledger",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    disable_socket()  # all sockets, loopback included

    code, out, _ = rehearse(*words)

    with pytest.raises((SocketBlockedError, UserWarning)):  # it was blocked indeed
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    assert code == Exit.OK
    assert out == expected
    assert {name: os.environ[name] for name in hostile} == hostile  # noqa: TID251  put back as it was


def test_a_rehearsal_writes_nothing_but_its_output(rehearse: Run) -> None:
    _, out, err = rehearse(SHIPPED, "--seed", "7", "--json", *SMALL)

    found: Any = json.loads(out)
    assert found["seed"] == 7
    assert err == ""
