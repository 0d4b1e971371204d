"""The nemesis: what other people and the world do during a simulation: tags, protections, stops, outages, time."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random

from ..cloud.autoscaling import create_group
from ..cloud.ec2 import lifecycle
from ..cloud.ec2.machine import Machine, State
from ..cloud.ec2.region import Region
from ..cloud.faults import Fault, FaultKind
from . import policies, population
from .clients import REGIONS
from .harness import Harness

type Disturbance = Callable[[Harness, Random], str]
KEEPING = ("curfew:keep", "Curfew:Keep", "CURFEW:KEEP", "precious", "Precious")


def protect(harness: Harness, rng: Random) -> str:
    """An operator tags a machine to be kept."""
    region, machine = _any_machine(harness, rng)
    if machine is None:
        return "no instance is there to protect"
    key = rng.choice(KEEPING)
    region.tag(machine.id, **{key: rng.choice(("", "yes", "no", "false"))})
    return f"{machine.id} gets the tag {key}"


def unprotect(harness: Harness, rng: Random) -> str:
    """An operator takes such a tag off again."""
    for region in _regions(harness):
        for machine in region.alive():
            if kept := [key for key in machine.tags if key.lower() in policies.PROTECTING]:
                region.change(
                    machine.id, tags={k: v for k, v in machine.tags.items() if k not in kept}
                )
                return f"{machine.id} loses {', '.join(kept)}"
    return "nothing is kept by a tag"


def shield(harness: Harness, rng: Random) -> str:
    """An operator sets termination or stop protection."""
    region, machine = _any_machine(harness, rng)
    if machine is None or machine.lifecycle == "spot":
        return "no instance is there to protect"
    which = rng.choice(("termination_protected", "stop_protected"))
    region.change(machine.id, **{which: True})
    return f"{machine.id} is {which.replace('_', ' ')}"


def rename(harness: Harness, rng: Random) -> str:
    """An operator gives a machine to another environment."""
    region, machine = _any_machine(harness, rng)
    if machine is None:
        return "no instance is there to be moved"
    env = rng.choice(("dev", "prod", "prod", "Dev"))
    region.tag(machine.id, env=env)
    return f"{machine.id} is env={env} now"


def copy(harness: Harness, rng: Random) -> str:
    """An operator writes all tags of a fleet's member onto a machine that is no member."""
    for region in _regions(harness):
        members = [m for m in region.machines.values() if "curfew:launch-id" in m.tags]
        strangers = sorted(m.id for m in region.alive() if "curfew:launch-id" not in m.tags)
        if members and strangers:
            member, stranger = rng.choice(members), rng.choice(strangers)
            written = {k: v for k, v in member.tags.items() if k.startswith("curfew:")}
            region.tag(stranger, **written | {"curfew:lease": "2020-01-01T00:00:00Z"})
            return f"{stranger} gets the tags of the member {member.id}"
    return "there is no member to copy from"


def strip(harness: Harness, rng: Random) -> str:
    """An operator takes all of Curfew's tags off a member."""
    for region in _regions(harness):
        members = sorted(m.id for m in region.alive() if "curfew:launch-id" in m.tags)
        if members:
            id_ = rng.choice(members)
            left = {
                k: v for k, v in region.machines[id_].tags.items() if not k.startswith("curfew:")
            }
            region.change(id_, tags=left)
            return f"the member {id_} is stripped of its tags"
    return "there is no member to strip"


def end(harness: Harness, rng: Random) -> str:
    """Another operator terminates a machine."""
    region, machine = _any_machine(harness, rng)
    if machine is None:
        return "no instance is there to be ended"
    lifecycle.terminate(region, machine)
    return f"another operator ends {machine.id}"


def stop_or_start(harness: Harness, rng: Random) -> str:
    """Another operator stops a machine, or starts it."""
    region, machine = _any_machine(harness, rng)
    if machine is None:
        return "no instance is there to be stopped"
    if machine.state is State.STOPPED:
        lifecycle.start(region, machine)
        return f"an operator starts {machine.id}"
    lifecycle.stop(region, machine)
    return f"an operator stops {machine.id}"


def interrupt(harness: Harness, rng: Random) -> str:
    """EC2 wants a Spot Instance back."""
    for region in _regions(harness):
        if spots := sorted(m.id for m in region.alive() if m.lifecycle == "spot"):
            id_ = rng.choice(spots)
            lifecycle.interrupt(region, id_)
            return f"EC2 interrupts {id_}"
    return "there is no Spot Instance"


def arrive(harness: Harness, rng: Random) -> str:
    """More machines come; now and then in a group."""
    region = rng.choice(_regions(harness))
    if rng.random() < 0.2:
        name = f"new-{len(region.groups)}"
        create_group(region, name, rng.randint(1, 2), env="dev")
        return f"the group {name} comes up in {region.name}"
    return f"{population.doomed(region, rng)} is there too, in {region.name}"


