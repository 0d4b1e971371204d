"""Plays a schedule of the model of the ending with the real ``sweep``, and compares the two after every step.

The real calls have to be those that the model names, in its order. Only reads that can change nothing are passed over:
empty reads of leases, the looks of ``verify`` after the first, the pause switch for the status at the end.

Of the 20 minutes after a crash, 11 pass at the crash and 10 at the model's step *late*: what began after the crash
is then not too old to go on. One who began before it would be stopped by the age of its plan, of which the model knows
nothing; a schedule in which it is still at work then cannot be played.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from curfew.clock import Clock
from curfew.core.audit import EntryKind
from curfew.core.errors import AmbiguousError
from curfew.core.instance import State
from curfew.core.lease import Fleet
from curfew.core.policy import Limits, Policy
from curfew.ledger.records import Pause
from curfew.providers.memory import MemoryProvider
from curfew.sweep.context import Sweep
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from tests.builders import HERE, NO_LIMITS, NOW, a_policy, a_selector, an_id, an_instance
from tests.cloud import SimulatedEc2
from tests.model.ending import DEAD, DONE, HANG, LATE, NO_SWEEP, RENEWED, UNBEGUN, Ending, World
from tests.model.stage import ClientObserver
from tests.night import Night, leased

CALLS = {
    "list": "find", "leases": "leases", "watermark": "watermark", "pause": "paused", "open": "open_intents",
    "look-open": "describe", "settle": "append", "reserve": "reserve", "batch": "paused", "look": "describe",
    "look-leases": "leases", "claim": "claim", "intents": "append", "pause-intents": "paused",
    "pause-order": "paused", "order": "terminate", "verify": "describe", "outcomes": "append", "end": "end",
    "unclaim": "unclaim", "complete": "complete", DONE: "", DEAD: "",
}  # fmt: skip
PORTS = frozenset((*CALLS.values(), "now")) - {""}
PASSED_OVER = frozenset(("leases", "describe", "paused", "now"))
# What the clock says counts at these steps: they begin with reading it.
TIMED = frozenset(("open", "claim"))
ONE, TWO = an_id(1), an_id(2)
ZONES = ("eu-central-1a", "eu-central-1b")
TAGS = {"env": "dev", "curfew:fleet": "lab"}
MINUTE = timedelta(minutes=1)

Path = list[tuple[str, World]]


class _Cloud:
    """The cloud as one invocation has it: its order may go wrong."""

    def __init__(self, cloud: MemoryProvider, player: ClientObserver) -> None:
        self._cloud, self._player = cloud, player

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cloud, name)

    def terminate(self, ids: Any, *, by: str) -> Any:
        bend, self._player.bend = self._player.bend, ""
        if bend == "the cloud agrees and does nothing":
            return dict.fromkeys(ids, State.RUNNING)
        if bend == "the call is lost":
            raise AmbiguousError(bend)
        before = self._cloud.terminate(ids, by=by)
        if bend == "the answer is lost":
            raise AmbiguousError(bend)
        return before


class Replay:
    """The real code on a cloud, a ledger and a clock of its own."""

    def __init__(self, model: Ending) -> None:
        self.model = model
        zones = ZONES if len(model.zones) > 1 else (ZONES[0], ZONES[0])
        machines = (an_instance(n, tags=TAGS, zone=zone) for n, zone in enumerate(zones, 1))
        self.cloud = MemoryProvider(machines, target=HERE)
        limits: Limits = replace(NO_LIMITS, per_day=model.limit)
        self.policy: Policy = a_policy(selector=a_selector(tags=(), expired=True), limits=limits)
        self.night = Night(cloud=SimulatedEc2(), policy=self.policy)
        self.ledger = self.night.ledger
        self.lab: Fleet = leased(self.night, ONE, TWO, ends_in=-MINUTE)
        self.promised: bool | None = None
        self.players = [
            ClientObserver(name, lambda player, k=k: self._sweep(player, k))  # type: ignore[misc]
            for k, name in enumerate((*model.names, "the calm"))
        ]

    def play(self, path: Path) -> None:
        """Every step; and then, unless something is wrong already, the next day, on which one more sweep comes."""
        world = self.model.start
        try:
            for step, after in path:
                self._step(step, world, after)
                self.compare(after, step)
                world = after
            if not world.wrong:
                self._calm()
                calmed = self.model.calmed(world)
                self.compare(calmed, "the calm")
                assert self._intended() == calmed.written[-2:].count((1, 1)), "the calm"
        finally:
            for player in self.players:
                player.leave()

    def _calm(self) -> None:
        self.ledger.resume()
        self.night.time.at += timedelta(days=1)
        player = self.players[-1]
        player.begin()
        while player.at:
            player.go()

    def compare(self, world: World, step: str) -> None:
        """What there is, in the model and in truth."""
        assert self.running == world.running, step
        assert self._claim() == world.claim, step
        assert (self._switch() is not None) == (world.paused == 1), step
        runs = self._fleet().lease.is_active(self.night.time.now())
        assert runs == (world.lease == RENEWED), step
        opened = {(sweep, bit) for sweep in range(len(world.written) // 2) for bit in (0, 1)
                  if world.written[2 * sweep + bit][0] > world.written[2 * sweep + bit][1]}  # fmt: skip
        assert self._open() == opened, step

    @property
    def running(self) -> int:
        """Who runs, as bits."""
        there = self.cloud.instances
        return sum(1 << n for n, id_ in enumerate((ONE, TWO)) if there[id_].state is State.RUNNING)

    @property
    def outcomes(self) -> list[tuple[str, str, str]]:
        """Sweep, instance and result of every outcome that is written."""
        return [
            (e.draft.sweep_id, e.draft.instance_id, e.draft.body["result"])
            for e in self.ledger.entries(HERE)
            if e.draft.kind is EntryKind.OUTCOME
        ]

    def _step(self, step: str, before: World, after: World) -> None:
        name, _, did = step.partition(": ")
        if name in self.model.names:
            self._run(self.model.names.index(name), did, before, after)
        elif step == LATE:
            self.night.time.at += 10 * MINUTE
        elif step == HANG:
            self.night.time.at += 21 * MINUTE
        elif step.startswith("the owner renews"):
            now = self.night.time.now()
            self.promised = self.ledger.fleets.renew(
                self._fleet(), now + timedelta(days=30), now=now
            )
            assert self.promised == (after.lease == RENEWED), step
        elif step.startswith("an operator sets"):
            one = self.cloud.instances[ONE]
            self.cloud.instances[ONE] = replace(one, tags={**one.tags, "curfew:keep": ""})
        elif step.endswith("thrown"):
            self.ledger.pause(Pause(since=NOW, by="kim", reason="a drill"))
        elif step.endswith("released"):
            self.ledger.resume()
        else:
            raise AssertionError(step)

    def _run(self, k: int, did: str, before: World, after: World) -> None:
        player, at = self.players[k], before.runs[k].at
        if at == UNBEGUN:
            player.begin()
        self._stands(player, _first(at))
        if did.startswith("crashes"):
            player.crash()
            self.night.time.at += 11 * MINUTE
            return
        _, _, player.bend = did.partition("; ")
        player.go()
        if at in TIMED:
            self._stands(player, CALLS[at])
            player.go()
        self._stands(player, _first(after.runs[k].at))

    @staticmethod
    def _stands(player: ClientObserver, call: str) -> None:
        while player.at != call and player.at in PASSED_OVER:
            player.go()
        assert player.at == call, (
            f"{player.name} is to {call or 'end'} and stands before {player.at or 'its end'}"
        )

    def _sweep(self, player: ClientObserver, k: int) -> None:
        time = self.model.times[k] if k < len(self.model.times) else 0
        sweep = Sweep(
            id=f"sweep-{self.model.id(k)}",
            policy=self.policy,
            provider=player.port(_Cloud(self.cloud, player), PORTS),
            ledger=player.port(self.ledger, PORTS),
            clock=Clock(now=player.port(self.night.time, PORTS).now, sleep=self.night.time.sleep),
            timezone=ZoneInfo("Europe/Zurich"),
            schedule="leases" if time else "",
            scheduled_at=NOW + time * MINUTE if time else None,
        )
        act(sweep, plan(sweep))

    def _intended(self) -> int:
        """How many intents the sweep in the calm wrote."""
        sweep = f"sweep-{self.model.id(len(self.model.names))}"
        drafts = [entry.draft for entry in self.ledger.entries(HERE)]
        return sum(d.kind is EntryKind.INTENT and d.sweep_id == sweep for d in drafts)

    def _switch(self) -> Pause | None:
        ledger: Any = self.ledger  # and not through ``paused``, which a test may take out
        switch: Pause | None = ledger._pause
        return switch

    def _fleet(self) -> Fleet:
        return self.ledger.fleets.get("lab") or self.lab

    def _claim(self) -> int:
        fleet = self._fleet()
        claimed = fleet.claimed(self.night.time.now())
        return int(fleet.claimed_by.removeprefix("sweep-")) if claimed else NO_SWEEP

    def _open(self) -> set[tuple[int, int]]:
        entries = self.ledger.open_intents(HERE)
        return {
            (int(e.draft.sweep_id.removeprefix("sweep-")), (ONE, TWO).index(e.draft.instance_id))
            for e in entries
        }


def _first(at: str) -> str:
    return "now" if at in TIMED else CALLS[at]


def playable(path: Path) -> bool:
    """Whether no invocation that began before the crash is at work at *late*."""
    old: set[int] = set()
    for step, world in path:
        at_work = {k for k, run in enumerate(world.runs) if run.at not in (UNBEGUN, DONE, DEAD)}
        if "crashes" in step:
            old = at_work
        if step == LATE and old & at_work:
            return False
    return True
