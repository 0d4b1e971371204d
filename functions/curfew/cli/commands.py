"""*trigger*: the command line, with the caller's own credentials."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from .. import bootstrap
from ..app import App
from ..config.policy_file import load
from ..config.settings import Settings
from ..config.version import VERSION
from ..core.audit import Draft, EntryKind, broken
from ..core.errors import ConfigError, CurfewError, LedgerError, RequestError
from ..core.policy import format_duration
from ..core.report import Report
from ..core.target import Mode
from ..ledger.protocols import Ledger
from ..ledger.records import Pause
from ..orchestration.targets import TargetResolver, sweeps
from ..reporting import render
from ..schemas.messages import SweepRequest
from ..schemas.policy_file import File
from ..sweep.context import Sweep
from ..sweep.executor import act
from ..sweep.planner import plan
from . import plugins
from .confirmation import actions_of, confirm
from .output import Exit, err, exit_code, out, show, text

AT_ONCE = 8  # targets that are listed concurrently

app = typer.Typer(
    help="Curfew finds instances that still run, decides which have to end, and says why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PolicyPath = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="The policy file; by default ./curfew.yaml or functions/curfew.yaml."
    ),
]
TableName = Annotated[
    str | None,
    typer.Option("--table", help="The ledger's DynamoDB table; by default CURFEW_TABLE."),
]


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="The policy file.", show_default=False)
    ] = None,
) -> None:
    """Validate the policy file and show its policies."""
    policies = load(_policy_path(file))
    table = Table("policy", "action", "looks for", "limits", box=None, pad_edge=False)
    for name in policies.content.policies:
        policy = policies.policy(name)
        selector, limits = policy.selector, policy.limits
        wanted = [", ".join(sorted(selector.states)), *map(str, selector.tags)]
        wanted += [f"has {key}" for key in selector.with_tags]
        wanted += [f"no {key}" for key in selector.without_tags]
        wanted += ["lease expired"] if selector.expired else []
        wanted += [" or ".join(selector.instance_types)] if selector.instance_types else []
        wanted += [f"in {', '.join(selector.regions)}"] if selector.regions else []
        wanted += [f"older than {format_duration(policy.older_than)}"] if policy.older_than else []
        most = f"{limits.per_sweep} a sweep, {limits.percent} %, {limits.per_day} a day"
        table.add_row(*map(text, (name, policy.action, "; ".join(wanted), most)))
    out.print(table)
    out.print(text(f"{policies.path} is valid (version {policies.version})"))


@app.command()
def sweep(  # noqa: PLR0917  typer makes options of them
    policy: Annotated[str, typer.Option(help="The policy to sweep by.")] = "nightly",
    region: Annotated[list[str] | None, typer.Option(help="A region to sweep; repeatable.")] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(help="An account or a cloud of the targets; repeatable."),
    ] = None,
    act_: Annotated[
        bool, typer.Option("--act", help="Execute the plan after a confirmation.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm in advance, for scripts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    file: PolicyPath = None,
    table: TableName = None,
) -> None:
    """Show what a policy would do now, and with --act, do it.

    Exit codes: 0 done or shown, 1 a sweep failed, 2 invalid input, 3 refused by a limit, 4 not confirmed.
    """
    mode = Mode.ACT if act_ else Mode.REPORT
    curfew = bootstrap.build(_settings(file, table, mode))
    event: dict[str, Any] = {"policy": policy} | ({"regions": region} if region else {})
    event |= {"accounts": account} if account else {}
    planned = _planned(curfew, SweepRequest.parse(event))
    reports = [report for _, report in planned]
    acts = act_ and any(map(actions_of, reports))
    if acts:
        if not as_json:
            show(reports)
        confirm(reports, yes=yes)
    if act_:
        with err.status("acting"):
            reports = [act(one, report) for one, report in planned]
    if as_json:
        json.dump(
            render.answer(reports), sys.stdout, indent=2
        )  # ASCII, so that it cannot control a terminal
        typer.echo()
    else:
        show(reports, only_actions=acts)
        if not act_:
            out.print("Nothing was changed: this is a report. Add --act to execute it.")
        if not curfew.settings.table:
            out.print("Without a ledger (--table), ages count from the last start only.")
    raise typer.Exit(exit_code(reports))


@app.command()
def rehearse(  # noqa: PLR0917  typer makes options of them
    file: Annotated[
        Path | None, typer.Argument(help="The policy file.", show_default=False)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="The same seed simulates the same cloud and faults.")
    ] = 0,
    faults: Annotated[
        Literal["calm", "rough", "harsh"], typer.Option(help="How often the cloud fails.")
    ] = "harsh",
    nights: Annotated[int, typer.Option(min=1, max=31, help="How many nights to simulate.")] = 3,
    instances: Annotated[
        int, typer.Option(min=1, max=1_000, help="The approximate number of instances.")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Run all policies of a file for some nights on a simulated cloud with faults. No real cloud is called.

    Exit codes: 0 every promise was kept, 1 a promise was broken, 2 invalid input.
    """
    options = {"seed": seed, "faults": faults, "nights": nights, "instances": instances}
    run = plugins.command("rehearse")
    raise typer.Exit(run(load(_policy_path(file)), as_json=as_json, **options))


