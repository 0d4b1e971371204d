"""The real handlers resume a sweep that is interrupted at any call to the cloud or the ledger.

Each message is delivered twice.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from curfew.app import App
from curfew.config.policy_file import PolicyFile, load
from curfew.config.settings import Settings
from curfew.core.audit import EntryKind, broken
from curfew.core.errors import LedgerError, QueueError, SweepFailedError
from curfew.core.report import Report, Status
from curfew.core.target import Mode
from curfew.handlers import deadline
from curfew.handlers import sweep as handler
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import ContinuationPhase, Pause
from curfew.orchestration import sweeps
from curfew.schemas.messages import Job, SweepRequest
from curfew.sweep.continuation import MAX_ATTEMPTS
from curfew_simulator.cloud.history import CallRecord
from demo.__main__ import Context
from tests.builders import HERE, NOW, an_id
from tests.cloud import SimulatedEc2, a_machine, refusal
from tests.night import Time, leased

A, B = "eu-central-1a", "eu-central-1b"
SCHEDULE = "arn:aws:scheduler:eu-central-1:123456789012:schedule/default/nightly"
LONG = timedelta(minutes=15)
POLICIES = """
timezone: Etc/UTC
limits: { per_sweep: 100, percent: 100, per_day: %d }
policies:
  nightly:
    select: { states: [running], tags: { env: [dev] } }
    action: terminate
