"""The policy file of a world: what is looked for, what is exempt, and limits that sometimes bite."""

from pathlib import Path
from random import Random
from typing import Any

from curfew.config.policy_file import PolicyFile
from curfew.schemas.policy_file import File, FileLimits

from ..checkers.liveness import WIDE
from .clients import REGIONS

PROTECTING = ("curfew:keep", "precious")
MIN_AGE = "15m"
SCHEDULE = "nights"
NIGHTLY: dict[str, Any] = {
    "select": {"states": ["running"], "tags": {"env": ["dev", "sandbox"]}},
    "action": "terminate",
}
HALT: dict[str, Any] = {
    "select": {"states": ["running"], "tags": {"env": "prod"}},
    "action": "stop",
}
OWNERLESS: dict[str, Any] = {
    "select": {"states": ["running", "stopped"], "without_tags": ["owner", "env"]},
    "older_than": "3d",
    "action": "terminate",
}
LEASES: dict[str, Any] = {
    "select": {"lease": "expired"},
    "action": "terminate",
    "limits": {"per_sweep": 50, "percent": 100},
}
TEMPLATE: dict[str, Any] = {
    "image": "ami-08111162",
    "instance_types": ["t2.micro", "t2.small"],
    "count": {"default": 2, "max": 30},
    "ttl": {"default": "4h", "max": "2d"},
    "tags": {"env": "sandbox"},
}


def draw(rng: Random, version: str = "v1") -> PolicyFile:
    """A policy file by chance."""
    content: dict[str, Any] = {
        "timezone": rng.choice(("Europe/Zurich", "UTC", "America/New_York")),
        "protect": {"tags": list(PROTECTING), "min_age": MIN_AGE},
        "limits": WIDE,
        "schedules": {SCHEDULE: schedule(rng)},
        "policies": {"nightly": NIGHTLY, "leases": LEASES, "halt": HALT, "ownerless": OWNERLESS},
        "fleets": {
            "pair": TEMPLATE,
            "spot": TEMPLATE | {"market": "spot"},
            "zonal": TEMPLATE | {"subnets": [f"subnet-{number:017x}" for number in (0, 1)]},
        },
    }
    if rng.random() < 0.35:
        content["targets"] = {"regions": list(REGIONS)}
    return limited(made(content, version), limits(rng), version)


def schedule(rng: Random) -> dict[str, Any]:
    """One, of any policy but the one for leases. No clock skips or repeats its hour, and each day has one.

    A world that lets days pass at a stretch, with a group whose instances die at launch, has thousands of launches.
    """
    drawn: dict[str, Any] = {
        "policy": rng.choices(("nightly", "halt", "ownerless"), weights=(6, 2, 2))[0],
        "catch_up": rng.choice(("1h", "4h", "1d")),
    }
    if rng.random() < 0.4:
        return drawn | {"every": rng.choice(("1h", "6h", "1d"))}
    return drawn | {"at": f"{rng.randint(4, 22):02}:{rng.randint(0, 59):02}"}


def limits(rng: Random) -> dict[str, int]:
    """Wide ones mostly; else one that bites, or none at all, which is what zero means."""
    drawn = dict(WIDE)
    match rng.choices(("wide", "sweep", "percent", "day", "none"), (56, 14, 10, 14, 6))[0]:
        case "sweep":
            drawn["per_sweep"] = rng.randint(1, 4)
        case "percent":
            drawn["percent"] = rng.randint(5, 40)
        case "day":
            drawn["per_day"] = rng.randint(1, 6)
        case "none":
            drawn[rng.choice(list(drawn))] = 0
    return drawn


def made(content: dict[str, Any], version: str) -> PolicyFile:
    """A file that no disk has."""
    return PolicyFile(
        path=Path("curfew.yaml"), version=version, content=File.model_validate(content)
    )


def changed(file: PolicyFile, rng: Random) -> PolicyFile:
    """The same policies with other limits, deployed again."""
    number = int(file.version.removeprefix("v")) + 1
    return limited(file, limits(rng), f"v{number}")


def limited(file: PolicyFile, drawn: dict[str, int], version: str) -> PolicyFile:
    """The same file with limits that it would not be valid with: a fleet may be larger than what they let go."""
    content = file.content.model_copy(update={"limits": FileLimits.model_validate(drawn)})
    return PolicyFile(path=file.path, version=version, content=content)
