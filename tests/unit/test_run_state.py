"""The state that all parts of one run share: its time left, its abort, and its claims."""

from datetime import datetime, timedelta

import pytest

from curfew.clock import Clock
from curfew.core import audit
from curfew.core.plan import Plan, decide
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Pause
from curfew.providers.memory import MemoryProvider
from curfew.sweep.run_state import RunState
from tests.builders import HERE, NOW, a_policy, an_id, an_instance
from tests.night import Time

SECOND = timedelta(seconds=1)
OUT_OF_TIME = "out of time: left to the next sweep"
STALE = "the plan is stale: make a new one"


def a_plan(count: int = 2) -> Plan:
    return decide([an_instance(number) for number in range(1, count + 1)], a_policy(), NOW)


def a_run(
    *, at: datetime = NOW, left: timedelta | None = None, ledger: MemoryLedger | None = None
) -> RunState:
    """Return the run of a plan that was made at NOW, with this much time left."""
    time = Time(at=at)
    return RunState(
        a_plan(),
        sweep_id="sweep-7",
        provider=MemoryProvider(target=HERE),
        ledger=ledger or MemoryLedger(),
        clock=Clock(now=time.now, sleep=time.sleep, deadline=None if left is None else at + left),
    )


def test_a_run_begins_with_its_plan_and_nothing_halted_or_claimed() -> None:
    state = a_run()

    assert state.planned == {action.instance.id: action for action in state.plan.actions}
    assert set(state.planned) == {an_id(1), an_id(2)}
    assert (state.sweep_id, state.claims) == ("sweep-7", {})
    assert (state.abort_reason, state.cut) == ("", False)


def test_a_run_is_in_time_while_a_minute_is_left() -> None:
    state = a_run(left=timedelta(seconds=60))

    assert state.check_time() is True
    assert (state.abort_reason, state.cut) == ("", False)


def test_a_run_with_less_than_a_minute_left_is_halted_and_cut() -> None:
    state = a_run(left=timedelta(seconds=59))

    assert state.check_time() is False
    assert (state.abort_reason, state.cut) == (OUT_OF_TIME, True)


def test_a_plan_of_a_quarter_of_an_hour_ago_is_still_in_time() -> None:
    state = a_run(at=NOW + timedelta(minutes=15))

    assert state.check_time() is True
    assert state.abort_reason == ""


def test_an_older_plan_is_stale_and_its_run_is_cut() -> None:
    state = a_run(at=NOW + timedelta(minutes=15) + SECOND)

    assert state.check_time() is False
    assert (state.abort_reason, state.cut) == (STALE, True)


def test_a_run_that_is_out_of_time_is_not_called_stale_as_well() -> None:
    state = a_run(at=NOW + timedelta(hours=1), left=SECOND)

    assert state.check_time() is False
    assert state.abort_reason == OUT_OF_TIME


def test_a_halted_run_is_not_in_time_however_much_is_left() -> None:
    state = a_run()
    state.abort("not today")

    assert state.check_time() is False
    assert state.may_continue() is False
    assert (state.abort_reason, state.cut) == ("not today", False)


def test_a_run_goes_on_while_nothing_halts_it() -> None:
    state = a_run()

    assert state.may_continue() is True
    assert (state.abort_reason, state.cut) == ("", False)


def test_a_pause_halts_a_run_with_who_and_why_and_cuts_nothing() -> None:
    ledger = MemoryLedger()
    pause = Pause(since=NOW, by="kim", reason="exam today")
    ledger.pause(pause)
    state = a_run(ledger=ledger)

    assert state.may_continue() is False
    assert (state.abort_reason, state.cut) == (str(pause), False)


class Unasked(MemoryLedger):
    """A ledger that fails if the run reads the pause switch."""

    def paused(self) -> Pause | None:
        raise AssertionError


def test_a_run_that_is_out_of_time_asks_for_no_pause() -> None:
    state = a_run(left=SECOND, ledger=Unasked())

    assert state.may_continue() is False
    assert state.abort_reason == OUT_OF_TIME


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("a", False), ("b", False), ("a", False)),
        (("a", False), ("b", True), ("a", False)),
        (("a", True), ("b", True), ("a", True)),
        (("a", True), ("b", False), ("b", False)),
    ],
)
def test_the_first_reason_counts_unless_it_was_the_time_and_the_second_is_not(
    first: tuple[str, bool], second: tuple[str, bool], expected: tuple[str, bool]
) -> None:
    state = a_run()

    for reason, cut in (first, second):
        state.abort(reason, cut=cut)

    assert (state.abort_reason, state.cut) == expected


def test_a_run_writes_into_the_chain_of_its_own_target() -> None:
    ledger = MemoryLedger()
    state = a_run(ledger=ledger)

    state.append(audit.intents(state.plan.actions, state.plan, sweep_id="sweep-7", at=NOW))

    assert [entry.draft.instance_id for entry in ledger.entries(HERE)] == [an_id(1), an_id(2)]
