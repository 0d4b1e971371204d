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
from .harness import Stage
from .process import KilledError
from .triggers import TRIGGERS, Triggers

DEEPEST = 2
# Steps at which something comes between: early ones are in every invocation, late ones only in long ones.
STEPS = (*range(1, 13), *range(13, 40, 2), *range(40, 90, 5))
EACH = ("leases", "nightly")


@dataclass(slots=True)
class Story:
    """One world from its seed. ``told`` has a line for everything that happened."""

    seed: int
    faults: str = ""
    world: World = field(init=False)
    stage: Stage = field(init=False)
    triggers: Triggers = field(init=False)
    told: list[str] = field(default_factory=list)
    calm_from: int = 0
    settled_at: datetime | None = None
    window: datetime = field(init=False)  # the first of the calm
    dice: Random = field(init=False)
    _depth: int = 0

    def __post_init__(self) -> None:
        dice = self.dice = Random(f"{self.seed}/generator")
        profile = dice.choices(("calm", "rough", "harsh"), weights=(40, 35, 25))[0]
        start = DAWN + timedelta(hours=dice.randint(0, 24 * 365), minutes=dice.randint(0, 59))
        self.faults = self.faults or profile
        self.world = World(
            seed=self.seed,
            faults=self.faults,
            start=start,
            pace=AT_ONCE if dice.random() < 0.2 else None,
            throttled=dice.random() < 0.1,
        )
        self.stage = Stage(
            self.world,
            policies.draw(dice),
            mode=Mode.REPORT if dice.random() < 0.05 else Mode.ACT,
            dynamo=dice.random() < 0.125,
            queue=dice.random() < 0.9,
            fans_out=dice.random() < 0.6,
        )
        self.triggers = Triggers(self.stage, dice)
        self._settle()

    def run(self) -> None:
        """From the first happening to the end of the calm."""
        with listening(self.stage.heard):
            for _ in range(self.dice.randint(2, 6)):
                self.happen()
            if self.dice.random() < 0.35:
                self._tell(scenarios.any_plot(self.triggers, self.stage, self.dice))
            self.happen()
            self.calm_down()

    def history(self) -> History:
        """What happened, for the checkers."""
        stage = self.stage
        return History(
            world=self.world,
            ledger=stage.ledger,
            mode=stage.mode,
            policies=stage.policies,
            regions=REGIONS,
            invocations=stage.invocations,
            made_by=stage.made_by,
            moments=stage.moments,
            reached=stage.reached,
            queue=stage.queue,
            calm_from=self.calm_from,
            window=self.window,
            clock_error=STALE,
        )

    def happen(self) -> None:
        """One happening more."""
        if self.dice.random() < 0.7:
            self.trigger()
        else:
            self._tell(nemesis.any_deed(self.stage, self.dice))
        self.world.clock.sleep(self.dice.randint(1, 90))

    def trigger(self, which: Callable[..., Invocation] | None = None) -> Invocation:
        """One trigger, with whatever comes in the middle of it."""
        which = which or self.dice.choices(list(TRIGGERS), weights=list(TRIGGERS.values()))[0]
        self._depth += 1
        try:
            invocation = which(self.triggers, self._meddling())
        finally:
            self._depth -= 1
        self._tell(str(invocation))
        return invocation

    def calm_down(self) -> None:
        """All trouble ends, and everything is given its time."""
        self._tell("the trouble ends")
        self.calm_from = self.stage.moment
        self.world.faults.profile = CALM
        self.world.faults.forget()
        self.world.throttle = None
        self.stage.skew, self.stage.shut, self.stage.failing = timedelta(), False, ""
        for name in REGIONS:
            region = self.world.region(name=name)
            region.dark_zones.clear()
            region.doomed.clear()
            region.limits.capacity.clear()
        self.stage.ledger.resume()
        # What died at launch is to be seen for an hour, and leases are swept each quarter of one.
        for hours, swept in ((0.25, ("leases",)), (1, EACH), (26, EACH)):
            self.world.clock.advance(timedelta(hours=hours))
            self._put_right(swept)
        self._wait_for_a_window()
        self.world.clock.advance(timedelta(minutes=15))
        self._put_right(EACH)
        self.settled_at = self.world.clock.now()

    def _wait_for_a_window(self) -> None:
        """Ticks when it begins, and when what failed is begun again."""
        self.window = self.triggers.to_the_next_window(1)
        for minutes in (0, 31, 61):
            self.world.clock.advance(timedelta(minutes=minutes))
            self._tell(str(self.stage.tick()))
            self._deliver_all()

    def _deliver_all(self) -> None:
        while self.stage.queue:
            message = self.stage.queue[0]
            self._tell(str(self.stage.deliver(message, json.loads(message.body))))

    def _put_right(self, swept: tuple[str, ...]) -> None:
        self._deliver_all()
        for policy in swept:
            event = (
                {"policy": policy, "regions": list(REGIONS)}
                if policy == "nightly"
                else {"policy": policy}
            )
            self._tell(str(self.stage.sweep(event)))
            self._deliver_all()

    def _meddling(self) -> dict[int, Callable[[], object]]:
        dice, drawn = self.dice, dict[int, Callable[[], object]]()
        while dice.random() < (0.55 if self._depth < DEEPEST else 0.2) and len(drawn) < 3:
            drawn[dice.choice(STEPS)] = self._between()
        return drawn

    def _between(self) -> Callable[[], object]:
        match self.dice.choices(("fault", "trigger", "death", "ledger"), (50, 24, 18, 8))[0]:
            case "trigger" if self._depth < DEEPEST:
                return self.trigger
            case "death":
                return self._die if self.dice.random() < 0.5 else self._die_after
            case "ledger" if not self.stage.dynamo:
                return self._fail
        return lambda: self._tell(nemesis.any_deed(self.stage, self.dice))

    def _die(self) -> None:
        self._tell("the process dies before its call")
        raise KilledError("killed before a call")

    def _die_after(self) -> None:
        if invocation := self.stage.current:
            self._tell("the process dies after its call")
            self.stage.die_after(invocation.steps)

    def _fail(self) -> None:
        self.stage.failing = self.dice.choice(("before", "after"))
        self._tell(f"the ledger fails next, {self.stage.failing} the effect")

    def _settle(self) -> None:
        home, abroad = (self.world.region(name=name) for name in REGIONS)
        population.settle(home, self.dice)
        if self.dice.random() < 0.2:
            population.doomed(abroad, self.dice)
        home.page_size = abroad.page_size = self.dice.choice((5, 5, 1_000, 1_000, 1_000))
        self._tell(
            f"seed {self.seed}: {self.faults}, {self.stage.mode} mode, "
            f"{'table' if self.stage.dynamo else 'memory'}, {self.stage.policies.content.limits}, "
            f"{len(home.machines)} machines, {self.stage.policies.timezone}"
        )

    def _tell(self, line: str) -> None:
        within = self.stage.current
        where = "    " * (len(self._inside())) if within else ""
        self.told.append(f"{self.world.clock.now():%d %b %H:%M:%S}  {where}{line}")

    def _inside(self) -> list[Any]:
        chain, current = [], self.stage.current
        while current:
            chain.append(current)
            current = self.stage.invocations[current.within - 1] if current.within else None
        return chain
