"""The CLI: its output, its effects and its exit codes, on an emulated cloud."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from curfew.cli import commands
from curfew.cli.output import Exit
from curfew.config.settings import SHIPPED_POLICIES
from demo import world
from tests.demo_world import demo_world, ledger_items

pytestmark = pytest.mark.slow

SHIPPED = str(SHIPPED_POLICIES)
DOOMED = {"forgotten": 3, "(tutorial)": 2}
# The shipped policies with one thing changed.
TOO_FEW = ("per_sweep: 20", "per_sweep: 4")


@dataclass(frozen=True, slots=True)
class Ran:
    """The output and exit code of a command."""

    code: int
    out: str
    err: str

    @property
    def error_text(self) -> str:
        """Return the message on stderr without line breaks."""
        return " ".join(self.err.split())


type Run = Callable[..., Ran]


class Terminal(io.StringIO):
    """A terminal with this typed input."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def curfew(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``curfew`` with these words; with ``typed``, at a terminal."""

    def run(*words: str, typed: str | None = None) -> Ran:
        monkeypatch.setattr(sys, "argv", ["curfew", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            commands.main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Ran(code=code if isinstance(code, int) else 0, out=printed.out, err=printed.err)

    return run


@pytest.fixture(scope="module")
def ensure_fleets() -> Iterator[Callable[[], None]]:
    with demo_world() as ensure:
        yield ensure


@pytest.fixture
def cloud(ensure_fleets: Callable[[], None]) -> Any:
    """Provide the demo's fleets, and return an EC2 client to read them."""
    ensure_fleets()
    return boto3.client("ec2", world.REGION)


@pytest.fixture
def stern(tmp_path: Path) -> str:
    """Return a policy file whose limit is one below the number of actions."""
    path = tmp_path / "stern.yaml"
    text = SHIPPED_POLICIES.read_text()
    assert TOO_FEW[0] in text
    path.write_text(text.replace(*TOO_FEW))
    return str(path)


def states(ec2: Any) -> dict[str, str]:
    """Return the state of every instance by id."""
    return {
        instance["InstanceId"]: instance["State"]["Name"]
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }


def named(ec2: Any, state: str) -> dict[str, int]:
    """Return how many instances of each name are in the state."""
    counts: dict[str, int] = {}
    for page in ec2.get_paginator("describe_instances").paginate():
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
                name = "(tutorial)" if "curfew:fleet" in tags else tags.get("Name", "")
                if instance["State"]["Name"] == state:
                    counts[name] = counts.get(name, 0) + 1
    return counts


def audit_kinds() -> list[str]:
    """Return the kinds of the audit's entries; the launches of the demo's fleets come first."""
    kinds = sorted(item["kind"]["S"] for item in ledger_items() if "kind" in item)
    return [kind for kind in kinds if kind != "event"]


# check


def test_check_says_what_a_valid_file_means(curfew: Run) -> None:
    ran = curfew("check", SHIPPED)

    assert ran.code == Exit.OK
    assert "nightly" in ran.out
    assert "running; env = dev or sandbox" in ran.out
    assert "no owner" in ran.out
    assert "older than 3d" in ran.out
    assert "is valid (version " in " ".join(ran.out.split())
    assert ran.err == ""


def test_check_finds_the_file_by_itself(
    curfew: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "curfew.yaml").write_text(SHIPPED_POLICIES.read_text())

    assert curfew("check").code == Exit.OK


def test_check_refuses_an_invalid_file_with_line_and_key(curfew: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SHIPPED_POLICIES.read_text().replace("min_age: 15m", "min_age: 0m"))
    line = SHIPPED_POLICIES.read_text().splitlines().index("  min_age: 15m") + 1

    ran = curfew("check", str(path))

    assert ran.code == Exit.INVALID
    assert ran.out == ""
    assert f'bad.yaml:{line}: protect.min_age "0m" is not a duration' in ran.error_text


def test_check_refuses_a_missing_file_by_its_name(curfew: Run, tmp_path: Path) -> None:
    ran = curfew("check", str(tmp_path / "nowhere.yaml"))

    assert ran.code == Exit.INVALID
    assert "nowhere.yaml: cannot be read: No such file or directory" in ran.error_text


def test_check_says_each_fault_on_a_line_of_its_own(curfew: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("timezne: UTC\npolices: {}\n")

    ran = curfew("check", str(path))

    assert ran.code == Exit.INVALID
    assert [line.removeprefix(f"{path}:").split(" ")[1] for line in ran.err.splitlines()] == [
        "policies",
        "timezne",
        "polices",
    ]


def test_hostile_file_sends_no_terminal_escape(curfew: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text('timezone: "\\e[2J[bold]x[/bold]"\npolicies: {}\n')

    ran = curfew("check", str(path))

    assert ran.code == Exit.INVALID
    assert "\x1b" not in ran.err
    assert "\\x1b[2J[bold]x[/bold]" in ran.error_text


# sweep, in report mode


def test_a_sweep_without_act_shows_the_table_and_changes_nothing(curfew: Run, cloud: Any) -> None:
    before = states(cloud)

    ran = curfew("sweep", "--file", SHIPPED, "--table", world.TABLE)

    assert ran.code == Exit.OK
    assert states(cloud) == before
    assert audit_kinds() == []
    assert ran.out.count(" planned") == 5
    for rule in (
        "protect-tag: has the tag Curfew:Keep",
        "termination-protection: has termination protection",
        "stop-protection: has stop protection",
        "auto-scaling-group: belongs to the Auto Scaling group workers",
        "min-age: started 4m",
    ):
        assert rule in " ".join(ran.out.split())
    assert "production" not in ran.out
    assert "5 to act on" in ran.out
    assert "Nothing was changed: this is a report." in ran.out


def test_a_stacks_mode_does_not_make_a_terminal_act(
    curfew: Run, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURFEW_MODE", "act")
    before = states(cloud)

    ran = curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--yes")

    assert ran.code == Exit.OK
    assert states(cloud) == before


def test_a_report_needs_no_ledger_and_says_what_it_lacks(curfew: Run, cloud: Any) -> None:
    written = ledger_items()

    ran = curfew("sweep", "--file", SHIPPED)

    assert ran.code == Exit.OK
    assert "Without a ledger (--table), ages count from the last start only." in ran.out
    assert ledger_items() == written


def test_json_is_json_and_nothing_else(curfew: Run, cloud: Any) -> None:
    ran = curfew("sweep", "--file", SHIPPED, "--json")

    (sweep,) = json.loads(ran.out)["sweeps"]
    assert ran.code == Exit.OK
    assert (sweep["mode"], sweep["status"], sweep["actions"]) == ("report", "completed", 5)
    assert sweep["candidates"] == sweep["actions"] + sweep["kept"] == len(sweep["rows"])


# EC2 refuses C0 control characters in a tag, but accepts other hostile characters.
HOSTILE = "[bold red]x\N{RIGHT-TO-LEFT OVERRIDE}[/]\x9b2J"


def with_hostile_name(cloud: Any) -> None:
    first = next(iter(states(cloud)))
    cloud.create_tags(Resources=[first], Tags=[{"Key": "Name", "Value": HOSTILE}])


def test_hostile_name_sends_no_terminal_escape(curfew: Run, cloud: Any) -> None:
    with_hostile_name(cloud)

    ran = curfew("sweep", "--file", SHIPPED)

    assert "[bold red]x\\u202e[/]\\x9b2J" in ran.out
    assert all(line.isprintable() for line in ran.out.splitlines())


def test_hostile_name_sends_no_terminal_escape_in_json(curfew: Run, cloud: Any) -> None:
    with_hostile_name(cloud)

    ran = curfew("sweep", "--file", SHIPPED, "--json")

    assert HOSTILE in {row["name"] for row in json.loads(ran.out)["sweeps"][0]["rows"]}
    assert all(line.isprintable() for line in ran.out.split("\n"))


def test_a_region_may_be_given_several_times(curfew: Run, cloud: Any) -> None:
    ran = curfew(
        "sweep", "--file", SHIPPED, "--json", "--region", "eu-central-1", "--region", "eu-west-1"
    )

    swept = {s["region"]: s["actions"] for s in json.loads(ran.out)["sweeps"]}
    assert swept == {"eu-central-1": 5, "eu-west-1": 0}


def test_another_policy_may_be_asked_for(curfew: Run, cloud: Any) -> None:
    ran = curfew("sweep", "--file", SHIPPED, "--policy", "ownerless", "--json")

    (sweep,) = json.loads(ran.out)["sweeps"]
    assert (sweep["policy"], sweep["actions"]) == ("ownerless", 0)
    assert {row["rule"] for row in sweep["rows"]} == {"older-than"}


# sweep --act


def test_an_act_that_is_confirmed_beforehand_terminates_what_was_shown(
    curfew: Run, cloud: Any
) -> None:
    running = named(cloud, "running")

    ran = curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act", "--yes")

    assert ran.code == Exit.OK
    assert named(cloud, "terminated") == DOOMED
    assert named(cloud, "running") == {
        name: count for name, count in running.items() if name not in DOOMED
    }
    assert ran.out.count(" verified") >= 5
    assert "5 verified" in ran.out
    assert "Nothing was changed" not in ran.out
    assert audit_kinds() == ["intent"] * 5 + ["outcome"] * 5


def test_an_act_by_environment_finds_its_ledger(
    curfew: Run, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURFEW_TABLE", world.TABLE)

    ran = curfew("sweep", "--file", SHIPPED, "--act", "--yes", "--json")

    (sweep,) = json.loads(ran.out)["sweeps"]
    assert ran.code == Exit.OK
    assert (sweep["mode"], sweep["verified"]) == ("act", 5)
    assert named(cloud, "terminated") == DOOMED


def test_act_without_a_terminal_needs_yes(curfew: Run, cloud: Any) -> None:
    before = states(cloud)

    ran = curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act")

    assert ran.code == Exit.INVALID
    assert "add --yes" in ran.error_text
    assert states(cloud) == before
    assert audit_kinds() == []


def test_an_act_is_confirmed_by_the_number(curfew: Run, cloud: Any) -> None:
    ran = curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act", typed=" 5 \n")

    assert ran.code == Exit.OK
    assert "5 instances" in ran.error_text
    assert named(cloud, "terminated") == DOOMED


@pytest.mark.parametrize("typed", ["yes\n", "4\n", "05\n", pytest.param("", id="end of input")])
def test_a_wrong_confirmation_declines_and_nothing_is_done(
    curfew: Run, cloud: Any, typed: str
) -> None:
    before = states(cloud)

    ran = curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act", typed=typed)

    assert ran.code == Exit.DECLINED
    assert "Not confirmed: nothing was done." in ran.err
    assert states(cloud) == before
    assert audit_kinds() == []


def test_an_act_without_a_ledger_is_refused(curfew: Run, cloud: Any) -> None:
    before = states(cloud)

    ran = curfew("sweep", "--file", SHIPPED, "--act", "--yes")

    assert ran.code == Exit.INVALID
    assert "no ledger is named" in ran.error_text
    assert states(cloud) == before


def test_act_with_a_missing_ledger_fails_and_does_nothing(curfew: Run, cloud: Any) -> None:
    before = states(cloud)

    ran = curfew("sweep", "--file", SHIPPED, "--table", "nowhere", "--act", "--yes")

    assert ran.code == Exit.FAILED
    assert 'DynamoDB table "nowhere"' in " ".join(ran.out.split())
    assert states(cloud) == before


def test_an_act_with_nothing_to_do_asks_nothing(curfew: Run, cloud: Any) -> None:
    words = ("sweep", "--file", SHIPPED, "--table", world.TABLE, "--policy", "ownerless", "--act")

    ran = curfew(*words)

    assert ran.code == Exit.OK
    assert "0 to act on" in ran.out


def test_a_plan_over_a_limit_is_refused_whole(curfew: Run, cloud: Any, stern: str) -> None:
    before = states(cloud)

    ran = curfew("sweep", "--file", stern, "--table", world.TABLE, "--act", "--yes")

    assert ran.code == Exit.REFUSED
    assert "a sweep may have 4" in " ".join(ran.out.split())
    assert states(cloud) == before
    assert audit_kinds() == []


def test_a_report_over_a_limit_says_so_by_its_exit_code(
    curfew: Run, cloud: Any, stern: str
) -> None:
    ran = curfew("sweep", "--file", stern, "--json")

    assert ran.code == Exit.REFUSED
    assert json.loads(ran.out)["sweeps"][0]["status"] == "refused"


# Bad input


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policy", "nigthly"), 'there is no policy "nigthly"'),
        (("--policy", ""), 'there is no policy ""'),
        (("--region", "eu-atlantis-1"), 'no region "eu-atlantis-1"'),
        (("--region", "narnia"), '"narnia" is not a region'),
        (("--region", "eu-central-1", "--region", "eu-atlantis-1"), "eu-atlantis-1"),
        (("--file", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("--force",), "--force"),
    ],
)
def test_bad_input_is_refused_with_its_value_and_nothing_is_done(
    curfew: Run, cloud: Any, words: tuple[str, ...], said: str
) -> None:
    before = states(cloud)

    file = () if "--file" in words else ("--file", SHIPPED)

    written = ledger_items()

    ran = curfew("sweep", *file, *words, "--act", "--yes", "--table", world.TABLE)

    assert ran.code == Exit.INVALID
    assert said in ran.error_text
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert states(cloud) == before
    assert ledger_items() == written


def test_an_invalid_setting_is_refused_with_its_value(
    curfew: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURFEW_MODE", "acting")

    ran = curfew("sweep", "--file", SHIPPED)

    assert ran.code == Exit.INVALID
    assert 'CURFEW_MODE is "acting": it must be report or act' in ran.error_text


def test_without_a_region_nothing_is_guessed(curfew: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    ran = curfew("sweep", "--file", SHIPPED)

    assert ran.code == Exit.INVALID
    assert "no region is set" in ran.error_text


# pause and resume


def test_while_paused_an_act_does_nothing(curfew: Run, cloud: Any) -> None:
    before = states(cloud)

    paused = curfew("pause", "release [bold]night", "--table", world.TABLE)
    ran = curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act", "--yes")

    assert paused.code == Exit.OK
    assert "release [bold]night" in paused.out
    assert ran.code == Exit.OK
    assert "paused since" in ran.out
    assert "release [bold]night" in " ".join(ran.out.split())
    assert states(cloud) == before
    assert audit_kinds() == []


def test_once_released_an_act_goes_on(curfew: Run, cloud: Any) -> None:
    act = ("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act", "--yes")
    curfew("pause", "release night", "--table", world.TABLE)

    released = curfew("resume", "--table", world.TABLE)
    again = curfew("resume", "--table", world.TABLE)
    ran = curfew(*act)

    assert released.code == Exit.OK
    assert "resumed; Curfew was paused since" in released.out
    assert "Curfew was not paused" in again.out
    assert ran.code == Exit.OK
    assert named(cloud, "terminated") == DOOMED


@pytest.mark.parametrize("words", [("pause", "why"), ("resume",)], ids=["pause", "resume"])
def test_the_pause_switch_needs_a_ledger(curfew: Run, words: tuple[str, ...]) -> None:
    ran = curfew(*words)

    assert ran.code == Exit.INVALID
    assert "no ledger is named" in ran.error_text


def test_a_pause_needs_a_reason(curfew: Run) -> None:
    assert curfew("pause", "--table", world.TABLE).code == Exit.INVALID


# audit


def test_the_audit_of_an_act_is_read_in_order(curfew: Run, cloud: Any) -> None:
    curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act", "--yes")

    ran = curfew("audit", "--file", SHIPPED, "--table", world.TABLE)

    assert ran.code == Exit.OK
    *lines, end = [line for line in ran.out.splitlines() if line.strip()]
    assert [int(line.split()[0]) for line in lines] == list(range(1, 14))
    assert [line.split()[4] for line in lines[:3]] == [
        "launch",
        "instance-launched",
        "instance-launched",
    ]
    assert all(line.endswith("by demo") for line in lines[:3])
    assert sum("intent: is running, env=" in line for line in lines) == 5
    assert sum(line.endswith("verified") for line in lines) == 5
    assert "13 entries" in end


def test_an_entry_that_was_tampered_with_is_found(curfew: Run, cloud: Any) -> None:
    curfew("sweep", "--file", SHIPPED, "--table", world.TABLE, "--act", "--yes")
    third = sorted((item for item in ledger_items() if "kind" in item), key=lambda i: i["sk"]["S"])[
        2
    ]
    third["sweep_id"] = {"S": "forged"}
    boto3.client("dynamodb", world.REGION).put_item(TableName=world.TABLE, Item=third)

    ran = curfew("audit", "--file", SHIPPED, "--table", world.TABLE)

    assert ran.code == Exit.FAILED
    assert "is broken at entry 3" in ran.error_text


# The rest


def test_the_schema_is_written_and_checked(curfew: Run, tmp_path: Path) -> None:
    path = tmp_path / "curfew.schema.json"

    missing = curfew("schema", "--check", str(path))
    written = curfew("schema", str(path))
    fresh = curfew("schema", "--check", str(path))
    path.write_text(path.read_text().replace("100", "1000"))
    stale = curfew("schema", "--check", str(path))

    assert [ran.code for ran in (missing, written, fresh, stale)] == [2, 0, 0, 2]
    assert "curfew.schema.json is out of date" in stale.error_text


def test_the_version_is_printed(curfew: Run) -> None:
    ran = curfew("--version")

    assert (ran.code, ran.out.strip()) == (Exit.OK, "0.1.0")


def test_the_exit_codes_are_what_the_help_says(curfew: Run) -> None:
    shown = " ".join(curfew("sweep", "--help").out.split())

    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4]
    for words in ("0 done or shown", "1 a sweep failed", "2 invalid input", "3 refused by a limit"):
        assert words in shown
