"""Who lives in a world before anything happens there."""

from datetime import timedelta
from random import Random

from ..cloud import population
from ..cloud.ec2.machine import SpotRequest, State
from ..cloud.ec2.region import Region


def populate(region: Region, rng: Random) -> None:
    """A few of everything, and some that have to go for sure."""
    population.populate(region, rng.randint(2, 6))
    for _ in range(rng.randint(1, 5)):
        doomed(region, rng)
    if rng.random() < 0.25:
        bound(region, rng)
    if rng.random() < 0.02:
        crowd(region, rng)


def doomed(region: Region, rng: Random) -> str:
    """A machine that every nightly sweep is after."""
    return region.add(
        arriving=True,
        zone=rng.choice(region.zones),
        age=timedelta(hours=rng.randint(1, 900)),
        tags={"env": rng.choice(("dev", "sandbox")), "owner": "kim"},
    ).id


def bound(region: Region, rng: Random) -> str:
    """The same, launched by a persistent Spot request, which would bring it back."""
    id_ = f"sir-{rng.getrandbits(32):08x}"
    machine = region.add(
        arriving=True,
        age=timedelta(hours=rng.randint(1, 90)),
        tags={"env": "dev", "owner": "kim"},
        lifecycle="spot",
        spot_request=id_,
        state=State.RUNNING,
    )
    region.spot_requests[id_] = SpotRequest(
        id=id_,
        blueprint=machine,
        created_at=machine.started_at,
        instance=machine.id,
        persistent=True,
    )
    return machine.id


def crowd(region: Region, rng: Random) -> None:
    """More in one zone than one call may name."""
    zone = rng.choice(region.zones)
    for _ in range(rng.randint(21, 25)):
        region.add(zone=zone, age=timedelta(hours=9), tags={"env": "dev", "owner": "kim"})
