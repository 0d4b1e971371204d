"""RunInstances as EC2 has it, for the stub.

- A client token is remembered by region, or by zone where the call names a subnet; the same call launches once, a
  call that differs in anything is refused, and a call that failed is not remembered.
- As many are launched as the zone has capacity and the account has quota for, the asked minimum at least.
- A lack of capacity is a server error, HTTP 500.
- Tags are given at birth, and what was launched may not be seen at once, or die at once.

Sources: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tests.builders import HERE, NOW, an_id
from tests.stub.machines import Machine, described
from tests.stub.wire import CallRefusedError, tag_specifications

ZONE = f"{HERE.region}a"
LIVE = frozenset({"pending", "running"})
TAGS = 50
STILLBORN = "Server.InternalError: Internal error on launch"
VCPUS = {"t2.micro": 1, "t2.small": 1}  # others have two


@dataclass(frozen=True, slots=True)
class _Known:
    asked: dict[str, str]
    ids: tuple[str, ...]


class Launches:
    """The part of the cloud that launches. A test sets the attributes before, and reads them afterwards."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.spot_requests: dict[str, dict[str, str]] = {}
        self.subnets = {f"subnet-{letter}": f"{HERE.region}{letter}" for letter in "abc"}
        self.capacity: dict[tuple[str, str], int] = {}  # left, by type and zone; no entry is plenty
        self.instance_quota: int | None = None
        self.vcpu_quota: int | None = None
        self.unnamed: set[str] = set()  # left out of every answer to an order
        self.visible_after = 0  # so many listings do not show what is launched from now on
        self.stillborn = 0  # so many of the next to be launched die at once
        self.clock: Callable[[], datetime] = lambda: NOW
        self.asked: list[dict[str, str]] = []  # each RunInstances, as it came, whatever came of it
        self._tokens: dict[tuple[str, str], _Known] = {}

    def _run_instances(self, asked: dict[str, str]) -> str:
        scope = (asked["ClientToken"], self._zone(asked) if "SubnetId" in asked else "")
        known = self._tokens.get(scope)
        if known is None:
            known = _Known(asked, self._born(asked))
            self._tokens[scope] = known
        elif known.asked != asked:
            words = "the token was sent with other parameters"
            raise CallRefusedError("IdempotentParameterMismatch", words)
        elif all(self.machines[id_].state == "terminated" for id_ in known.ids):
            words = "what the token launched is terminated"
            raise CallRefusedError("IdempotentInstanceTerminated", words)
        named = [id_ for id_ in known.ids if id_ not in self.unnamed]
        items = "".join(described(self.machines[id_]) for id_ in named)
        return f"<reservationId>r-1</reservationId><instancesSet>{items}</instancesSet>"

    def _born(self, asked: dict[str, str]) -> tuple[str, ...]:
        zone, kind = self._zone(asked), asked["InstanceType"]
        tags = tag_specifications(asked)
        for given in tags.values():
            check_tags(given, new=given)
        wanted, least = int(asked["MaxCount"]), int(asked["MinCount"])
        room = self._room(asked, wanted, least)
        left = self.capacity.get((kind, zone), room)
        if left < least:
            words = f"We currently do not have sufficient {kind} capacity in {zone}."
            raise CallRefusedError("InsufficientInstanceCapacity", words, 500)
        had = min(wanted, room, left)
        if (kind, zone) in self.capacity:
            self.capacity[kind, zone] -= had
        ids = tuple(an_id(5_000 + len(self.machines) + n) for n in range(had))
        for id_ in ids:
            doomed, self.stillborn = self.stillborn > 0, max(self.stillborn - 1, 0)
            self.machines[id_] = Machine(
                id=id_,
                zone=zone,
                state="pending",
                type=kind,
                image=asked["ImageId"],
                tags=dict(tags.get("instance", {})),
                launched_at=self.clock(),
                spot_request=self._spot(asked, id_),
                token=asked["ClientToken"],
                asked=asked,
                unseen=self.visible_after,
                doom=STILLBORN if doomed else "",
            )
        return ids

    def _zone(self, asked: dict[str, str]) -> str:
        subnet = asked.get("SubnetId")
        if subnet is None:
            return asked.get("Placement.AvailabilityZone", ZONE)
        if subnet not in self.subnets:
            raise CallRefusedError("InvalidSubnetID.NotFound", f"{subnet} does not exist")
        return self.subnets[subnet]

    def _room(self, asked: dict[str, str], wanted: int, least: int) -> int:
        """How many more the account may run."""
        live = [machine for machine in self.machines.values() if machine.state in LIVE]
        room = wanted
        if self.instance_quota is not None:
            room = min(room, self.instance_quota - len(live))
            if room < least:
                words = (
                    f"You have requested more instances than your quota of {self.instance_quota}."
                )
                raise CallRefusedError("InstanceLimitExceeded", words)
        if self.vcpu_quota is not None:
            used = sum(VCPUS.get(machine.type, 2) for machine in live)
            room = min(room, (self.vcpu_quota - used) // VCPUS.get(asked["InstanceType"], 2))
            if room < least:
                words = (
                    f"You have requested more vCPU capacity than your limit of {self.vcpu_quota}."
                )
                raise CallRefusedError("VcpuLimitExceeded", words)
        return room

    def _spot(self, asked: dict[str, str], id_: str) -> str:
        if asked.get("InstanceMarketOptions.MarketType") != "spot":
            return ""
        request = id_.replace("i-", "sir-")
        kind = asked.get("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time")
        self.spot_requests[request] = {"type": kind, "state": "active"}
        return request


def check_tags(tags: dict[str, str], *, new: dict[str, str]) -> None:
    """EC2 takes so many tags, and none of its own."""
    if len(tags) > TAGS:
        raise CallRefusedError("TagLimitExceeded", f"more than {TAGS} tags")
    if any(key.startswith("aws:") for key in new):
        words = "Tag keys starting with 'aws:' are reserved for internal use"
        raise CallRefusedError("InvalidParameterValue", words)
