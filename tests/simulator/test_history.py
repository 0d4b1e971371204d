"""What the checkers read from the history of a world, where requests overlap or a process was killed."""

import json
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from curfew_simulator.history.history import History, LaunchedMachine
from curfew_simulator.history.invocation import Invocation
from curfew_simulator.simulation import runner
from tests.builders import NOW

TAGS = {"curfew:fleet": "one", "curfew:launch-id": "abc", "curfew:lease": NOW.isoformat()}
SHORT, LONG = NOW + timedelta(hours=8), NOW + timedelta(days=2)
NEVER: Any = SimpleNamespace()


def an_invocation(first: int, last: int, **given: Any) -> Invocation:
    return Invocation(
        number=first, who="ada", begun_at=NOW, skew=timedelta(), cut_off=NOW, policies=NEVER, first=first,
        last=last, **given,
    )  # fmt: skip


def a_change(first: int, last: int, until: datetime) -> Invocation:
    body = json.dumps({"launch_id": "abc", "expires_at": until.isoformat()})
    return an_invocation(
        first, last, kind="PATCH /fleets/<id>", about={"fleet": "one", "ttl": "8h"},
        answer={"statusCode": 200, "body": body},
    )  # fmt: skip


def a_history(*invocations: Invocation) -> History:
    return History(
        world=NEVER, ledger=NEVER, mode=NEVER, policies=NEVER, regions=(), invocations=invocations,
        made_by={}, moments={}, reached={},
    )  # fmt: skip


def leased_until(*changes: Invocation, moment: int = 9) -> datetime:
    machine: Any = SimpleNamespace(tags=TAGS)
    launch = LaunchedMachine(id="i-1", call=NEVER, region=NEVER, machine=machine)
    return a_history(*changes).leased_until(launch, moment)


@pytest.mark.parametrize(("inner", "outer"), [(SHORT, LONG), (LONG, SHORT)])
def test_of_two_changes_of_a_lease_at_the_same_time_either_may_hold(
    inner: datetime, outer: datetime
) -> None:
    assert leased_until(a_change(1, 4, outer), a_change(2, 3, inner)) == SHORT


def test_a_change_overwrites_what_ended_before_it_began() -> None:
    assert leased_until(a_change(1, 2, SHORT), a_change(3, 4, LONG)) == LONG
    assert leased_until(a_change(1, 2, SHORT), a_change(3, 4, LONG), moment=3) == SHORT
    assert leased_until(a_change(3, 4, LONG), moment=4) == NOW


def test_a_continuation_has_its_root_where_that_was_killed_before_its_report() -> None:
    killed = an_invocation(
        1, 2, kind="schedule", about={"policy": "nightly"}, killed="after a call",
        continuations=["night-1-attempt-1"],
    )  # fmt: skip
    other = an_invocation(3, 4, kind="schedule", about={"policy": "leases"})
    resumed = an_invocation(
        5, 6, kind="message", about={"work": "resume", "id": "night-1-attempt-1"}
    )  # fmt: skip
    again = an_invocation(7, 8, kind="message", about={"work": "resume", "id": "night-1-attempt-2"})

    history = a_history(other, killed, resumed, again)

    assert history.root_of(resumed) is killed
    assert history.about(again) == ("policy", "nightly")


def test_an_error_of_the_simulator_names_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_seed: int, _faults: str) -> None:
        raise ValueError("what a checker cannot read")

    monkeypatch.setattr(runner, "one", fail)

    with pytest.raises(ValueError, match="cannot read") as caught:
        runner.some([7])

    assert caught.value.__notes__ == ["in the world of seed 7"]


@pytest.mark.parametrize("seed", [100_004_709, 700_003_657])
def test_the_worlds_that_a_checker_misjudged_are_without_a_violation(seed: int) -> None:
    _, violations = runner.one(seed)

    assert violations == ()


def test_worlds_that_do_not_end_are_named_and_end_their_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    monkeypatch.setattr("faulthandler.dump_traceback", lambda: None)

    runner._abort([7, 8, 9])

    assert ended == [1]
    assert "worlds 7 to 9" in capsys.readouterr().err