"""


class Crash(BaseException):
    """The process ends here."""


class TickingLedger:
    """A ledger that calls ``tick`` before each call of it or its parts."""

    def __init__(self, inner: Any, tick: Callable[[str], None]) -> None:
        self._inner, self._tick = inner, tick

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._inner, name)
        if name in {"fleets", "plans", "continuations"}:
            return TickingLedger(there, self._tick)

        def call(*given: Any, **more: Any) -> Any:
            self._tick(name)
            return there(*given, **more)

        return call


@dataclass
class Stack:
    """An application that acts on a cloud; ``at`` has the functions to run at certain calls of an invocation."""

    policies: PolicyFile
    machines: int = 5
    time: Time = field(default_factory=Time)
    sent: list[Job] = field(default_factory=list)
    queue: bool = True
    mode: Mode = Mode.ACT
    calls: int = 0
    names: list[str] = field(default_factory=list)
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    providers: dict[Mode, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        zones = [A if n % 2 else B for n in range(1, self.machines + 1)]
        self.cloud = SimulatedEc2(*(a_machine(id=an_id(n), zone=z) for n, z in enumerate(zones, 1)))
        self.cloud.now = self.time.now
        self.cloud.world.every_call(self.arrived)
        self.ledger = MemoryLedger()

    def arrived(self, call: CallRecord) -> None:
        if call.service == "ec2":
            self.tick("cloud")

    def tick(self, name: str) -> None:
        self.calls += 1
        self.names.append(name)
        if happens := self.at.get(self.calls):
            happens()

    @property
    def app(self) -> App:
        if self.mode not in self.providers:
            self.providers[self.mode] = self.cloud.provider(self.mode)
        provider = self.providers[self.mode]
        ledger: Any = TickingLedger(self.ledger, self.tick)
        return App(
            settings=Settings(region=HERE.region, mode=self.mode),
            policies=self.policies,
            ledger=ledger,
            provider=lambda _region, _account="": provider,
            regions=lambda _account="": frozenset({HERE.region}),
            enqueue=self.send if self.queue else None,
            now=self.time.now,
            sleep=self.time.sleep,
        )

    def send(self, job: Job) -> None:
        self.tick("send")
        self.sent.append(job)

    def leave(self, seconds: int) -> Callable[[], None]:
        """Return a function that advances the clock until the invocation has only these seconds left."""

        def jump() -> None:
            self.time.at = self.begun + LONG - deadline.MARGIN - timedelta(seconds=seconds)

        return jump

    def invoke(self, begin: Callable[[], object]) -> bool:
        """Run one invocation, and return whether it succeeded."""
        self.calls, self.names, self.begun = 0, [], self.time.at
        try:
            begin()
        except SweepFailedError:
            return False
        return True

    def sweep(self) -> bool:
        request = SweepRequest(policy="nightly", schedule=SCHEDULE, scheduled_at=self.time.at)
        return self.invoke(lambda: handler.sweep(request, Context(), self.app))

    def deliver(self, work: Job) -> bool:
        record = {
            "messageId": "m", "receiptHandle": "r", "body": work.model_dump_json(exclude_none=True),
            "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:work", "awsRegion": "eu-central-1",
        }  # fmt: skip
        answers: list[Any] = []
        well = self.invoke(
            lambda: answers.append(
                handler.handle_messages({"Records": [record]}, Context(), self.app)
            )
        )
        return well and answers == [{"batchItemFailures": []}]

    def work_off(self, *, cut: dict[int, Callable[[], None]] | None = None) -> list[bool]:
        """Deliver every message twice, new ones included. ``cut`` applies to each first delivery.

        Return whether each first delivery succeeded.
        """
        well = []
        while self.sent:
            work = self.sent.pop(0)
            self.at = dict(cut or {})
            well.append(self.deliver(work))
            self.at = {}
            before = list(self.cloud.orders)
            assert self.deliver(work)
            assert self.cloud.orders == before, "a message that comes twice orders nothing"
        return well

    @property
    def ordered(self) -> Counter[str]:
        return Counter(id_ for _, ids in self.cloud.orders for id_ in ids)

    @property
    def results(self) -> dict[str, list[str]]:
        """Return the results of each instance in the audit, from first to last."""
        said: dict[str, list[str]] = {}
        for entry in self.ledger.entries(HERE):
            if entry.draft.kind is EntryKind.OUTCOME:
                said.setdefault(entry.draft.instance_id, []).append(entry.draft.body["result"])
        return said

    def spent(self, day: date) -> int:
        return self.ledger._spent["ec2", HERE.account, day]

    def all_once(self, *ends: str) -> None:
        """Assert one order and one of these results for each instance, an unbroken chain, and one charge to the day."""
        everybody = [an_id(n) for n in range(1, self.machines + 1)]
        assert self.ordered == Counter(everybody)
        assert self.cloud.ids("running") == set()
        assert sorted(self.results) == everybody
        for said in self.results.values():
            assert said[-1] in (ends or ("verified",))
            assert set(said[:-1]) <= {"not-attempted"}
        assert broken(self.ledger.entries(HERE), first=1) is None
        assert self.ledger.open_intents(HERE) == ()
        assert self.spent(NOW.date()) == self.machines


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> PolicyFile:
    return policies_in(tmp_path_factory.mktemp("policies"))


def policies_in(folder: Path, *, per_day: int = 100, more: str = "") -> PolicyFile:
    file = folder / "curfew.yaml"
    file.write_text(POLICIES % per_day + more)
    return load(file)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curfew.sweep.execution.BATCH", 1)


def whole(policies: PolicyFile) -> list[str]:
    """Return the calls of an uninterrupted sweep."""
    stack = Stack(policies)
    assert stack.sweep()
    stack.all_once()
    return stack.names


def first_order(names: list[str]) -> int:
    return names.index("reserve") + 1


@pytest.mark.parametrize("left", [40, 11, 0])
def test_successor_terminates_each_instance_once_wherever_it_is_interrupted(
    policies: PolicyFile, left: int
) -> None:
    names = whole(policies)
    ends = ("verified",) if left == 40 else ("verified", "accepted")
    continued = 0
    for cut in range(first_order(names), len(names) + 1):
        stack = Stack(policies)
        stack.at[cut] = stack.leave(left)

        assert stack.sweep(), f"cut at call {cut}, {names[cut - 1]}"
        continued += len(stack.sent)
        if stack.sent:
            mark = stack.ledger.watermark(HERE, "nightly", SCHEDULE)
            assert mark is None, "the window counts only when the last hop is complete"
        assert all(stack.work_off())

        stack.all_once(*ends)
        mark = stack.ledger.watermark(HERE, "nightly", SCHEDULE)
        assert mark is not None
        assert (mark.scheduled_at, mark.listed) == (NOW, stack.machines)
    assert continued > 20


def test_sweep_interrupted_repeatedly_at_one_call_still_finishes(
    policies: PolicyFile,
) -> None:
    """If a batch completes before the interruption, the test interrupts each further attempt, too."""
    continued = set()
    for cut in range(1, 45, 2):
        stack = Stack(policies)
        stack.at[cut + 15] = stack.leave(40)
        assert stack.sweep()
        well = stack.work_off(cut={cut: stack.leave(40)})
        continued.add(len(well))
        if all(well):
            stack.all_once()
        else:
            # No attempt completes any work, and Curfew makes eight at most.
            assert well == [True] * (MAX_ATTEMPTS - 1) + [False]
            assert max(stack.ordered.values(), default=0) <= 1
            assert stack.ledger.watermark(HERE, "nightly", SCHEDULE) is None
            stack.time.at = NOW + timedelta(days=1)
            assert stack.sweep()
            assert stack.ordered == Counter(an_id(n) for n in range(1, 6))
    assert {1, MAX_ATTEMPTS} < continued


def test_next_scheduled_sweep_finds_everything_after_any_crash(
    policies: PolicyFile,
) -> None:
    def crash() -> None:
        raise Crash

    end = first_order(whole(policies)) + 10
    stack = Stack(policies)
    stack.at[end] = stack.leave(40)
    assert stack.sweep()
    assert stack.names[-1] == "send"
    calls, reached = len(stack.names), 0
    for cut in range(first_order(stack.names), calls + 1):
        stack = Stack(policies)
        stack.at[end] = stack.leave(40)
        stack.at[cut] = crash
        with pytest.raises(Crash):
            stack.sweep()
        reached += 1
        stack.at = {}
        stack.time.at = NOW + timedelta(days=1)
        assert stack.sweep()
        assert stack.cloud.ids("running") == set()
        assert set(stack.ordered.values()) == {1}
        assert stack.ledger.open_intents(HERE) == ()
    assert reached > 10


def cut(policies: PolicyFile, *, after: int = 10, **more: Any) -> Stack:
    """Return a stack whose sweep was interrupted, with its message in the queue."""
    stack = Stack(policies, **more)
    stack.at[first_order(whole(policies)) + after] = stack.leave(40)
    assert stack.sweep()
    (work,) = stack.sent
    assert work == Job(work="resume", id=f"{work.id.removesuffix('-attempt-1')}-attempt-1")
    return stack


def test_continuation_names_its_root_sweep_and_attempt(
    policies: PolicyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Report] = []
    monkeypatch.setattr(handler, "publish", said.append)
    monkeypatch.setattr(sweeps, "publish", said.append)
    stack = cut(policies)
    stack.work_off(cut={30: stack.leave(40)})

    _whole, root, *continued = said
    assert root.status is Status.CONTINUED
    assert not root.failed
    assert root.problem == "4 are left to continuation 1 of 8"
    assert [(one.root_sweep_id, one.attempt) for one in continued] == [
        (root.sweep_id, number) for number in range(1, len(continued) + 1)
    ]
    assert len({report.sweep_id for report in said}) == len(said)
    assert len(continued) > 1
    assert continued[-1].status is Status.COMPLETED


def test_sweep_without_a_queue_stops_at_the_deadline(policies: PolicyFile) -> None:
    stack = Stack(policies, queue=False)
    stack.at[first_order(whole(policies)) + 10] = stack.leave(40)

    assert not stack.sweep()
    assert stack.sent == []
    assert stack.cloud.ids("running")


@pytest.mark.parametrize("what", ["pause", "refusal"])
def test_sweep_stopped_for_another_reason_schedules_no_continuation(
    policies: PolicyFile, what: str
) -> None:
    stack = Stack(policies)
    if what == "pause":
        thrown = Pause(since=NOW, by="kim", reason="exam today")
        stack.cloud.before("TerminateInstances", lambda: stack.ledger.pause(thrown))
    else:
        stack.cloud.fail("TerminateInstances", refusal("AuthFailure", 403))

    stack.sweep()

    assert len(stack.cloud.orders) == 1
    assert stack.sent == []


def test_continuation_of_other_policies_is_refused(policies: PolicyFile, tmp_path: Path) -> None:
    stack = cut(policies)
    before = stack.ordered
    stack.policies = policies_in(tmp_path, more="# another version\n")

    assert not stack.deliver(stack.sent[0])
    assert stack.ordered == before


def test_continuation_delivered_after_an_hour_is_refused(policies: PolicyFile) -> None:
    stack = cut(policies)
    before = stack.ordered
    stack.time.at += timedelta(minutes=61)

    assert not stack.deliver(stack.sent[0])
    assert stack.ordered == before


def test_report_mode_resumes_no_continuation(policies: PolicyFile) -> None:
    stack = cut(policies)
    before = stack.ordered
    stack.mode = Mode.REPORT

    assert not stack.deliver(stack.sent[0])
    assert stack.ordered == before


def test_paused_continuation_makes_no_call(policies: PolicyFile) -> None:
    stack = cut(policies)
    before = stack.ordered
    stack.ledger.pause(Pause(since=NOW, by="kim", reason="exam today"))

    assert stack.deliver(stack.sent.pop())
    assert stack.ordered == before
    assert stack.sent == []
    assert stack.ledger.watermark(HERE, "nightly", SCHEDULE) is None


@pytest.mark.parametrize("change", ["tagged", "protected", "leased", "gone", "stopped"])
def test_instance_no_longer_due_is_not_terminated(policies: PolicyFile, change: str) -> None:
    stack = cut(policies)
    last = max(stack.cloud.ids("running"))
    match change:
        case "tagged":
            stack.cloud.tag(last, curfew__keep="")
        case "protected":
            stack.cloud.change(last, termination_protected=True)
        case "leased":
            leased(stack, last, ends_in=timedelta(hours=1))  # type: ignore[arg-type]
        case "gone":
            stack.cloud.machines.pop(last)
        case "stopped":
            stack.cloud.change(last, state="stopped")

    assert all(stack.work_off())

    assert stack.ordered[last] == 0
    assert sum(stack.ordered.values()) == stack.machines - 1
    assert stack.ledger.watermark(HERE, "nightly", SCHEDULE) is not None


def test_instance_launched_since_is_not_part_of_the_continuation(policies: PolicyFile) -> None:
    stack = cut(policies)
    stack.cloud.add(a_machine(id=an_id(99), zone=A))

    assert all(stack.work_off())

    assert stack.cloud.ids("running") == {an_id(99)}


def test_continuation_uses_the_daily_budget_of_its_first_sweep(tmp_path: Path) -> None:
    tight = policies_in(tmp_path, per_day=5)
    stack = cut(tight)

    assert all(stack.work_off())

    stack.all_once()


def test_continuation_of_a_failed_sweep_finishes_and_leaves_the_window_open(
    policies: PolicyFile,
) -> None:
    stack = Stack(policies)
    stack.cloud.deny(an_id(2))
    stack.at[first_order(whole(policies)) + 40] = stack.leave(40)

    assert not stack.sweep()
    assert len(stack.sent) == 1
    assert all(stack.work_off())

    assert stack.cloud.ids("running") == {an_id(2)}
    assert stack.ledger.watermark(HERE, "nightly", SCHEDULE) is None


@pytest.mark.parametrize("broken_", ["queue", "ledger"])
def test_continuation_that_cannot_be_scheduled_is_left_to_the_next_sweep(
    policies: PolicyFile, broken_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Report] = []
    monkeypatch.setattr(handler, "publish", said.append)
    monkeypatch.setattr(sweeps, "publish", said.append)
    stack = Stack(policies)

    def fail(*_: Any) -> None:
        raise QueueError("shut") if broken_ == "queue" else LedgerError("shut")

    if broken_ == "queue":
        monkeypatch.setattr(stack, "send", fail)
    else:
        monkeypatch.setattr(stack.ledger.continuations, "save", fail)
    stack.at[first_order(whole(policies)) + 10] = stack.leave(40)

    assert not stack.sweep()
    assert said[-1].status is Status.STOPPED
    assert said[-1].problem.endswith("and the continuation could not be scheduled: shut")


def test_continuation_cannot_be_read_or_applied_as_a_plan(policies: PolicyFile) -> None:
    stack = cut(policies)
    (work,) = stack.sent
    before = stack.ordered

    assert not stack.deliver(Job(work="apply", id=work.id))
    assert not stack.deliver(Job(work="plan", id=work.id))

    assert stack.ordered == before
    assert stack.ledger.plans.get(work.id) is None
    continuation = stack.ledger.continuations.get(work.id)
    assert continuation is not None
    assert continuation.phase is ContinuationPhase.WAITING


def test_message_of_a_sweep_without_a_continuation_fails(policies: PolicyFile) -> None:
    stack = Stack(policies)

    assert not stack.deliver(Job(work="resume", id="nothing"))
