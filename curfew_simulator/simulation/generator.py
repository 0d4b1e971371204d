"""What happens in one world, all of it drawn from the seed.

A world has some inhabitants, then a handful of happenings: triggers of Curfew, and what others do. In the middle of
a trigger, at some step of it, another happening may run from beginning to end, the process may die, or the ledger may
fail. After the last one all trouble ends, and Curfew has the time to put things right: what it owes by then is owed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from curfew.core.target import Mode

from ..cloud.clock import DAWN
from ..cloud.ec2.region import AT_ONCE
from ..cloud.faults import CALM
from ..cloud.world import World
from ..history.history import STALE, History
from ..history.invocation import Invocation
from . import nemesis, policies, population, scenarios
from .clients import REGIONS, listening
from .harness import Harness
from .process import KilledError
from .triggers import TRIGGERS, Triggers

DEEPEST = 2
# Steps at which something comes between: early ones are in every invocation, late ones only in long ones.
STEPS = (*range(1, 13), *range(13, 40, 2), *range(40, 90, 5))
EACH = ("leases", "nightly")


@dataclass(slots=True)
class Generator:
    """One world from its seed. ``log`` has a line for everything that happened."""

    seed: int
    faults: str = ""
    world: World = field(init=False)
    harness: Harness = field(init=False)
    triggers: Triggers = field(init=False)
    log: list[str] = field(default_factory=list)
    calm_from: int = 0
    quiet_at: datetime | None = None
    window: datetime = field(init=False)  # the first of the calm
    rng: Random = field(init=False)
    _depth: int = 0

    def __post_init__(self) -> None:
        rng = self.rng = Random(f"{self.seed}/generator")
        profile = rng.choices(("calm", "rough", "harsh"), weights=(40, 35, 25))[0]
        start = DAWN + timedelta(hours=rng.randint(0, 24 * 365), minutes=rng.randint(0, 59))
        self.faults = self.faults or profile
        self.world = World(
            seed=self.seed,
            faults=self.faults,
            start=start,
            pace=AT_ONCE if rng.random() < 0.2 else None,
            throttled=rng.random() < 0.1,
        )
        self.harness = Harness(
            self.world,
            policies.draw(rng),
            mode=Mode.REPORT if rng.random() < 0.05 else Mode.ACT,
            dynamo=rng.random() < 0.125,
            queue=rng.random() < 0.9,
            fans_out=rng.random() < 0.6,
        )
        self.triggers = Triggers(self.harness, rng)
        self._populate()

    def run(self) -> None:
        """From the first happening to the end of the calm."""
        with listening(self.harness.heard):
            for _ in range(self.rng.randint(2, 6)):
                self.happen()
            if self.rng.random() < 0.35:
                self._log(scenarios.any_scenario(self.triggers, self.harness, self.rng))
            self.happen()
            self.calm_down()

    def history(self) -> History:
        """What happened, for the checkers."""
        harness = self.harness
        return History(
            world=self.world,
            ledger=harness.ledger,
            mode=harness.mode,
            policies=harness.policies,
            regions=REGIONS,
            invocations=harness.invocations,
            made_by=harness.made_by,
            moments=harness.moments,
            reached=harness.reached,
            queue=harness.queue,
            calm_from=self.calm_from,
            window=self.window,
            clock_error=STALE,
        )

    def happen(self) -> None:
        """One happening more."""
        if self.rng.random() < 0.7:
            self.trigger()
        else:
            self._log(nemesis.any_disturbance(self.harness, self.rng))
        self.world.clock.sleep(self.rng.randint(1, 90))

    def trigger(self, which: Callable[..., Invocation] | None = None) -> Invocation:
        """One trigger, with whatever comes in the middle of it."""
        which = which or self.rng.choices(list(TRIGGERS), weights=list(TRIGGERS.values()))[0]
        self._depth += 1
        try:
            invocation = which(self.triggers, self._interruptions())
        finally:
            self._depth -= 1
        self._log(str(invocation))
        return invocation

    def calm_down(self) -> None:
        """All trouble ends, and everything is given its time."""
        self._log("the trouble ends")
        self.calm_from = self.harness.moment
        self.world.faults.profile = CALM
        self.world.faults.forget()
        self.world.throttle = None
        self.harness.skew, self.harness.shut, self.harness.failing = timedelta(), False, ""
        for name in REGIONS:
            region = self.world.region(name=name)
            region.dark_zones.clear()
            region.doomed.clear()
            region.limits.capacity.clear()
        self.harness.ledger.resume()
        # What died at launch is to be seen for an hour, and leases are swept each quarter of one.
        for hours, swept in ((0.25, ("leases",)), (1, EACH), (26, EACH)):
            self.world.clock.advance(timedelta(hours=hours))
            self._put_right(swept)
        self._wait_for_a_window()
        self.world.clock.advance(timedelta(minutes=15))
        self._put_right(EACH)
        self.quiet_at = self.world.clock.now()

    def _wait_for_a_window(self) -> None:
        """Ticks when it begins, and when what failed is begun again."""
        self.window = self.triggers.to_the_next_window(1)
        for minutes in (0, 31, 61):
            self.world.clock.advance(timedelta(minutes=minutes))
            self._log(str(self.harness.tick()))
            self._deliver_all()

    def _deliver_all(self) -> None:
        while self.harness.queue:
            message = self.harness.queue[0]
            self._log(str(self.harness.deliver(message, json.loads(message.body))))

    def _put_right(self, swept: tuple[str, ...]) -> None:
        self._deliver_all()
        for policy in swept:
            event = (
                {"policy": policy, "regions": list(REGIONS)}
                if policy == "nightly"
                else {"policy": policy}
            )
            self._log(str(self.harness.sweep(event)))
            self._deliver_all()

    def _interruptions(self) -> dict[int, Callable[[], object]]:
        rng, drawn = self.rng, dict[int, Callable[[], object]]()
        while rng.random() < (0.55 if self._depth < DEEPEST else 0.2) and len(drawn) < 3:
            drawn[rng.choice(STEPS)] = self._between()
        return drawn

    def _between(self) -> Callable[[], object]:
        match self.rng.choices(("fault", "trigger", "death", "ledger"), (50, 24, 18, 8))[0]:
            case "trigger" if self._depth < DEEPEST:
                return self.trigger
            case "death":
                return self._die if self.rng.random() < 0.5 else self._die_after
            case "ledger" if not self.harness.dynamo:
                return self._fail
        return lambda: self._log(nemesis.any_disturbance(self.harness, self.rng))

    def _die(self) -> None:
        self._log("the process dies before its call")
        raise KilledError("killed before a call")

    def _die_after(self) -> None:
        if invocation := self.harness.current:
            self._log("the process dies after its call")
            self.harness.die_after(invocation.steps)

    def _fail(self) -> None:
        self.harness.failing = self.rng.choice(("before", "after"))
        self._log(f"the ledger fails next, {self.harness.failing} the effect")

    def _populate(self) -> None:
        home, abroad = (self.world.region(name=name) for name in REGIONS)
        population.populate(home, self.rng)
        if self.rng.random() < 0.2:
            population.doomed(abroad, self.rng)
        home.page_size = abroad.page_size = self.rng.choice((5, 5, 1_000, 1_000, 1_000))
        self._log(
            f"seed {self.seed}: {self.faults}, {self.harness.mode} mode, "
            f"{'table' if self.harness.dynamo else 'memory'}, {self.harness.policies.content.limits}, "
            f"{len(home.machines)} machines, {self.harness.policies.timezone}"
        )

    def _log(self, line: str) -> None:
        within = self.harness.current
        where = "    " * (len(self._inside())) if within else ""
        self.log.append(f"{self.world.clock.now():%d %b %H:%M:%S}  {where}{line}")

    def _inside(self) -> list[Any]:
        chain, current = [], self.harness.current
        while current:
            chain.append(current)
            current = self.harness.invocations[current.within - 1] if current.within else None
        return chain
