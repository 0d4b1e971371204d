"""Zone workers in parallel, in real threads: they overlap, an abort stops all of them, and no result is lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Barrier, Event, Lock, Thread
from time import sleep
from typing import Any

import pytest

from curfew.clock import Clock
from curfew.concurrency import Task, TaskRunner, run_in_threads, run_sequentially
from curfew.core.audit import EntryKind, broken
from curfew.core.errors import RateLimitedError, RefusedError, ThrottledError
from curfew.core.instance import State
from curfew.core.plan import Plan
from curfew.core.report import Report, Result, Status
from curfew.ledger.memory.fleets import MemoryFleets
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Pause
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from curfew.sweep.run_state import RunState
from curfew.sweep.zone_worker import PATIENCE
from curfew_simulator.cloud.faults import FaultKind
from tests.builders import HERE, NOW, an_id
from tests.cloud import ORDERS, SimulatedEc2, a_machine, asked
from tests.night import Night, leased, results

A, B = "eu-central-1a", "eu-central-1b"
WAIT = 20
FOUR = run_in_threads(4)


def nothing(_ids: Sequence[str]) -> None:
    pass


@dataclass
class Meddled:
    """The night's provider, which calls ``look`` before it describes a batch and ``order`` before it terminates one."""

    inner: Ec2Provider
    look: Callable[[Sequence[str]], None] = nothing
    order: Callable[[Sequence[str]], None] = nothing
    calls: Lock = field(default_factory=Lock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def describe(self, ids: Sequence[str]) -> Mapping[str, Any]:
        self.look(ids)
        with self.calls:  # the simulator answers one call at a time
            return self.inner.describe(ids)

    def protections(self, ids: Sequence[str]) -> Mapping[str, Any]:
        with self.calls:
            return self.inner.protections(ids)

    def release(self, instances: Any, *, by: str) -> Any:
        with self.calls:
            return self.inner.release(instances, by=by)

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        self.order(ids)
        with self.calls:
            return self.inner.terminate(ids, by=by)


def a_night(*zones: tuple[str, int]) -> Night:
    placed = [zone for zone, count in zones for _ in range(count)]
    return Night(
        cloud=SimulatedEc2(*(a_machine(id=an_id(n), zone=z) for n, z in enumerate(placed, 1)))
    )


def swept(night: Night, *, run_tasks: TaskRunner = FOUR, **interruptions: Any) -> Report:
    prepared = night.prepared()
    provider: Any = Meddled(prepared.provider, **interruptions)  # type: ignore[arg-type]
    sweep = replace(prepared, provider=provider, run_tasks=run_tasks)
    return act(sweep, plan(sweep))


def zone_of(night: Night, ids: Sequence[str]) -> str:
    return night.cloud.machines[ids[0]].zone


class Crash(BaseException):
    """The process ends here."""


class Halted(Event):
    """An event that is set when a run is aborted, with the reasons."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []


@pytest.fixture
def halted(monkeypatch: pytest.MonkeyPatch) -> Halted:
    was, happened = RunState.abort, Halted()

    def halt(self: RunState, reason: str, **more: Any) -> None:
        was(self, reason, **more)
        happened.reasons.append(reason)
        happened.set()

    monkeypatch.setattr(RunState, "abort", halt)
    return happened


def slow_down(patch: pytest.MonkeyPatch, owner: type, name: str) -> Callable[[], int]:
    """Make a method slow. Return a function that returns the most threads that were in it at the same time."""
    going, highest, lock, was = 0, 0, Lock(), getattr(owner, name)

    def slow(self: Any, *given: Any, **more: Any) -> Any:
        nonlocal going, highest
        with lock:
            going += 1
            highest = max(highest, going)
        sleep(0.05)
        try:
            return was(self, *given, **more)
        finally:
            with lock:
                going -= 1

    patch.setattr(owner, name, slow)
    return lambda: highest


def plan_of(night: Night) -> Plan:
    made = plan(night.prepared()).plan
    assert made
    return made


@pytest.mark.parametrize(
    ("run_tasks", "overlap"), [(run_in_threads(4), True), (run_sequentially, False)]
)
def test_two_zones_are_called_concurrently(run_tasks: TaskRunner, overlap: bool) -> None:
    night = a_night((A, 2), (B, 2))
    both = Barrier(2, timeout=WAIT if overlap else 0.1)

    report = swept(night, run_tasks=run_tasks, order=lambda _ids: both.wait() and None)

    assert (report.count(Result.VERIFIED) == 4) == overlap


def test_batches_of_one_zone_run_one_after_the_other() -> None:
    night = a_night((A, 45))
    going: list[int] = []

    def order(ids: Sequence[str]) -> None:
        going.append(len(night.cloud.orders))

    report = swept(night, order=order)

    assert going == [0, 1, 2]
    assert report.count(Result.VERIFIED) == 45


def test_refusal_in_one_zone_stops_another_before_its_next_call() -> None:
    night = a_night((A, 20), (B, 40))
    begun, halted = Event(), Event()

    def order(ids: Sequence[str]) -> None:
        if zone_of(night, ids) == A:
            assert begun.wait(WAIT)
            raise RefusedError("not today", code="AuthFailure")
        begun.set()
        assert halted.wait(WAIT)

    def look(ids: Sequence[str]) -> None:
        # The second read of the first zone follows the refusal.
        if zone_of(night, ids) == A and begun.is_set():
            halted.set()

    report = swept(night, order=order, look=look)

    assert [len(ids) for _, ids in night.cloud.orders] == [20]
    assert report.count(Result.FAILED) == 20
    assert report.count(Result.VERIFIED) == 20
    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert report.problem == "not today"
    assert report.status is Status.FAILED


def test_pause_seen_by_one_zone_stops_all_zones() -> None:
    night = a_night((A, 40), (B, 40))
    both = Barrier(2, timeout=WAIT)

    def order(_ids: Sequence[str]) -> None:
        if both.wait() == 0:
            night.ledger.pause(Pause(since=NOW, by="kim", reason="exam today"))
        both.wait()

    report = swept(night, order=order)

    assert report.status is Status.PAUSED
    assert report.count(Result.VERIFIED) == 40
    assert report.count(Result.NOT_ATTEMPTED) == 40


def while_both_wait(night: Night, both: Barrier) -> None:
    """Advance the clock once while an order of each zone is in progress."""
    if both.wait() == 0:
        night.time.at += timedelta(seconds=40)
    both.wait()


def test_deadline_stops_all_zones() -> None:
    night = a_night((A, 40), (B, 40))
    night.deadline = NOW + timedelta(seconds=90)
    both = Barrier(2, timeout=WAIT)

    def order(_ids: Sequence[str]) -> None:
        while_both_wait(night, both)

    report = swept(night, order=order)

    assert report.status is Status.STOPPED
    assert report.cut
    assert report.count(Result.VERIFIED) == 40
    assert report.count(Result.NOT_ATTEMPTED) == 40


def test_instance_missing_from_terminate_response_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    night = a_night((A, 1), (B, 1))
    night.cloud.always(FaultKind.IDLE, *ORDERS)
    was = Ec2Provider.terminate

    def terminate(self: Ec2Provider, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        found = was(self, ids, by=by)
        return {} if zone_of(night, ids) == A else found

    monkeypatch.setattr(Ec2Provider, "terminate", terminate)

    assert results(swept(night)) == {an_id(1): Result.UNKNOWN, an_id(2): Result.ACCEPTED}


def test_unknown_error_in_one_zone_outranks_the_deadline_in_another(
    halted: Halted,
) -> None:
    night = a_night((A, 40), (B, 20))
    night.deadline = NOW + timedelta(seconds=90)
    both = Barrier(2, timeout=WAIT)

    def order(ids: Sequence[str]) -> None:
        while_both_wait(night, both)
        if zone_of(night, ids) == B:
            assert halted.wait(WAIT)
            raise RefusedError("not today", code="AuthFailure")

    report = swept(night, order=order)

    assert report.count(Result.NOT_ATTEMPTED) == 20
    assert report.problem == "not today"
    assert report.status is Status.FAILED
    assert not report.cut, "it would be handed on"


def test_deadline_is_reported_once_and_outranks_nothing() -> None:
    night = a_night((A, 1))
    state = RunState(
        plan_of(night),
        sweep_id="sweep-1",
        provider=night.cloud.provider(),
        ledger=night.ledger,
        clock=Clock(now=night.time.now, sleep=night.time.sleep),
    )

    state.abort("out of time", cut=True)
    state.abort("out of time once more", cut=True)
    assert (state.abort_reason, state.cut) == ("out of time", True)

    state.abort("not today")
    state.abort("out of time", cut=True)
    state.abort("nor tomorrow")
    assert (state.abort_reason, state.cut) == ("not today", False)


def test_call_delayed_by_the_rate_limit_gets_no_extra_attempts() -> None:
    night = a_night((A, 1))
    tried: list[str] = []

    def order(_ids: Sequence[str]) -> None:
        tried.append("paced" if len(tried) % 2 else "throttled")
        if tried[-1] == "paced":
            raise RateLimitedError("looked at again first")
        raise ThrottledError("too fast")

    report = swept(night, order=order)

    assert tried.count("throttled") == PATIENCE
    assert report.count(Result.FAILED) == 1
    assert f"still there after {PATIENCE} tries" in report.outcomes[0].detail


def test_call_that_the_rate_limit_delays_too_long_stops_the_run() -> None:
    night = a_night((A, 1), (B, 1))

    def order(_ids: Sequence[str]) -> None:
        raise RateLimitedError("in 99 seconds", late=True)

    report = swept(night, run_tasks=run_sequentially, order=order)

    assert report.count(Result.NOT_ATTEMPTED) == 2
    assert report.status is Status.STOPPED
    assert report.problem == "out of time: in 99 seconds"
    assert report.cut


def test_audit_is_written_by_one_zone_worker_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    night = a_night((A, 20), (B, 20))
    most_at_once = slow_down(monkeypatch, MemoryLedger, "append")

    report = swept(night)

    assert report.count(Result.VERIFIED) == 40
    assert most_at_once() == 1


def test_internal_error_in_one_zone_loses_no_outcome_of_another() -> None:
    night = a_night((A, 20), (B, 20))
    ordering, broke = Event(), Event()

    def look(ids: Sequence[str]) -> None:
        if zone_of(night, ids) == A and len(ids) == 20:
            assert ordering.wait(WAIT)
            broke.set()
            raise RuntimeError("ours")

    def order(_ids: Sequence[str]) -> None:
        ordering.set()
        assert broke.wait(WAIT)

    report = swept(night, look=look, order=order)

    found = results(report)
    assert [found[an_id(n)] for n in range(1, 21)] == [Result.NOT_ATTEMPTED] * 20
    assert [found[an_id(n)] for n in range(21, 41)] == [Result.VERIFIED] * 20
    assert "unexpected RuntimeError: ours" in report.problem


def test_interrupted_zone_worker_stops_another_before_its_next_call(halted: Halted) -> None:
    night = a_night((A, 20), (B, 40))
    begun = Event()

    def order(ids: Sequence[str]) -> None:
        if zone_of(night, ids) == A:
            assert begun.wait(WAIT)
            raise Crash
        begun.set()
        assert halted.wait(WAIT)

    with pytest.raises(Crash):
        swept(night, order=order)

    assert [len(ids) for _, ids in night.cloud.orders] == [20]
    intents = [e for e in night.ledger.entries(HERE) if e.draft.kind is EntryKind.INTENT]
    assert len(intents) == 40
    assert (
        halted.reasons == ["interrupted by Crash"] * 2
    )  # by the zone worker at once, and by the run


def test_interrupted_caller_stops_its_zone_workers(halted: Halted) -> None:
    night = a_night((A, 40), (B, 1))
    begun = Event()
    working: list[Thread] = []

    def left_alone(pieces: Sequence[Task]) -> None:
        working.append(Thread(target=pieces[0]))
        working[0].start()
        assert begun.wait(WAIT)
        raise KeyboardInterrupt

    def order(_ids: Sequence[str]) -> None:
        begun.set()
        assert halted.wait(WAIT)

    with pytest.raises(KeyboardInterrupt):
        swept(night, run_tasks=left_alone, order=order)

    working[0].join()
    assert [len(ids) for _, ids in night.cloud.orders] == [20]


def test_each_zone_signs_only_with_credentials_for_its_instances() -> None:
    night = a_night((A, 2), (B, 2))
    both = Barrier(2, timeout=WAIT)
    prepared = night.prepared()
    provider: Any = prepared.provider
    signed: list[tuple[set[str], set[str]]] = []

    def sent(request: Any, **_: Any) -> None:
        token = request.headers["X-Amz-Security-Token"]
        token = token.decode() if isinstance(token, bytes) else token
        ids = asked(request)["InstanceId"]
        signed.append((set(ids), night.cloud.named(token)))

    def issued(**_: Any) -> None:
        both.wait()  # until both have scoped credentials, and neither has signed

    events = provider._act.meta.events
    events.register("before-call.ec2", issued)
    events.register_first("before-send.ec2", sent)
    sweep = replace(prepared, run_tasks=FOUR)

    report = act(sweep, plan(sweep))

    assert report.count(Result.VERIFIED) == 4
    assert [len(ids) for ids, _ in signed] == [2, 2]
    assert all(ids == named for ids, named in signed)


def test_every_action_has_an_outcome_in_plan_order_and_chained_entries() -> None:
    night = a_night(*((f"eu-central-1{letter}", 25) for letter in "abcdef"))

    report = swept(night)

    assert report.plan
    assert [o.action for o in report.outcomes] == list(report.plan.actions)
    assert report.count(Result.VERIFIED) == 150
    entries = list(night.ledger.entries(HERE))
    assert broken(entries, first=1) is None
    for kind in (EntryKind.INTENT, EntryKind.OUTCOME):
        named = [e.draft.instance_id for e in entries if e.draft.kind is kind]
        assert sorted(named) == [an_id(n) for n in range(1, 151)]


def test_fleet_in_several_zones_is_claimed_and_released_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    night = a_night((A, 3), (B, 3))
    leased(night, *(an_id(n) for n in range(1, 7)), ends_in=-timedelta(minutes=1))
    both = Barrier(2, timeout=WAIT)
    asked: list[str] = []

    def noted(name: str) -> None:
        was = getattr(MemoryFleets, name)

        def note(self: MemoryFleets, *given: Any, **more: Any) -> Any:
            asked.append(name)
            return was(self, *given, **more)

        monkeypatch.setattr(MemoryFleets, name, note)

    noted("claim")
    noted("unclaim")
    most_at_once = slow_down(monkeypatch, MemoryFleets, "claim")

    report = swept(night, look=lambda ids: both.wait() and None if len(ids) == 3 else None)

    assert report.count(Result.VERIFIED) == 6
    assert asked == ["claim", "unclaim"]
    assert most_at_once() == 1


class TestThreads:
    def test_as_many_tasks_as_the_limit_run_at_a_time(self) -> None:
        """More than an executor has by default, which is 32 at most."""
        all_there = Barrier(40, timeout=WAIT)

        def meet() -> None:
            all_there.wait()

        run_in_threads(40)([meet] * 40)

        assert not all_there.broken

    def test_thread_count_never_exceeds_the_limit(self) -> None:
        going, most_at_once, lock = set[int](), 0, Lock()
        first = Barrier(3, timeout=WAIT)

        def piece(number: int) -> None:
            nonlocal most_at_once
            with lock:
                going.add(number)
                most_at_once = max(most_at_once, len(going))
            if number < 3:
                first.wait()
            sleep(0.01)
            with lock:
                going.discard(number)

        run_in_threads(3)([lambda n=n: piece(n) for n in range(12)])  # type: ignore[misc]

        assert most_at_once == 3

    def test_task_error_is_raised_after_all_ended_and_starts_no_further_task(self) -> None:
        begun: list[int] = []
        broke, ended = Event(), Event()

        def slow() -> None:
            assert broke.wait(WAIT)
            ended.set()

        def breaks() -> None:
            broke.set()
            raise KeyboardInterrupt

        pieces = [slow, breaks, *(lambda n=n: begun.append(n) for n in range(50))]
        with pytest.raises(KeyboardInterrupt):
            run_in_threads(2)(pieces)

        assert ended.is_set()
        assert len(begun) < 50

    def test_caller_runs_all_tasks_when_no_thread_can_start(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_self: Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(Thread, "start", refuse)
        done: list[int] = []

        run_in_threads(4)([lambda n=n: done.append(n) for n in range(9)])  # type: ignore[misc]

        assert done == list(range(9))

    def test_caller_waits_for_every_thread_when_few_can_start(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start, left = Thread.start, [1]

        def refuse(self: Thread) -> None:
            if not left:
                raise RuntimeError("can't start new thread")
            left.pop()
            start(self)

        monkeypatch.setattr(Thread, "start", refuse)
        both, done = Barrier(2, timeout=WAIT), list[int]()

        def piece(number: int) -> None:
            if number < 2:
                both.wait()
            done.append(number)

        run_in_threads(4)([lambda n=n: piece(n) for n in range(9)])  # type: ignore[misc]

        assert sorted(done) == list(range(9))
