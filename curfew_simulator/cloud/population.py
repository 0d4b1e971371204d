"""Random populations: ordinary machines, and every kind of machine that Curfew must keep."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from .autoscaling import create_group
from .ec2.machine import SpotRequest, SpotState, State
from .ec2.region import Region

TYPES = ("t2.micro", "t3.small", "t3.large", "m7i.xlarge", "c7g.4xlarge")
ENVIRONMENTS = ("dev", "sandbox", "prod", "")
OWNERS = ("kim", "ali", "web", "")
# Tags are hostile data: each of these values has broken some tool.
ODD_VALUES = (
    "", "*", "?", "\\", "a\nb", "=cmd()", "<script>alert(1)</script>", "\N{GRINNING FACE}" * 64, "x" * 256,
    "\N{RIGHT-TO-LEFT OVERRIDE}keep", "true", "2026-13-45",
)  # fmt: skip

type Fields = dict[str, Any]


def populate(region: Region, count: int) -> list[str]:
    """Add at least ``count`` machines to a region, and return their ids. The same seed gives the same machines.

    There may be more, since an Auto Scaling group adds all its members.
    """
    rng = region.rng.of("scenery")
    made: list[str] = []
    while len(made) < count:
        kind = rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
        made.extend(kind(region, rng))
    return made


def ordinary(region: Region, rng: Random) -> list[str]:
    """Add an ordinary machine."""
    return [region.add(**_fields(region, rng)).id]


def protected(region: Region, rng: Random) -> list[str]:
    """Add a machine with termination protection or stop protection."""
    which = rng.choice(({"termination_protected": True}, {"stop_protected": True}))
    return [region.add(**_fields(region, rng) | which).id]


def kept(region: Region, rng: Random) -> list[str]:
    """Add a machine that a keep tag protects, with the key in any case and any value."""
    key = rng.choice(("curfew:keep", "Curfew:Keep", "CURFEW:KEEP"))
    fields = _fields(region, rng)
    fields["tags"] |= {key: rng.choice(ODD_VALUES)}
    return [region.add(**fields).id]


def managed(region: Region, rng: Random) -> list[str]:
    """Add a machine that another AWS service manages, sometimes hidden by default."""
    fields = _fields(region, rng) | {
        "managed_by": "eks.amazonaws.com",
        "hidden": rng.random() < 0.3,
    }
    return [region.add(**fields).id]


def claimed(region: Region, rng: Random) -> list[str]:
    """Add a machine with one of AWS's own tags: of a stack, a cluster or a fleet."""
    key = rng.choice(
        (
            "aws:cloudformation:stack-id", "aws:ec2:fleet-id", "aws:elasticmapreduce:job-flow-id",
            "aws:ec2launchtemplate:id", "aws:future:thing",
        )
    )  # fmt: skip
    fields = _fields(region, rng)
    fields["tags"] |= {key: "x"}
    return [region.add(**fields).id]


def odd(region: Region, rng: Random) -> list[str]:
    """Add a machine with unexpected characters in a tag."""
    fields = _fields(region, rng)
    fields["tags"] |= {rng.choice(("env", "Env", "owner", "na me")): rng.choice(ODD_VALUES)}
    return [region.add(**fields).id]


def young(region: Region, rng: Random) -> list[str]:
    """Add a machine that was launched within the last 20 minutes."""
    age = timedelta(seconds=rng.randint(0, 1_200))
    return [region.add(**_fields(region, rng) | {"age": age, "state": State.RUNNING}).id]


def spot(region: Region, rng: Random) -> list[str]:
    """Add a Spot Instance, often of a persistent request, which would launch it again."""
    fields = _fields(region, rng) | {"lifecycle": "spot"}
    request_id = f"sir-{rng.getrandbits(32):08x}"
    machine = region.add(**fields | {"spot_request": request_id})
    persistent = rng.random() < 0.6 or machine.state is State.STOPPED
    region.spot_requests[request_id] = SpotRequest(
        id=request_id,
        blueprint=machine,
        created_at=machine.started_at,
        instance=machine.id,
        persistent=persistent,
        state=SpotState.DISABLED if machine.state is State.STOPPED else SpotState.ACTIVE,
    )
    return [machine.id]


def group(region: Region, rng: Random) -> list[str]:
    """Add an Auto Scaling group. Its members start to run as time passes."""
    name = f"group-{len(region.groups)}"
    before = set(region.machines)
    create_group(region, name, rng.randint(1, 4), env=rng.choice(ENVIRONMENTS[:3]))
    return sorted(set(region.machines) - before)


KINDS: Mapping[Callable[[Region, Random], list[str]], int] = {
    ordinary: 50,
    protected: 8,
    kept: 8,
    managed: 5,
    claimed: 5,
    odd: 8,
    young: 6,
    spot: 8,
    group: 2,
}


def _fields(region: Region, rng: Random) -> Fields:
    tags = {"env": rng.choice(ENVIRONMENTS), "owner": rng.choice(OWNERS)}
    fields: Fields = {
        "zone": rng.choice(region.zones),
        "type": rng.choice(TYPES),
        "age": timedelta(minutes=rng.randint(20, 60 * 24 * 40)),
        "tags": {key: value for key, value in tags.items() if value},
    }
    match rng.choices(("running", "stopped", "ephemeral"), weights=(76, 20, 4))[0]:
        case "stopped":
            fields["state"] = State.STOPPED
        case "ephemeral":
            fields["root_device"] = "instance-store"
    return fields
