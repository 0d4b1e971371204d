"""Plays a schedule of the model of the launch with the real ``launching``, and compares the two after every step.

Passed over is what the model leaves out: the frozen order, the audit, the looks after a launch, and the further looks
of one ``_find_by_token``. The lock runs out by the clock, which moves past ``LOCK`` at once; no claim outlives a
schedule.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from curfew.clock import Clock
from curfew.core.errors import AmbiguousError, ProviderError
from curfew.core.launch import LaunchSpec, Pool, token
from curfew.core.lease import Fleet
from curfew.fleets import launcher
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Key
from curfew.providers.base import LaunchCall as Call
from curfew.providers.memory import MemoryProvider
from tests.builders import HERE, NOW
from tests.model.launch import DEAD, DONE, ORDER, UNBEGUN, Launch, World
from tests.model.stage import ClientObserver
from tests.night import Time

CALLS = {
    "begin": "lock", "keep": "lock", "hold": "lock", "read": "attempts", "attempt": "begin_attempt", "break-off": "get",
    "find": "launched", "find-empty": "launched", "call": "launch", "record": "record", "settle": "finish_attempt",
    "advance": "advance", "let-go": "advance", DONE: "", DEAD: "",
}  # fmt: skip
PORTS = frozenset((*CALLS.values(), "now")) - {""}
# What reads the clock first; elsewhere the clock may be read as often as it likes.
TIMED = frozenset(("begin", "keep", "hold", "attempt", "break-off"))
PASSED_OVER = frozenset(("now", "get", "launched"))
FLEET = Fleet(
    name="lab", launch_id="op", template="pair", target=HERE, owner="kim", count=ORDER.count, created_at=NOW,
    expires_at=NOW + timedelta(hours=8), longest=timedelta(days=7),
)  # fmt: skip

Path = list[tuple[str, World]]


class _Cloud:
    """The cloud as one worker has it: an answer may be lost, and what is there not be seen yet."""

    def __init__(self, cloud: MemoryProvider, player: ClientObserver) -> None:
        self._cloud, self._player = cloud, player

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cloud, name)

    def launch(self, call: Call, *, by: str) -> Any:
        bend, self._player.bend = self._player.bend, ""
        if bend == "the call is lost":
            raise AmbiguousError(bend)
        launched = self._cloud.launch(call, by=by)
        if bend == "the answer is lost":
            raise AmbiguousError(bend)
        return launched

    def launched(self, by: str) -> Any:
        return () if self._player.bend == "blind" else self._cloud.launched(by)

    def describe(self, ids: Any) -> Any:
        raise ProviderError("the births are not looked at here")


class LaunchReplay:
    """The real code on a cloud, a ledger and a clock of its own."""

    def __init__(self, model: Launch) -> None:
        self.model = model
        self.order: LaunchSpec = ORDER
        self.pools: tuple[Pool, ...] = self.order.pools
        self.cloud = MemoryProvider(
            target=HERE, capacity=dict(zip(self.pools, model.capacity, strict=True))
        )
        self.ledger = MemoryLedger()
        self.time = Time()
        self.ledger.fleets.open(FLEET, self.order, Key(scope="key", body=""))
        self.players = [ClientObserver(name, self._work) for name in (*model.names, "the calm")]

    def play(self, path: Path) -> None:
        """Every step; and then, unless something is wrong already, one more worker in the calm."""
        world = self.model.start
        try:
            for step, after in path:
                self._step(step, world, after)
                self.compare(after, step)
                world = after
            if not world.wrong:
                self.time.at += launcher.LOCK
                player = self.players[-1]
                player.begin()
                while player.at:
                    player.go()
                self.compare(self.model.calmed(world), "the calm")
        finally:
            for player in self.players:
                player.leave()

    def compare(self, world: World, step: str) -> None:
        """What there is, in the model and in truth."""
        fleets = self.ledger.fleets
        assert len(self.launched) == sum(world.launched_count), step
        assert len(fleets.members("op")) == sum(world.recorded), step
        attempts = tuple(replace(attempt, problem="") for attempt in fleets.attempts("op"))
        assert attempts == world.attempts, step
        fleet = fleets.get("lab")
        assert fleet is not None
        assert fleet.phase is world.step, step

    @property
    def launched(self) -> Mapping[str, Any]:
        """Every instance that was ever launched."""
        return self.cloud.instances

    def _step(self, step: str, before: World, after: World) -> None:
        name, _, did = step.partition(": ")
        if name in self.model.names:
            self._run(self.model.names.index(name), did, before, after)
        elif step == "the lock runs out":
            self.time.at += launcher.LOCK
        elif step.startswith("the first pool has room"):
            self.cloud.capacity[self.pools[0]] = after.capacity[0]
        elif step == "the owner gives the fleet up":
            assert self.ledger.fleets.claim(
                "lab", "op", "sweep", now=self.time.now(), expired=False
            )
        elif step == "the call whose answer was lost arrives":
            attempt = after.attempts[before.flying]
            call = launcher._call(self.order, attempt)
            assert call.token == token(self.order, attempt)
            with suppress(ProviderError):
                self.cloud.launch(call, by=self.order.launch_id)
        else:
            raise AssertionError(step)

    def _run(self, k: int, did: str, before: World, after: World) -> None:
        player, at = self.players[k], before.workers[k].at
        if at == UNBEGUN:
            player.begin()
        self._stands(player, _first(at))
        if did.startswith("crashes"):
            player.crash()
            return
        _, _, player.bend = did.partition("; ")
        if "under way for long" in did:
            player.bend = "the call is lost"
        if did == "finds nothing by the token":
            player.bend = "blind"
        if at in TIMED:
            # A worker that breaks off reads the fleet and then the clock, every other one first the clock.
            calls = (CALLS[at], "now") if at == "break-off" else ("now", CALLS[at])
            player.go()
            self._stands(player, calls[1])
        player.go()
        if at == "break-off" and player.at == "advance":  # if the fleet is claimed
            player.go()
        self._stands(player, _first(after.workers[k].at))
        player.bend = ""

    @staticmethod
    def _stands(player: ClientObserver, call: str) -> None:
        while player.at != call and player.at in PASSED_OVER:
            player.go()
        assert player.at == call, (
            f"{player.name} is to {call or 'end'} and stands before {player.at or 'its end'}"
        )

    def _work(self, player: ClientObserver) -> None:
        launcher.continue_launch(
            FLEET,
            worker=player.name,
            provider=player.port(_Cloud(self.cloud, player), PORTS),
            ledger=player.port(self.ledger, PORTS),
            clock=Clock(now=player.port(self.time, PORTS).now, sleep=lambda _: None),
        )


def _first(at: str) -> str:
    return "now" if at in TIMED and at != "break-off" else CALLS[at]
