"""Act on a cloud in memory: the calls, their principal, number of instances, and the read before each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from curfew.clock import Clock
from curfew.core.audit import Draft, EntryKind
from curfew.core.errors import LedgerError, ProviderError, RateLimitedError
from curfew.core.instance import ActionKind, Instance, State
from curfew.core.plan import Plan, decide
from curfew.core.target import Target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.providers.memory import HERE, MemoryProvider
from curfew.sweep.execution import Executed, execute
from tests.builders import NOW, a_policy, an_id, an_instance
from tests.night import Time

SWEEP = "sweep-7"


class Instrumented(MemoryProvider):
    """Records each read and each order: its name, number of instances and ``by``."""

    def __init__(self, count: int) -> None:
        self.time = Time()
        self.noted: list[tuple[str, int, str]] = []
        self.before: dict[int, Callable[[], object]] = {}  # by the number of the call
        super().__init__(an_instance(number, target=HERE) for number in range(1, count + 1))

    def note(self, name: str, things: Sequence[object], by: str = "") -> None:
        self.noted.append((name, len(things), by))
        self.before.get(len(self.noted), lambda: None)()

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        self.note("describe", ids)
        return super().describe(ids)

    def release(
        self, instances: Sequence[Instance], *, by: str
    ) -> Mapping[str, ProviderError | None]:
        self.note("release", instances, by)
        return super().release(instances, by=by)

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        self.note("terminate", ids, by)
        return super().terminate(ids, by=by)

    def stop(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        self.note("stop", ids, by)
        return super().stop(ids, by=by)

    def shelve(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        self.note("shelve", ids, by)
        return super().shelve(ids, by=by)

    def slow(self) -> None:
        """Advance the clock by more than the maximum age of a read."""
        self.time.at += timedelta(seconds=41)

    def show(self, state: State) -> None:
        """Put the first instance into another state."""
        self.instances[an_id(1)] = replace(self.instances[an_id(1)], state=state)

    def carry_out(
        self,
        kind: ActionKind = ActionKind.TERMINATE,
        *,
        plan: Plan | None = None,
        ledger: MemoryLedger | None = None,
    ) -> Executed:
        """Execute a plan, by default one for all instances."""
        return execute(
            plan or decide(self.instances.values(), a_policy(action=kind), NOW),
            sweep_id=SWEEP,
            provider=self,
            ledger=ledger or MemoryLedger(),
            clock=Clock(now=self.time.now, sleep=self.time.sleep),
        )


class TwoByTwo(Instrumented):
    """A cloud that accepts at most two instances in one order."""

    capabilities = replace(MemoryProvider.capabilities, ids_per_call=2)


class SlowEnd(Instrumented):
    """A cloud on which a termination may still fail after it has begun."""

    capabilities = replace(MemoryProvider.capabilities, ends_for_sure=False)


def shown(executed: Executed) -> list[tuple[str, str]]:
    """Return the result of each action and its detail."""
    return [(str(outcome.result), outcome.detail) for outcome in executed.outcomes]


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        (ActionKind.TERMINATE, State.TERMINATED),
        (ActionKind.STOP, State.STOPPED),
        (ActionKind.SHELVE, State.STOPPED),
    ],
)
def test_each_action_makes_the_call_of_its_name(kind: ActionKind, end: State) -> None:
    cloud = Instrumented(2)
    bound = 2 if kind is ActionKind.TERMINATE else 0

    executed = cloud.carry_out(kind)

    assert cloud.noted == [
        ("describe", 2, ""),
        ("release", bound, SWEEP),
        (str(kind), 2, SWEEP),
        ("describe", 2, ""),
    ]
    assert cloud.calls == [(str(kind), (an_id(1), an_id(2)))]
    assert shown(executed) == [("verified", f"seen {end}")] * 2
    assert (executed.problem, executed.cut) == ("", False)


def test_call_stays_within_the_batch_limit_and_follows_its_recheck() -> None:
    cloud = TwoByTwo(5)

    executed = cloud.carry_out()

    assert cloud.noted == [
        ("describe", 5, ""),
        ("release", 5, SWEEP),
        ("terminate", 2, SWEEP),
        ("describe", 2, ""),
        ("terminate", 2, SWEEP),
        ("describe", 1, ""),
        ("terminate", 1, SWEEP),
        ("describe", 5, ""),
    ]
    assert cloud.calls == [
        ("terminate", (an_id(1), an_id(2))),
        ("terminate", (an_id(3), an_id(4))),
        ("terminate", (an_id(5),)),
    ]
    assert shown(executed) == [("verified", "seen terminated")] * 5


@pytest.mark.parametrize(
    ("kind", "begun", "end"),
    [
        (ActionKind.TERMINATE, State.SHUTTING_DOWN, State.TERMINATED),
        (ActionKind.STOP, State.STOPPING, State.STOPPED),
        (ActionKind.SHELVE, State.STOPPING, State.STOPPED),
    ],
)
def test_started_termination_is_verified_only_where_it_always_completes(
    kind: ActionKind, begun: State, end: State
) -> None:
    sure, slow = Instrumented(1), SlowEnd(1)
    for cloud in (sure, slow):
        # The fourth call is the first read that verifies.
        cloud.before = {4: partial(cloud.show, begun), 5: partial(cloud.show, end)}

    assert shown(sure.carry_out(kind)) == [("verified", f"seen {begun}")]
    assert shown(slow.carry_out(kind)) == [("verified", f"seen {end}")]
    assert (sure.time.slept, slow.time.slept) == ([0], [0, 2])


def test_age_known_only_to_the_plan_counts_at_recheck() -> None:
    cloud = Instrumented(1)
    first_seen = replace(cloud.instances[an_id(1)], first_seen_at=NOW - timedelta(days=9))
    plan = decide([first_seen], a_policy(older_than=timedelta(days=3)), NOW)

    assert shown(cloud.carry_out(plan=plan)) == [("verified", "seen terminated")]


def test_batch_whose_recheck_takes_too_long_is_split() -> None:
    cloud = Instrumented(3)
    cloud.before = {1: cloud.slow, 3: cloud.slow}

    executed = cloud.carry_out()

    assert cloud.noted == [
        ("describe", 3, ""),
        ("release", 3, SWEEP),
        ("describe", 3, ""),
        ("describe", 1, ""),
        ("terminate", 1, SWEEP),
        ("describe", 2, ""),
        ("terminate", 2, SWEEP),
        ("describe", 3, ""),
    ]
    assert shown(executed) == [("verified", "seen terminated")] * 3
    assert executed.problem == ""


def test_rate_limited_call_is_made_next_after_a_recheck() -> None:
    def keep_back() -> None:
        raise RateLimitedError("looked at again first")

    cloud = TwoByTwo(3)
    cloud.before = {3: keep_back}

    executed = cloud.carry_out()

    assert cloud.noted == [
        ("describe", 3, ""),
        ("release", 3, SWEEP),
        ("terminate", 2, SWEEP),
        ("describe", 2, ""),
        ("terminate", 2, SWEEP),
        ("describe", 1, ""),
        ("terminate", 1, SWEEP),
        ("describe", 3, ""),
    ]
    assert shown(executed) == [("verified", "seen terminated")] * 3


class Full(MemoryLedger):
    """A ledger that stores intents and fails on outcomes."""

    def append(self, target: Target, drafts: Sequence[Draft]) -> None:
        if any(draft.kind is EntryKind.OUTCOME for draft in drafts):
            raise LedgerError("the table is full")
        super().append(target, drafts)


def test_outcomes_that_the_ledger_refuses_are_the_problem_of_the_run() -> None:
    ledger = Full()

    executed = Instrumented(1).carry_out(ledger=ledger)

    assert shown(executed) == [("verified", "seen terminated")]
    assert executed.problem == "the outcomes are not written: the table is full"
    assert executed.cut is False
    assert len(ledger.open_intents(HERE)) == 1