@app.command()
def pause(
    reason: Annotated[str, typer.Argument(help="The reason, which every caller can read.")],
    table: TableName = None,
) -> None:
    """Pause Curfew: no batch begins from now on, in any sweep of this ledger."""
    pause_ = Pause(since=bootstrap.utc_now(), by=_user(), reason=reason)
    _ledger(table).pause(pause_)
    out.print(text(str(pause_)))


@app.command()
def resume(table: TableName = None) -> None:
    """End the pause."""
    ledger = _ledger(table)
    before = ledger.paused()
    ledger.resume()
    out.print(text(f"resumed; Curfew was {before}" if before else "Curfew was not paused"))


@app.command()
def audit(
    region: Annotated[
        str | None, typer.Option(help="The region; by default the AWS profile's.")
    ] = None,
    account: Annotated[
        str, typer.Option(help="The account or cloud; by default the credentials' own account.")
    ] = "",
    table: TableName = None,
    file: PolicyPath = None,
) -> None:
    """Show the audit of one target, newest entry last, and verify that no entry was changed or is missing."""
    curfew = bootstrap.build(_settings(file, table, Mode.ACT))
    cloud = curfew.policies.content.targets.clouds.get(account)
    home = cloud.regions[0] if cloud else curfew.settings.region
    target = curfew.in_report_mode().provider(region or home, account).target
    entries = list(curfew.ledger.entries(target))
    for entry in entries:
        draft = entry.draft
        line = f"{entry.number:>6} {draft.at:%Y-%m-%d %H:%M:%S} {draft.sweep_id} "
        out.print(text(f"{line} {draft.body['action']} {draft.instance_id} {_format_entry(draft)}"))
    if (number := broken(entries, first=1)) is not None:
        raise LedgerError(
            f"the audit of {target} is broken at entry {number}: an entry was changed or is missing"
        )
    out.print(text(f"{len(entries)} entries of {target}, an unbroken chain", "bold"))


@app.command(hidden=True)
def schema(
    file: Annotated[Path, typer.Argument(help="The file of the JSON Schema.")],
    check: Annotated[bool, typer.Option("--check", help="Only check that it is current.")] = False,
) -> None:
    """Write the JSON Schema of the policy file."""
    fresh = json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "curfew.schema.json",
            **File.model_json_schema(),
            "title": "curfew.yaml",
        },
        indent=2,
    )
    if not check:
        file.write_text(fresh + "\n")
    elif not file.exists() or file.read_text() != fresh + "\n":
        raise ConfigError(f"{file} is out of date: run `curfew schema {file}`")


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version if asked for."""
    if show:
        out.print(VERSION)
        raise typer.Exit


def main() -> None:
    """Run the command line. A CurfewError becomes a message and an exit code."""
    try:
        app()
    except CurfewError as error:
        for line in str(error).splitlines():
            err.print(text(line, "red"), soft_wrap=True)
        sys.exit(Exit.INVALID if isinstance(error, ConfigError | RequestError) else Exit.FAILED)


def _format_entry(draft: Draft) -> str:
    match draft.kind:
        case EntryKind.INTENT:
            return f"intent: {draft.body['reason']}"
        case EntryKind.OUTCOME:
            return str(draft.body["result"])
        case EntryKind.EVENT:
            return f"by {draft.body['by']}"


def _policy_path(given: Path | None) -> Path:
    here = Path("curfew.yaml")
    return given or (here if here.exists() else Path("functions/curfew.yaml"))


def _settings(file: Path | None, table: str | None, mode: Mode) -> Settings:
    settings = Settings.from_env()
    return replace(settings, policies=_policy_path(file), table=table or settings.table, mode=mode)


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "a user without a name"


def _ledger(table: str | None) -> Ledger:
    settings = Settings.from_env()
    return bootstrap.ledger_of(replace(settings, table=table or settings.table))


def _planned(curfew: App, request: SweepRequest) -> list[tuple[Sweep, Report]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("listing", total=None)

        def listed(count: int) -> None:
            bar.update(task, description=f"listing: {count} instances of one target")

        resolved = TargetResolver(curfew).resolve(request)
        made = [replace(one, listed=listed) for one in sweeps(curfew, request, resolved)]
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            return list(zip(made, pool.map(plan, made), strict=True))
