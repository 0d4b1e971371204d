"""What people and the world itself do, beside and against Curfew: tags, protections, stops, ends, outages, time."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random

from ..cloud.autoscaling import found
from ..cloud.ec2 import lifecycle
from ..cloud.ec2.machine import Machine, State
from ..cloud.ec2.region import Region
from ..cloud.faults import Fault, Kind
from . import policies, population
from .clients import REGIONS
from .harness import Stage

type Deed = Callable[[Stage, Random], str]
KEEPING = ("curfew:keep", "Curfew:Keep", "CURFEW:KEEP", "precious", "Precious")


def protect(stage: Stage, dice: Random) -> str:
    """An operator tags a machine to be kept."""
    region, machine = _somebody(stage, dice)
    if machine is None:
        return "no instance is there to protect"
    key = dice.choice(KEEPING)
    region.tag(machine.id, **{key: dice.choice(("", "yes", "no", "false"))})
    return f"{machine.id} gets the tag {key}"


def unprotect(stage: Stage, dice: Random) -> str:
    """An operator takes such a tag off again."""
    for region in _regions(stage):
        for machine in region.alive():
            if kept := [key for key in machine.tags if key.lower() in policies.PROTECTING]:
                region.change(
                    machine.id, tags={k: v for k, v in machine.tags.items() if k not in kept}
                )
                return f"{machine.id} loses {', '.join(kept)}"
    return "nothing is kept by a tag"


def shield(stage: Stage, dice: Random) -> str:
    """An operator sets termination or stop protection."""
    region, machine = _somebody(stage, dice)
    if machine is None or machine.lifecycle == "spot":
        return "no instance is there to protect"
    which = dice.choice(("termination_protected", "stop_protected"))
    region.change(machine.id, **{which: True})
    return f"{machine.id} is {which.replace('_', ' ')}"


def rename(stage: Stage, dice: Random) -> str:
    """An operator gives a machine to another environment."""
    region, machine = _somebody(stage, dice)
    if machine is None:
        return "no instance is there to be moved"
    env = dice.choice(("dev", "prod", "prod", "Dev"))
    region.tag(machine.id, env=env)
    return f"{machine.id} is env={env} now"


def copy(stage: Stage, dice: Random) -> str:
    """An operator writes all tags of a fleet's member onto a machine that is no member."""
    for region in _regions(stage):
        members = [m for m in region.machines.values() if "curfew:operation" in m.tags]
        strangers = sorted(m.id for m in region.alive() if "curfew:operation" not in m.tags)
        if members and strangers:
            member, stranger = dice.choice(members), dice.choice(strangers)
            written = {k: v for k, v in member.tags.items() if k.startswith("curfew:")}
            region.tag(stranger, **written | {"curfew:lease": "2020-01-01T00:00:00Z"})
            return f"{stranger} gets the tags of the member {member.id}"
    return "there is no member to copy from"


def strip(stage: Stage, dice: Random) -> str:
    """An operator takes all of Curfew's tags off a member."""
    for region in _regions(stage):
        members = sorted(m.id for m in region.alive() if "curfew:operation" in m.tags)
        if members:
            id_ = dice.choice(members)
            left = {
                k: v for k, v in region.machines[id_].tags.items() if not k.startswith("curfew:")
            }
            region.change(id_, tags=left)
            return f"the member {id_} is stripped of its tags"
    return "there is no member to strip"


def end(stage: Stage, dice: Random) -> str:
    """Another operator terminates a machine."""
    region, machine = _somebody(stage, dice)
    if machine is None:
        return "no instance is there to be ended"
    lifecycle.terminate(region, machine)
    return f"another operator ends {machine.id}"


def stop_or_start(stage: Stage, dice: Random) -> str:
    """Another operator stops a machine, or starts it."""
    region, machine = _somebody(stage, dice)
    if machine is None:
        return "no instance is there to be stopped"
    if machine.state is State.STOPPED:
        lifecycle.start(region, machine)
        return f"an operator starts {machine.id}"
    lifecycle.stop(region, machine)
    return f"an operator stops {machine.id}"


def interrupt(stage: Stage, dice: Random) -> str:
    """EC2 wants a Spot Instance back."""
    for region in _regions(stage):
        if spots := sorted(m.id for m in region.alive() if m.lifecycle == "spot"):
            id_ = dice.choice(spots)
            lifecycle.interrupt(region, id_)
            return f"EC2 interrupts {id_}"
    return "there is no Spot Instance"


