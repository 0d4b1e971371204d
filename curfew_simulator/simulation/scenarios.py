"""Short sequences that chance alone would bring too seldom: each is a night on which one safeguard has to hold."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random

from ..cloud.ec2 import lifecycle
from ..cloud.faults import Fault, Kind
from . import nemesis, population
from .clients import REGIONS
from .harness import ADMINISTRATOR, HOME, Stage
from .triggers import KIM, Triggers

type Plot = Callable[[Triggers, Stage, Random], str]


def renewal_in_the_middle(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """The owner renews while a sweep is about to end the fleet."""
    _launched(triggers, "plot", ttl="1m")
    stage.world.clock.advance(timedelta(minutes=16))
    ask = {"fleet": "plot", "ttl": "8h"}

    def renew() -> None:
        triggers.ask("PATCH", "/fleets/plot", KIM, ask, {}, body={"ttl": "8h"})

    return str(triggers.leases({dice.randint(3, 26): renew}))


def renewal_beyond_bounds(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """The owner wants more than the template gives."""
    _launched(triggers, "long", ttl="1h")
    ask = {"fleet": "long", "ttl": "9d"}
    return str(triggers.ask("PATCH", "/fleets/long", KIM, ask, {}, body={"ttl": "9d"}))


def copied_tags(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """A stranger carries the tags of a fleet that its owner terminates early."""
    _launched(triggers, "copied", ttl="1h")
    region = stage.world.region()
    if members := [m for m in region.alive() if m.tags.get("curfew:fleet") == "copied"]:
        region.tag(population.doomed(region, dice), **members[0].tags)
        # As many as before, so that the cap on a fleet's end is not in the way.
        lifecycle.terminate(region, members[0])
    about = {"fleet": "copied"}
    return str(triggers.ask("DELETE", "/fleets/copied", KIM, about, {}))


def idle_cancel(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """A cancel is agreed to and forgotten."""
    population.bound(stage.world.region(), dice)
    done = len(stage.world.journal.made("CancelSpotInstanceRequests"))
    stage.world.fail("CancelSpotInstanceRequests", Fault(kind=Kind.IDLE), on=done + 1)
    return str(stage.sweep({"policy": "nightly"}))


def unknown_error(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """Two zones, and an unknown error in the first."""
    for _ in range(4):
        population.doomed(stage.world.region(), dice)
    done = len(stage.world.journal.made("TerminateInstances"))
    stage.world.fail("TerminateInstances", Fault(kind=Kind.ERROR, code="NeverHeardOf"), on=done + 1)
    return str(stage.sweep({"policy": "nightly"}))


def old_plan(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """A plan is applied after the policies have changed; or again, when what it kept is protected no longer."""
    region = stage.world.region()
    doomed = population.doomed(region, dice)
    ask = {"policy": "nightly", "region": HOME}
    made = triggers.ask("POST", "/sweeps", KIM, {"policy": "nightly"}, {}, body=ask)
    if not made.good:
        return str(made)
    plan = str(made.body["id"])
    path = f"/sweeps/{plan}/apply"
    if dice.random() < 0.5:
        nemesis.redeploy(stage, dice)
    else:
        before = region.machines[doomed].tags
        region.tag(doomed, precious="")
        triggers.ask("POST", path, ADMINISTRATOR, {"plan": plan}, {})
        region.change(doomed, tags=before)
    return str(triggers.ask("POST", path, ADMINISTRATOR, {"plan": plan}, {}))


def late_hour(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """The function has nearly used up its time before its first batch."""
    left = dice.randint(5, 60)

    def hold_up() -> None:
        if current := stage.current:
            wait = current.cut_off - stage.world.clock.now() - timedelta(seconds=left)
            stage.world.clock.advance(max(wait, timedelta()))

    return str(stage.sweep({"policy": "nightly"}, {dice.randint(4, 14): hold_up}))


def failing_page(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """The second page of the listing does not come, however often it is asked for."""
    region = stage.world.region()
    region.page_size = 5
    for _ in range(6):
        population.doomed(region, dice)
    done = len(stage.world.journal.made("DescribeInstances"))
    stage.world.fail("DescribeInstances", Fault(kind=Kind.ERROR), on=done + 2, times=4)
    return str(stage.sweep({"policy": "nightly"}))


def lost_launch(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """The answer to a launch is lost, and what it launched is not to be seen at once, or not all of it."""
    done = len(stage.world.journal.made("RunInstances"))
    times = dice.choice((1, 1, 4))
    stage.world.fail("RunInstances", Fault(kind=Kind.CUT_AFTER), on=done + 1, times=times)
    seen = len(stage.world.journal.made("DescribeInstances"))
    share = dice.choice((0.5, 1.0))
    stale = Fault(kind=Kind.STALE, seconds=29, share=share)
    stage.world.fail("DescribeInstances", stale, on=seen + 1, times=dice.choice((2, 12)))
    told = _launched(triggers, "lost", ttl="1h", count=3)
    if dice.random() < 0.5:  # no job takes it up before the night comes
        stage.world.clock.advance(timedelta(minutes=16))
        told += f"; {stage.sweep({'policy': 'nightly', 'regions': [HOME]})}"
    return told


def second_try(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """A window's sweep fails, and the ticks that follow make it good; the last of them finds that it is."""
    population.doomed(stage.world.region(), dice)
    triggers.to_the_next_window(dice.randint(0, 10))
    done = len(stage.world.journal.made("DescribeInstances"))
    stage.world.fail("DescribeInstances", Fault(kind=Kind.ERROR), on=done + 1, times=4)
    told = [str(stage.tick())]
    for minutes in (dice.randint(1, 40), 61, 5):
        stage.world.clock.advance(timedelta(minutes=minutes))
        told.append(str(stage.tick()))
    return "; ".join(told)


def long_silence(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """No tick comes for hours after a window has begun."""
    population.doomed(stage.world.region(), dice)
    triggers.to_the_next_window(60 * dice.randint(1, 25))
    return str(stage.tick())


def youth(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """An instance without an owner is younger than the policy waits for."""
    for days in (1, 2, 5):
        stage.world.region(name=REGIONS[0]).add(
            arriving=True, age=timedelta(days=days), tags={"Name": "x"}
        )
    return str(stage.sweep({"policy": "ownerless"}))


PLOTS: Mapping[Plot, int] = {
    renewal_in_the_middle: 4, renewal_beyond_bounds: 1, copied_tags: 2, idle_cancel: 2,
    unknown_error: 2, old_plan: 3, late_hour: 3, failing_page: 2, lost_launch: 3, youth: 1,
    second_try: 3, long_silence: 2,
}  # fmt: skip


def any_plot(triggers: Triggers, stage: Stage, dice: Random) -> str:
    """One of them."""
    plot = dice.choices(list(PLOTS), weights=list(PLOTS.values()))[0]
    return f"{plot.__name__.replace('_', ' ')}: {plot(triggers, stage, dice)}"


def _launched(triggers: Triggers, name: str, *, ttl: str, count: int = 2) -> str:
    body = {"template": "pair", "name": name, "count": count, "ttl": ttl}
    about = {"key": f"key-{name}", "name": name}
    return str(triggers.ask("POST", "/fleets", KIM, about, {}, body=body, key=f"key-{name}"))