def capacity(harness: Harness, rng: Random) -> str:
    """EC2 has more left of a type, or less."""
    region = rng.choice(_regions(harness))
    left = rng.choice((0, 1, 2, 1_000))
    type_ = rng.choice(policies.TEMPLATE["instance_types"])
    for zone in region.zones:
        region.limits.capacity[type_, zone] = left
    return f"{left} {type_} are left in each zone of {region.name}"


def sickness(harness: Harness, rng: Random) -> str:
    """Instances of a type die at launch, or do so no more."""
    region = rng.choice(_regions(harness))
    region.doomed ^= {rng.choice(policies.TEMPLATE["instance_types"])}
    return f"types that die at launch in {region.name}: {', '.join(sorted(region.doomed)) or 'nothing'}"


def outage(harness: Harness, rng: Random) -> str:
    """A zone fails, or recovers."""
    region = rng.choice(_regions(harness))
    region.dark_zones ^= {rng.choice(region.zones)}
    return f"dark zones of {region.name}: {', '.join(sorted(region.dark_zones)) or 'none'}"


def trouble(harness: Harness, rng: Random) -> str:
    """The next call of a kind fails in a way that no fault profile has."""
    operation = rng.choice(
        (
            "TerminateInstances",
            "TerminateInstances",
            "StopInstances",
            "CancelSpotInstanceRequests",
            "RunInstances",
        )
    )
    fault = rng.choice(
        (
            Fault(kind=FaultKind.ERROR, code="OptInRequired"),
            Fault(kind=FaultKind.ERROR, code="NeverHeardOf"),
            Fault(kind=FaultKind.ERROR, code="UnauthorizedOperation", status=403),
            Fault(kind=FaultKind.CUT_AFTER),
            Fault(kind=FaultKind.UNNAMED),
            Fault(kind=FaultKind.IDLE),
        )
    )  # fmt: skip
    if fault.kind in {FaultKind.IDLE, FaultKind.UNNAMED} and operation == "RunInstances":
        fault = Fault(kind=FaultKind.CUT_AFTER)
    done = len(harness.world.history.made(operation))
    harness.world.fail(operation, fault, on=done + 1, times=rng.choice((1, 1, 2)))
    return f"the next {operation}: {fault.kind} {fault.code}"


def redeploy(harness: Harness, rng: Random) -> str:
    """The policy file is deployed again."""
    harness.policies = policies.changed(harness.policies, rng)
    return f"the policies are {harness.policies.version} now: {harness.policies.content.limits}"


def shut(harness: Harness, rng: Random) -> str:
    """The queue cannot be reached, or can again."""
    harness.shut = not harness.shut
    return f"the queue is {'shut' if harness.shut else 'open'}"


def skew(harness: Harness, rng: Random) -> str:
    """Curfew's clock is put back a little, or right."""
    harness.skew = -timedelta(seconds=rng.choice((0, 1, 10, 30)))
    return f"Curfew's clock is {-harness.skew.total_seconds():.0f} s slow"


def moments(harness: Harness, rng: Random) -> str:
    """Some time passes."""
    return _pass(harness, timedelta(seconds=rng.randint(1, 900)))


def hours(harness: Harness, rng: Random) -> str:
    """Much time passes."""
    return _pass(harness, timedelta(minutes=rng.choice((16, 21, 61, 240, 600, 1_440))))


# How often each is drawn.
DISTURBANCES: Mapping[Disturbance, int] = {
    protect: 10, unprotect: 2, shield: 4, rename: 5, copy: 5, strip: 3, end: 4, stop_or_start: 4,
    interrupt: 2, arrive: 6, capacity: 4, sickness: 1, outage: 2, trouble: 5, redeploy: 3, shut: 2,
    skew: 2, moments: 8, hours: 8,
}  # fmt: skip


def any_disturbance(harness: Harness, rng: Random) -> str:
    """One of them."""
    return rng.choices(list(DISTURBANCES), weights=list(DISTURBANCES.values()))[0](harness, rng)


def _pass(harness: Harness, time: timedelta) -> str:
    harness.world.clock.advance(time)
    return f"{time} pass"


def _regions(harness: Harness) -> list[Region]:
    return [harness.world.region(name=name) for name in REGIONS]


def _any_machine(harness: Harness, rng: Random) -> tuple[Region, Machine | None]:
    region = harness.world.region(name=rng.choices(REGIONS, weights=(4, 1))[0])
    alive = sorted(machine.id for machine in region.alive())
    return region, region.machines[rng.choice(alive)] if alive else None
