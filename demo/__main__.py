"""`make demo`: run the life of a fleet and one nightly sweep through the real handlers, in one process."""

import io
import json
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws
from rich.table import Table

from curfew.cli.output import out, table_of, text
from curfew.core.instance import State
from curfew.core.plan import judge
from curfew.core.policy import Selector
from curfew.reporting import render

from . import world
from .life import life

EVENT = Path(__file__).parent.parent / "events" / "nightly.json"
THERE = frozenset(State) - {State.TERMINATED, State.UNKNOWN}


class Context(LambdaContext):
    """The context that Lambda would pass to a handler."""

    _function_name = "SweepFunction"
    _memory_limit_in_mb = 512
    _invoked_function_arn = f"arn:aws:lambda:{world.REGION}:123456789012:function:SweepFunction"
    _aws_request_id = "demo"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 900_000


def main() -> None:
    """Show a fleet's life, then a nightly sweep, each on a new emulated cloud."""
    os.environ.update(
        AWS_REGION=world.REGION,
        AWS_DEFAULT_REGION=world.REGION,
        CURFEW_MODE="act",
        CURFEW_TABLE=world.TABLE,
        CURFEW_RATE_PERCENT="100",  # nothing else calls this cloud
    )
    for real in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "CURFEW_POLICIES"):
        os.environ.pop(real, None)
    with mock_aws():
        world.make_table()
        _show_life()
    with mock_aws():
        world.build()
        _show_night()


def _show_night() -> None:
    """Run a sweep, and show what it did with each instance."""
    event = json.loads(EVENT.read_text())

    with redirect_stdout(io.StringIO()):  # hides the handler's JSON log lines
        # Imported here, since the logger keeps the stdout of its import.
        from curfew import bootstrap  # noqa: PLC0415
        from curfew.handlers.sweep import handler  # noqa: PLC0415

        app = bootstrap.app()
        provider = app.provider(world.REGION)
        everything = Selector(states=THERE)
        before = list(provider.find(everything, narrow=False))
        answer = handler(event, Context())

    policy = app.policies.policy(event["policy"])
    (sweep,) = answer["sweeps"]
    rows: dict[str, dict[str, Any]] = {row["id"]: row for row in sweep["rows"]}
    for instance in before:
        row = render.row(judge(instance, policy, app.now()))
        rows.setdefault(instance.id, row | {"verdict": "keep", "outcome": "not a candidate"})
    out.print(f"\n[bold]events/{EVENT.name}[/bold] through the real handler, in act mode:\n")
    out.print(table_of(list(rows.values())))
    out.print(
        f"\n{sweep['listed']} listed, {sweep['candidates']} candidates, {sweep['actions']} to act on, "
        f"{sweep['verified']} verified, {sweep['kept']} kept."
    )
    out.print("\n[bold]What still runs:[/bold]\n")
    for instance in sorted(provider.find(everything, narrow=False), key=lambda i: (i.name, i.id)):
        if instance.state is State.RUNNING:
            out.print(f"  {instance.id}  {instance.name or '(no name)'}", highlight=False)


def _show_life() -> None:
    with redirect_stdout(io.StringIO()):
        moments = list(life(Context()))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("UTC", no_wrap=True)
    table.add_column("asked", no_wrap=True)
    table.add_column("answer", overflow="fold")
    for moment in moments:
        table.add_row(*map(text, (f"{moment.at:%H:%M}", moment.asked, moment.answer)))
    out.print("\n[bold]The life of a fleet[/bold], launched over HTTP with a lease of two hours:\n")
    out.print(table)


if __name__ == "__main__":
    main()
