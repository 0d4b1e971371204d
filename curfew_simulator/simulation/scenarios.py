"""Short sequences that chance alone would bring too seldom: each is a night on which one safeguard has to hold."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random

from ..cloud.ec2 import lifecycle
from ..cloud.faults import Fault, FaultKind
from . import nemesis, population
from .clients import REGIONS
from .harness import ADMINISTRATOR, HOME, Harness
from .triggers import KIM, Triggers

type Scenario = Callable[[Triggers, Harness, Random], str]


def renewal_in_the_middle(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """The owner renews while a sweep is about to end the fleet."""
    _launched(triggers, "plot", ttl="1m")
    harness.world.clock.advance(timedelta(minutes=16))
    ask = {"fleet": "plot", "ttl": "8h"}

    def renew() -> None:
        triggers.ask("PATCH", "/fleets/plot", KIM, ask, {}, body={"ttl": "8h"})

    return str(triggers.leases({rng.randint(3, 26): renew}))


def renewal_beyond_bounds(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """The owner asks for a longer lease than the template allows."""
    _launched(triggers, "long", ttl="1h")
    ask = {"fleet": "long", "ttl": "9d"}
    return str(triggers.ask("PATCH", "/fleets/long", KIM, ask, {}, body={"ttl": "9d"}))


def copied_tags(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """An instance outside a fleet has the tags of the fleet, which its owner terminates early."""
    _launched(triggers, "copied", ttl="1h")
    region = harness.world.region()
    if members := [m for m in region.alive() if m.tags.get("curfew:fleet") == "copied"]:
        region.tag(population.doomed(region, rng), **members[0].tags)
        # As many as before, so that the cap on a fleet's end is not in the way.
        lifecycle.terminate(region, members[0])
    about = {"fleet": "copied"}
    return str(triggers.ask("DELETE", "/fleets/copied", KIM, about, {}))


def idle_cancel(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """The cancellation of a Spot request is accepted and has no effect."""
    population.bound(harness.world.region(), rng)
    done = len(harness.world.history.made("CancelSpotInstanceRequests"))
    harness.world.fail("CancelSpotInstanceRequests", Fault(kind=FaultKind.IDLE), on=done + 1)
    return str(harness.sweep({"policy": "nightly"}))


def unknown_error(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """Two zones, and an unknown error in the first."""
    for _ in range(4):
        population.doomed(harness.world.region(), rng)
    done = len(harness.world.history.made("TerminateInstances"))
    harness.world.fail(
        "TerminateInstances", Fault(kind=FaultKind.ERROR, code="NeverHeardOf"), on=done + 1
    )
    return str(harness.sweep({"policy": "nightly"}))


def old_plan(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """A plan is applied after the policies have changed; or again, when what it kept is protected no longer."""
    region = harness.world.region()
    doomed = population.doomed(region, rng)
    ask = {"policy": "nightly", "region": HOME}
    made = triggers.ask("POST", "/sweeps", KIM, {"policy": "nightly"}, {}, body=ask)
    if not made.good:
        return str(made)
    plan = str(made.body["id"])
    path = f"/sweeps/{plan}/apply"
    if rng.random() < 0.5:
        nemesis.redeploy(harness, rng)
    else:
        before = region.machines[doomed].tags
        region.tag(doomed, precious="")
        triggers.ask("POST", path, ADMINISTRATOR, {"plan": plan}, {})
        region.change(doomed, tags=before)
    return str(triggers.ask("POST", path, ADMINISTRATOR, {"plan": plan}, {}))


def late_hour(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """The function has nearly used up its time before its first batch."""
    left = rng.randint(5, 60)

    def hold_up() -> None:
        if current := harness.current:
            wait = current.cut_off - harness.world.clock.now() - timedelta(seconds=left)
            harness.world.clock.advance(max(wait, timedelta()))

    return str(harness.sweep({"policy": "nightly"}, {rng.randint(4, 14): hold_up}))


def failing_page(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """The second page of the listing does not come, however often it is asked for."""
    region = harness.world.region()
    region.page_size = 5
    for _ in range(6):
        population.doomed(region, rng)
    done = len(harness.world.history.made("DescribeInstances"))
    harness.world.fail("DescribeInstances", Fault(kind=FaultKind.ERROR), on=done + 2, times=4)
    return str(harness.sweep({"policy": "nightly"}))


def lost_launch(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """The response to a launch is lost, and none or only some of its instances are visible at once."""
    done = len(harness.world.history.made("RunInstances"))
    times = rng.choice((1, 1, 4))
    harness.world.fail("RunInstances", Fault(kind=FaultKind.CUT_AFTER), on=done + 1, times=times)
    seen = len(harness.world.history.made("DescribeInstances"))
    share = rng.choice((0.5, 1.0))
    stale = Fault(kind=FaultKind.STALE, seconds=29, share=share)
    harness.world.fail("DescribeInstances", stale, on=seen + 1, times=rng.choice((2, 12)))
    notes = _launched(triggers, "lost", ttl="1h", count=3)
    if rng.random() < 0.5:  # no job takes it up before the night comes
        harness.world.clock.advance(timedelta(minutes=16))
        notes += f"; {harness.sweep({'policy': 'nightly', 'regions': [HOME]})}"
    return notes


def second_try(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """A window's sweep fails, and the ticks that follow make it good; the last of them finds that it is."""
    population.doomed(harness.world.region(), rng)
    triggers.to_the_next_window(rng.randint(0, 10))
    done = len(harness.world.history.made("DescribeInstances"))
    harness.world.fail("DescribeInstances", Fault(kind=FaultKind.ERROR), on=done + 1, times=4)
    notes = [str(harness.tick())]
    for minutes in (rng.randint(1, 40), 61, 5):
        harness.world.clock.advance(timedelta(minutes=minutes))
        notes.append(str(harness.tick()))
    return "; ".join(notes)


def long_silence(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """No tick comes for hours after a window has begun."""
    population.doomed(harness.world.region(), rng)
    triggers.to_the_next_window(60 * rng.randint(1, 25))
    return str(harness.tick())


def youth(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """An instance without an owner is younger than the policy waits for."""
    for days in (1, 2, 5):
        harness.world.region(name=REGIONS[0]).add(
            arriving=True, age=timedelta(days=days), tags={"Name": "x"}
        )
    return str(harness.sweep({"policy": "ownerless"}))


SCENARIOS: Mapping[Scenario, int] = {
    renewal_in_the_middle: 4, renewal_beyond_bounds: 1, copied_tags: 2, idle_cancel: 2,
    unknown_error: 2, old_plan: 3, late_hour: 3, failing_page: 2, lost_launch: 3, youth: 1,
    second_try: 3, long_silence: 2,
}  # fmt: skip


def any_scenario(triggers: Triggers, harness: Harness, rng: Random) -> str:
    """One of them."""
    scenario = rng.choices(list(SCENARIOS), weights=list(SCENARIOS.values()))[0]
    return f"{scenario.__name__.replace('_', ' ')}: {scenario(triggers, harness, rng)}"


def _launched(triggers: Triggers, name: str, *, ttl: str, count: int = 2) -> str:
    body = {"template": "pair", "name": name, "count": count, "ttl": ttl}
    about = {"key": f"key-{name}", "name": name}
    return str(triggers.ask("POST", "/fleets", KIM, about, {}, body=body, key=f"key-{name}"))
