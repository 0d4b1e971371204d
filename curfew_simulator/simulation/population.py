"""Who lives in a world before anything happens there."""

from datetime import timedelta
from random import Random

from ..cloud import population
from ..cloud.ec2.machine import SpotRequest, State
from ..cloud.ec2.region import Region


def settle(region: Region, dice: Random) -> None:
    """A few of everything, and some that have to go for sure."""
    population.populate(region, dice.randint(2, 6))
    for _ in range(dice.randint(1, 5)):
        doomed(region, dice)
    if dice.random() < 0.25:
        bound(region, dice)
    if dice.random() < 0.02:
        crowd(region, dice)


def doomed(region: Region, dice: Random) -> str:
    """A machine that every nightly sweep is after."""
    return region.add(
        arriving=True,
        zone=dice.choice(region.zones),
        age=timedelta(hours=dice.randint(1, 900)),
        tags={"env": dice.choice(("dev", "sandbox")), "owner": "kim"},
    ).id


def bound(region: Region, dice: Random) -> str:
    """The same, launched by a persistent Spot request, which would bring it back."""
    id_ = f"sir-{dice.getrandbits(32):08x}"
    machine = region.add(
        arriving=True,
        age=timedelta(hours=dice.randint(1, 90)),
        tags={"env": "dev", "owner": "kim"},
        lifecycle="spot",
        spot_request=id_,
        state=State.RUNNING,
    )
    region.spot_requests[id_] = SpotRequest(
        id=id_,
        blueprint=machine,
        created_at=machine.launched_at,
        instance=machine.id,
        persistent=True,
    )
    return machine.id


def crowd(region: Region, dice: Random) -> None:
    """More in one zone than one call may name."""
    zone = dice.choice(region.zones)
    for _ in range(dice.randint(21, 25)):
        region.add(zone=zone, age=timedelta(hours=9), tags={"env": "dev", "owner": "kim"})
