"""A tick runs each due sweep once, retries failed ones within bounds, and lets no sweep delay another."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from curfew.app import App
from curfew.config import policy_file
from curfew.config.settings import Settings
from curfew.core.errors import LedgerError, ProviderError, RequestError, SweepFailedError
from curfew.core.instance import Instance, State
from curfew.core.target import Mode
from curfew.handlers import sweep
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Pause, ScheduleRun
from curfew.orchestration import sweeps, tick
from curfew.orchestration.scheduler import next_due
from curfew.providers.memory import MemoryProvider
from curfew.schemas.messages import SweepRequest, TickRequest
from tests.builders import HERE, an_id
from tests.http import Context
from tests.night import Time

NIGHT = datetime(2026, 3, 4, 1, 0, tzinfo=UTC)  # two o'clock in Zurich
MINUTE = timedelta(minutes=1)
FILE = """
timezone: Europe/Zurich
limits: { percent: 100 }
policies:
  nightly: { select: { states: [running], tags: { env: dev } }, action: terminate }
  leases: { select: { lease: expired }, action: terminate }
schedules:
  nightly: { policy: nightly, at: "02:00" }
  leases: { policy: leases, every: 15m }
"""
TICK = TickRequest(tick=True)


@dataclass(slots=True)
class House:
    """An application with a manual clock."""

    path: Path
    mode: Mode = Mode.ACT
    time: Time = field(default_factory=lambda: Time(at=NIGHT))
    cloud: MemoryProvider = field(default_factory=lambda: MemoryProvider(target=HERE))
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    @property
    def app(self) -> App:
        return App(
            settings=Settings(region=HERE.region, mode=self.mode),
            policies=policy_file.load(self.path),
            ledger=self.ledger,
            provider=lambda _region, _account="": self.cloud,
            regions=lambda _account="": frozenset({HERE.region}),
            now=self.time.now,
            sleep=self.time.sleep,
        )

    def forget(self, number: int) -> str:
        """Add a running instance, and return its id."""
        id_ = an_id(number)
        self.cloud.instances[id_] = Instance(
            id=id_, target=HERE, zone="a", state=State.RUNNING, instance_type="t2.micro",
            started_at=self.time.at - timedelta(hours=9), tags={"env": "dev"},
        )  # fmt: skip
        return id_

    def tick(self) -> dict[str, Any]:
        return sweep.tick(TICK, Context(), self.app)  # type: ignore[arg-type]

    def due(self) -> list[str]:
        app = self.app
        found = [next_due(app, one, self.time.now()) for one in app.policies.schedules()]
        return [due.request.schedule for due in found if due]

    @property
    def ended(self) -> list[str]:
        return [id_ for name, ids in self.cloud.calls if name == "terminate" for id_ in ids]


@pytest.fixture
def house(tmp_path: Path) -> House:
    path = tmp_path / "curfew.yaml"
    path.write_text(FILE)
    return House(path)


def test_due_window_is_swept_once_however_often_the_scheduler_ticks(house: House) -> None:
    one = house.forget(1)

    assert set(house.tick()["due"]) == {"nightly", "leases"}
    two = house.forget(2)
    for _ in range(4):
        assert house.tick() == {"due": {}}
        house.time.at += 3 * MINUTE

    assert house.ended == [one]
    assert house.cloud.instances[two].state is State.RUNNING


def test_schedule_is_due_neither_before_its_time_nor_long_after(house: House) -> None:
    house.time.at = NIGHT - MINUTE
    assert house.due() == ["leases"]
    house.time.at = NIGHT + timedelta(hours=4, minutes=1)
    assert "nightly" not in house.due()


def test_missed_window_is_caught_up(house: House) -> None:
    one = house.forget(1)
    house.time.at = NIGHT + timedelta(hours=3, minutes=59)
    house.tick()
    assert house.ended == [one]


def test_failed_window_is_retried_at_growing_intervals_and_then_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = house.forget(1)
    find = MemoryProvider.find
    tries: list[datetime] = []

    def broken(self: MemoryProvider, selector: Any, *, narrow: bool) -> Any:
        if selector.tags:
            tries.append(house.time.at)
            raise ProviderError("no answer")
        return find(self, selector, narrow=narrow)

    monkeypatch.setattr(MemoryProvider, "find", broken)
    for _ in range(60):
        try:
            house.tick()
        except SweepFailedError as failed:
            assert "nightly" in str(failed)  # noqa: PT017  in each of them
        house.time.at += 4 * MINUTE

    assert [at - NIGHT for at in tries] == [timedelta(0), 32 * MINUTE, 124 * MINUTE]
    assert house.ended == []

    house.time.at = NIGHT + timedelta(days=1)
    monkeypatch.setattr(MemoryProvider, "find", find)
    house.tick()
    assert house.ended == [one]


def test_failed_schedule_does_not_block_another(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    swept = sweeps.sweep

    def failing(app: App, request: SweepRequest, **more: Any) -> Any:
        made.append(request.schedule)
        if request.schedule == "nightly":
            raise LedgerError("gone")
        return swept(app, request, **more)

    monkeypatch.setattr(tick, "sweep", failing)
    with pytest.raises(SweepFailedError, match="nightly: gone"):
        house.tick()
    assert made == ["nightly", "leases"]


def test_one_of_two_concurrent_ticks_starts_the_sweep(house: House) -> None:
    app = house.app
    nightly = app.policies.schedules()[0]
    first = next_due(app, nightly, NIGHT)
    house.ledger._schedule_runs.clear()  # as the second one has read it
    begun = house.ledger.begin_schedule_run
    assert first is not None

    def late(run: ScheduleRun, *, after: ScheduleRun | None) -> bool:
        other = replace(run, run_id="another")
        assert begun(other, after=None)
        return begun(run, after=after)

    house.ledger.begin_schedule_run = late  # type: ignore[method-assign]
    assert next_due(app, nightly, NIGHT) is None


def test_paused_scheduler_starts_nothing_and_the_window_waits(house: House) -> None:
    one = house.forget(1)
    house.ledger.pause(Pause(since=NIGHT, by="kim", reason="exam"))
    assert house.tick() == {"due": {}}
    house.ledger.resume()
    house.time.at += timedelta(hours=2)
    house.tick()
    assert house.ended == [one]


def test_window_in_report_mode_is_reported_once(house: House) -> None:
    house.mode = Mode.REPORT
    house.forget(1)
    assert set(house.tick()["due"]) == {"nightly", "leases"}
    house.time.at += 20 * MINUTE
    assert house.due() == ["leases"]
    assert house.ended == []


def test_duplicate_of_a_completed_window_does_nothing(house: House) -> None:
    house.tick()
    house.forget(2)
    again = SweepRequest(policy="nightly", schedule="nightly", scheduled_at=NIGHT)
    answer = sweep.sweep(again, Context(), house.app)  # type: ignore[arg-type]
    assert answer["sweeps"][0]["status"] == "duplicate"
    assert house.ended == []


@pytest.mark.parametrize("event", [{"tick": False}, {"tick": "yes"}, {"tick": True, "policy": "x"}])
def test_tick_with_other_fields_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="the request for a tick"):
        TickRequest.parse(event)
