"""Continuations finish a sweep that reached its time limit, and Curfew acts on each instance once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from curfew.app import App
from curfew.config import policy_file
from curfew.config.settings import Settings
from curfew.core.audit import EntryKind, broken
from curfew.core.errors import ConflictError, QueueError
from curfew.core.instance import Instance, State
from curfew.core.report import Report, Result, Status
from curfew.core.target import Mode
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Pause
from curfew.orchestration import jobs
from curfew.orchestration.queueing import JobResult
from curfew.orchestration.targets import TargetResolver, sweeps
from curfew.providers.memory import MemoryProvider
from curfew.schemas.messages import Job, SweepRequest
from curfew.sweep import continuation, execution
from curfew.sweep.executor import run_sweep
from tests.builders import HERE, an_id
from tests.night import Time

NIGHT = datetime(2026, 3, 4, 1, 0, tzinfo=UTC)
COUNT = 14
FILE = """
timezone: UTC
limits: { percent: 100, per_day: 14 }
policies:
  nightly: { select: { states: [running], tags: { env: dev } }, action: terminate }
"""
CALLS = ("find", "describe", "protections", "terminate")


@dataclass(slots=True)
class House:
    """An application in which every call to the cloud takes one second."""

    path: Path
    time: Time = field(default_factory=lambda: Time(at=NIGHT))
    cloud: MemoryProvider = field(default_factory=lambda: MemoryProvider(target=HERE))
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    queue: list[Job] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(COUNT):
            id_ = an_id(number)
            self.cloud.instances[id_] = Instance(
                id=id_, target=HERE, zone="ab"[number % 2], state=State.RUNNING,
                instance_type="t2.micro", started_at=NIGHT - timedelta(hours=9), tags={"env": "dev"},
            )  # fmt: skip
        for name in CALLS:
            setattr(self.cloud, name, self._slow(getattr(self.cloud, name)))

    def _slow(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*given: Any, **more: Any) -> Any:
            self.time.at += timedelta(seconds=1)
            return call(*given, **more)

        return slow

    @property
    def app(self) -> App:
        return App(
            settings=Settings(region=HERE.region, mode=Mode.ACT),
            policies=policy_file.load(self.path),
            ledger=self.ledger,
            provider=lambda _region, _account="": self.cloud,
            regions=lambda _account="": frozenset({HERE.region}),
            enqueue=self.queue.append,
            now=self.time.now,
            sleep=self.time.sleep,
        )

    def sweep(self, seconds: float) -> Report:
        """Run the scheduled sweep with a time limit, and return its report."""
        app = self.app
        request = SweepRequest(policy="nightly", schedule="nightly", scheduled_at=NIGHT)
        resolved = TargetResolver(app).resolve(request)
        deadline = self.time.at + timedelta(seconds=seconds)
        (one,) = sweeps(app, request, resolved, deadline=deadline)
        self.reports.append(
            continuation.schedule_continuation(one, run_sweep(one, Mode.ACT), app.enqueue)
        )
        return self.reports[-1]

    def deliver(self, message: Job, seconds: float = 600) -> JobResult:
        done = jobs.run_job(self.app, message, deadline=self.time.at + timedelta(seconds=seconds))
        if done.report:
            self.reports.append(done.report)
        return done

    @property
    def ended(self) -> Counter[str]:
        return Counter(id_ for name, ids in self.cloud.calls if name == "terminate" for id_ in ids)

    def everybody_once(self) -> None:
        """Assert that every instance was terminated by one order, and that the ledger agrees."""
        assert self.ended == Counter(list(self.cloud.instances))
        outcomes = [o for report in self.reports for o in report.outcomes]
        done = Counter(o.action.instance.id for o in outcomes if o.result is Result.VERIFIED)
        assert done == Counter(list(self.cloud.instances))
        entries = list(self.ledger.entries(HERE))
        assert broken(entries, first=1) is None
        # A continuation records again those intents that the sweep recorded but had no time for.
        intents = {e.draft.instance_id for e in entries if e.draft.kind is EntryKind.INTENT}
        assert intents == set(self.cloud.instances)
        assert self.ledger.open_intents(HERE) == ()
        # The daily limit was charged once for each instance.
        assert self.ledger.reserve(HERE, NIGHT.date(), 0, COUNT)
        assert not self.ledger.reserve(HERE, NIGHT.date(), 1, COUNT)
        mark = self.ledger.watermark(HERE, "nightly", "nightly")
        assert mark is not None
        assert (mark.scheduled_at, mark.listed) == (NIGHT, COUNT)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "BATCH", 3)
    monkeypatch.setattr("curfew.sweep.run_state.ROOM", timedelta(seconds=16))
    monkeypatch.setattr(execution, "WAITS", (0,))


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], House]:
    path = tmp_path / "curfew.yaml"
    path.write_text(FILE)
    return lambda: House(path)


def finish(house: House, seconds: float = 600) -> int:
    """Deliver deferred messages until there are none left. Return how many attempts that took."""
    attempts = 0
    while house.queue:
        attempts += 1
        house.deliver(house.queue.pop(0), seconds)
        assert attempts < 99
    return attempts


def test_sweep_interrupted_anywhere_is_finished_by_continuations(make: Callable[[], House]) -> None:
    """The test interrupts at every second, so at every call."""
    whole = make()
    whole.sweep(10_000)
    whole.everybody_once()
    took = int((whole.time.at - NIGHT).total_seconds())
    attempts: set[int] = set()

    for seconds in range(20, took + 18):
        house = make()
        report = house.sweep(seconds)
        assert report.status in {Status.CONTINUED, Status.COMPLETED}, seconds
        attempts.add(finish(house))
        house.everybody_once()

    assert attempts == {0, 1}
    assert took > 15


@pytest.mark.parametrize("seconds", [20, 21, 22])
def test_short_invocations_need_several_continuations(
    make: Callable[[], House], seconds: int
) -> None:
    house = make()
    house.sweep(seconds)
    attempts = finish(house, seconds)
    house.everybody_once()
    assert attempts >= 2
    roots = {
        entry.draft.body.get("asked_by", "").partition(" of ")[2]
        for entry in house.ledger.entries(HERE)
        if entry.draft.kind is EntryKind.INTENT
    }
    assert roots <= {"", house.reports[0].sweep_id}


def test_sweep_stops_after_the_maximum_attempts_and_says_so(make: Callable[[], House]) -> None:
    house = make()
    house.sweep(20)
    assert len(house.queue) == 1

    attempts = finish(house, 15)  # too little for any batch

    assert attempts == continuation.MAX_ATTEMPTS
    last = house.reports[-1]
    assert last.status is Status.STOPPED
    assert last.failed
    assert f"this was the last of {continuation.MAX_ATTEMPTS} continuations" in last.problem
    assert house.ledger.watermark(HERE, "nightly", "nightly") is None


def test_duplicate_continuation_finds_nothing_left(make: Callable[[], House]) -> None:
    house = make()
    house.sweep(26)
    message = house.queue.pop()

    house.deliver(message)
    assert "nothing is done" in house.deliver(message).message

    finish(house)
    house.everybody_once()


def test_sweep_stops_without_a_working_queue(
    make: Callable[[], House],
) -> None:
    def shut(_work: Job) -> None:
        raise QueueError("gone")

    for defer in (None, shut):
        house = make()
        app = house.app
        request = SweepRequest(policy="nightly")
        resolved = TargetResolver(app).resolve(request)
        deadline = house.time.at + timedelta(seconds=26)
        (one,) = sweeps(app, request, resolved, deadline=deadline)
        report = continuation.schedule_continuation(one, run_sweep(one, Mode.ACT), defer)
        assert report.status is Status.STOPPED
        assert ("the continuation could not be scheduled: gone" in report.problem) == (
            defer is shut
        )


def test_continuation_that_was_never_sent_is_found_by_the_next_sweep(
    make: Callable[[], House],
) -> None:
    house = make()
    house.sweep(26)
    house.queue.clear()
    house.time.at += timedelta(days=1)
    house.sweep(10_000)
    assert house.ended == Counter(list(house.cloud.instances))


def test_instance_protected_or_renewed_in_between_is_kept(make: Callable[[], House]) -> None:
    house = make()
    house.sweep(26)
    left = [i for i in house.cloud.instances.values() if i.state is State.RUNNING]
    renewed = left[0]
    house.cloud.instances[renewed.id] = type(renewed)(
        **{
            **{f: getattr(renewed, f) for f in renewed.__slots__},
            "tags": {"env": "dev", "curfew:keep": ""},
        }
    )

    finish(house)

    assert house.ended == Counter(id_ for id_ in house.cloud.instances if id_ != renewed.id)


def test_continuation_acts_only_on_the_instances_left(make: Callable[[], House]) -> None:
    house = make()
    house.sweep(26)
    first = next(iter(house.cloud.instances.values()))
    late = an_id(99)
    house.cloud.instances[late] = type(first)(
        **{**{f: getattr(first, f) for f in first.__slots__}, "id": late, "state": State.RUNNING}
    )

    finish(house)

    assert late not in house.ended


def test_stale_continuation_or_one_of_other_policies_is_refused(
    make: Callable[[], House],
) -> None:
    house = make()
    house.sweep(26)
    (message,) = house.queue
    house.path.write_text(FILE + "# changed\n")
    with pytest.raises(ConflictError, match="other policies"):
        house.deliver(message)
    house.path.write_text(FILE)
    house.time.at += continuation.LIFETIME + timedelta(seconds=1)
    with pytest.raises(ConflictError, match="expired at"):
        house.deliver(message)


def test_paused_sweep_schedules_no_continuation(make: Callable[[], House]) -> None:
    house = make()
    terminate = house.cloud.terminate

    def paused(ids: Sequence[str], *, by: str) -> Any:
        house.ledger.pause(Pause(since=NIGHT, by="kim", reason="exam"))
        return terminate(ids, by=by)

    house.cloud.terminate = paused  # type: ignore[method-assign]
    assert house.sweep(10_000).status is Status.PAUSED
    assert house.queue == []