def arrive(stage: Stage, dice: Random) -> str:
    """More machines come; now and then in a group."""
    region = dice.choice(_regions(stage))
    if dice.random() < 0.2:
        name = f"new-{len(region.groups)}"
        found(region, name, dice.randint(1, 2), env="dev")
        return f"the group {name} comes up in {region.name}"
    return f"{population.doomed(region, dice)} is there too, in {region.name}"


def capacity(stage: Stage, dice: Random) -> str:
    """EC2 has more left of a type, or less."""
    region = dice.choice(_regions(stage))
    left = dice.choice((0, 1, 2, 1_000))
    type_ = dice.choice(policies.TEMPLATE["instance_types"])
    for zone in region.zones:
        region.limits.capacity[type_, zone] = left
    return f"{left} {type_} are left in each zone of {region.name}"


def sickness(stage: Stage, dice: Random) -> str:
    """Instances of a type die at launch, or do so no more."""
    region = dice.choice(_regions(stage))
    region.doomed ^= {dice.choice(policies.TEMPLATE["instance_types"])}
    return f"types that die at launch in {region.name}: {', '.join(sorted(region.doomed)) or 'nothing'}"


def outage(stage: Stage, dice: Random) -> str:
    """A zone goes dark, or comes back."""
    region = dice.choice(_regions(stage))
    region.dark_zones ^= {dice.choice(region.zones)}
    return f"dark zones of {region.name}: {', '.join(sorted(region.dark_zones)) or 'none'}"


def trouble(stage: Stage, dice: Random) -> str:
    """The next order of a kind goes wrong in a way that no profile has."""
    operation = dice.choice(
        (
            "TerminateInstances",
            "TerminateInstances",
            "StopInstances",
            "CancelSpotInstanceRequests",
            "RunInstances",
        )
    )
    fault = dice.choice(
        (
            Fault(kind=Kind.ERROR, code="OptInRequired"),
            Fault(kind=Kind.ERROR, code="NeverHeardOf"),
            Fault(kind=Kind.ERROR, code="UnauthorizedOperation", status=403),
            Fault(kind=Kind.CUT_AFTER),
            Fault(kind=Kind.UNNAMED),
            Fault(kind=Kind.IDLE),
        )
    )  # fmt: skip
    if fault.kind in {Kind.IDLE, Kind.UNNAMED} and operation == "RunInstances":
        fault = Fault(kind=Kind.CUT_AFTER)
    done = len(stage.world.journal.made(operation))
    stage.world.fail(operation, fault, on=done + 1, times=dice.choice((1, 1, 2)))
    return f"the next {operation}: {fault.kind} {fault.code}"


def redeploy(stage: Stage, dice: Random) -> str:
    """The policy file is deployed again."""
    stage.policies = policies.changed(stage.policies, dice)
    return f"the policies are {stage.policies.version} now: {stage.policies.content.limits}"


def shut(stage: Stage, dice: Random) -> str:
    """The queue cannot be reached, or can again."""
    stage.shut = not stage.shut
    return f"the queue is {'shut' if stage.shut else 'open'}"


def skew(stage: Stage, dice: Random) -> str:
    """Curfew's clock is put back a little, or right."""
    stage.skew = -timedelta(seconds=dice.choice((0, 1, 10, 30)))
    return f"Curfew's clock is {-stage.skew.total_seconds():.0f} s slow"


def moments(stage: Stage, dice: Random) -> str:
    """Some time passes."""
    return _pass(stage, timedelta(seconds=dice.randint(1, 900)))


def hours(stage: Stage, dice: Random) -> str:
    """Much time passes."""
    return _pass(stage, timedelta(minutes=dice.choice((16, 21, 61, 240, 600, 1_440))))


# How often each is drawn.
DEEDS: Mapping[Deed, int] = {
    protect: 10, unprotect: 2, shield: 4, rename: 5, copy: 5, strip: 3, end: 4, stop_or_start: 4,
    interrupt: 2, arrive: 6, capacity: 4, sickness: 1, outage: 2, trouble: 5, redeploy: 3, shut: 2,
    skew: 2, moments: 8, hours: 8,
}  # fmt: skip


def any_deed(stage: Stage, dice: Random) -> str:
    """One of them."""
    return dice.choices(list(DEEDS), weights=list(DEEDS.values()))[0](stage, dice)


def _pass(stage: Stage, time: timedelta) -> str:
    stage.world.clock.advance(time)
    return f"{time} pass"


def _regions(stage: Stage) -> list[Region]:
    return [stage.world.region(name=name) for name in REGIONS]


def _somebody(stage: Stage, dice: Random) -> tuple[Region, Machine | None]:
    region = stage.world.region(name=dice.choices(REGIONS, weights=(4, 1))[0])
    alive = sorted(machine.id for machine in region.alive())
    return region, region.machines[dice.choice(alive)] if alive else None
