"""The part of EC2 and STS that the benchmark's sweeps call. It renders each page once.

It is fast and has no faults: it serves to measure clients, and proves nothing about safety. `curfew_simulator/` does
that; its code renders the responses here.
"""

import base64
import binascii
import fnmatch
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from . import rendering
from .fleet import ACCOUNT, REGIONS, TAG, VALUE, Machine, fleet

PAGE = 1_000
type Params = Mapping[str, str]
type Filters = tuple[tuple[str, tuple[str, ...]], ...]


class RefusedError(Exception):
    """An error of EC2, with its ``code`` and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Region:
    """One account's instances in one region. ``ended`` has the ids terminated since the last reset."""

    def __init__(self, size: int, *, account: str, name: str, now: datetime) -> None:
        self.name = name
        self.machines = fleet(size, account=account, region=name, now=now)
        self.by_id = {machine.id: machine for machine in self.machines}
        self.ended: set[str] = set()
        self._chosen: dict[Filters, list[Machine]] = {}
        self._pages: dict[tuple[Filters, int, int], bytes] = {}

    def page(self, filters: Filters, start: int, size: int) -> bytes:
        """Return one page of DescribeInstances. Pages are cached until an instance is terminated."""
        key = filters, start, size
        if not self.ended and key in self._pages:
            return self._pages[key]
        chosen = self._choose(filters)
        token = _token(start + size) if start + size < len(chosen) else ""
        here = [(m, self.state(m)) for m in chosen[start : start + size]]
        made = rendering.page(here, token)
        if not self.ended and not any(name == "instance-id" for name, _ in filters):
            self._pages[key] = made
        return made

    def state(self, machine: Machine) -> str:
        """Return a machine's present state."""
        return "terminated" if machine.id in self.ended else machine.state

    def _choose(self, filters: Filters) -> list[Machine]:
        ids = next((values for name, values in filters if name == "instance-id"), None)
        if ids is not None:
            named = [self.by_id[id_] for id_ in ids if id_ in self.by_id]
            return [m for m in named if self._fits(m, filters)]
        if self.ended:
            return [m for m in self.machines if self._fits(m, filters)]
        if filters not in self._chosen:
            self._chosen[filters] = [m for m in self.machines if self._fits(m, filters)]
        return self._chosen[filters]

    def _fits(self, machine: Machine, filters: Filters) -> bool:
        return all(any(map(_likes(self._field(machine, n)), vs)) for n, vs in filters)

    def _field(self, machine: Machine, name: str) -> str | None:
        if name.startswith("tag:"):
            return machine.tags.get(name[4:])
        match name:
            case "instance-id":
                return machine.id
            case "instance-state-name":
                return self.state(machine)
            case "instance-type":
                return machine.type
        raise RefusedError("InvalidParameterValue", f"The filter '{name}' is invalid")


class Ec2:
    """All accounts and regions. A region is created at its first call."""

    def __init__(self, size: int, *, regions: int, now: datetime) -> None:
        self.size = size
        self.names = REGIONS[:regions]
        self.now = now
        self._regions: dict[tuple[str, str], Region] = {}
        self._actions: dict[str, Callable[[Params, str, str], bytes]] = {
            "DescribeInstances": self._describe_instances,
            "DescribeInstanceAttribute": self._describe_attribute,
            "DescribeRegions": self._describe_regions,
            "TerminateInstances": self._terminate,
            "AssumeRole": self._assume,
            "GetCallerIdentity": self._who,
        }

    def answer(self, params: Params, account: str, region: str) -> bytes:
        """Return the body of a response. Raise RefusedError for an error of EC2."""
        name = params.get("Action", "")
        if name not in self._actions:
            raise RefusedError("InvalidAction", f"The action {name} is not valid here")
        return self._actions[name](params, account, region)

    def region(self, account: str, name: str) -> Region:
        """Return one account's instances in one region."""
        if (account, name) not in self._regions:
            self._regions[account, name] = Region(
                self.size, account=account, name=name, now=self.now
            )
        return self._regions[account, name]

    def reset(self) -> None:
        """Undo all terminations."""
        for region in self._regions.values():
            region.ended.clear()

    def ended(self) -> set[str]:
        """Return the ids of all terminated instances, in all accounts and regions."""
        return {id_ for region in self._regions.values() for id_ in region.ended}

    def due(self) -> set[str]:
        """Who has to be terminated, in all regions of the first account."""
        return {
            machine.id
            for name in self.names
            for machine in self.region(ACCOUNT, name).machines
            if machine.due(self.now)
        }

    def tagged(self, states: Sequence[str]) -> int:
        """Return how many instances in these states have the tag, of any age, in all regions of the first account."""
        return sum(
            machine.state in states and machine.tags.get(TAG) == VALUE
            for name in self.names
            for machine in self.region(ACCOUNT, name).machines
        )

    def _describe_instances(self, params: Params, account: str, region: str) -> bytes:
        size = int(params.get("MaxResults", PAGE))
        if not 5 <= size <= PAGE:
            raise RefusedError(
                "InvalidParameterValue", f"Value ( {size} ) for maxResults is invalid"
            )
        filters = tuple(sorted(_filters(params)))  # the order of the filters does not matter
        if ids := _listed(params, "InstanceId"):
            filters = (*filters, ("instance-id", ids))
        return self.region(account, region).page(filters, _start(params), size)

    def _describe_attribute(self, params: Params, account: str, region: str) -> bytes:
        (machine,) = self._named([params.get("InstanceId", "")], account, region)
        name = params.get("Attribute", "")
        if name not in {"disableApiTermination", "disableApiStop"}:
            raise RefusedError("InvalidParameterValue", f"The attribute '{name}' is not known here")
        return rendering.answer(
            "DescribeInstanceAttribute", {"instanceId": machine.id, name: {"value": False}}
        )

    def _describe_regions(self, _params: Params, _account: str, _region: str) -> bytes:
        items = [
            {
                "regionName": name,
                "regionEndpoint": f"ec2.{name}.amazonaws.com",
                "optInStatus": "opt-in-not-required",
            }
            for name in self.names
        ]
        return rendering.answer("DescribeRegions", {"regionInfo": items})

    def _terminate(self, params: Params, account: str, region: str) -> bytes:
        ids = _listed(params, "InstanceId")
        if not ids:
            raise RefusedError("MissingParameter", "The request must contain InstanceId")
        if len(ids) > PAGE:
            raise RefusedError("InvalidParameterValue", f"No more than {PAGE} ids at once")
        here = self.region(account, region)
        changes = [rendering.change(m, here.state(m)) for m in self._named(ids, account, region)]
        here.ended.update(ids)
        return rendering.answer("TerminateInstances", {"instancesSet": changes})

    def _named(self, ids: Sequence[str], account: str, region: str) -> list[Machine]:
        here = self.region(account, region).by_id
        if missing := [id_ for id_ in ids if id_ not in here]:
            raise RefusedError(
                "InvalidInstanceID.NotFound", f"The instance ID '{missing[0]}' does not exist"
            )
        return [here[id_] for id_ in ids]

    def _assume(self, params: Params, account: str, _region: str) -> bytes:
        owner = params.get("RoleArn", "::::").split(":")[4] or account
        content = {
            "AssumedRoleUser": {"Arn": _arn(owner), "AssumedRoleId": "AROAEXAMPLE:bench"},
            "Credentials": {
                "AccessKeyId": owner,
                "SecretAccessKey": "any",
                "SessionToken": "any",
                "Expiration": self.now + timedelta(days=1),
            },
        }
        return rendering.answer("AssumeRole", content, service="sts")

    def _who(self, _params: Params, account: str, _region: str) -> bytes:
        content = {"Arn": _arn(account), "UserId": "AROAEXAMPLE:bench", "Account": account}
        return rendering.answer("GetCallerIdentity", content, service="sts")


def digest(ids: set[str]) -> str:
    """Return a fingerprint of a selection."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]


def _arn(account: str) -> str:
    return f"arn:aws:sts::{account}:assumed-role/sweep/bench"


def _filters(params: Params) -> Iterator[tuple[str, tuple[str, ...]]]:
    number = 1
    while (name := params.get(f"Filter.{number}.Name")) is not None:
        yield name, _listed(params, f"Filter.{number}.Value")
        number += 1


def _listed(params: Params, stem: str) -> tuple[str, ...]:
    found: list[str] = []
    while (value := params.get(f"{stem}.{len(found) + 1}")) is not None:
        found.append(value)
    return tuple(found)


def _likes(value: str | None) -> Callable[[str], bool]:
    def likes(pattern: str) -> bool:
        if value is None:
            return False
        if "*" in pattern or "?" in pattern:
            return fnmatch.fnmatchcase(value, pattern)
        return value == pattern

    return likes


def _token(start: int) -> str:
    return base64.b64encode(f"page after {start:>12} of the benchmark's fleet".encode()).decode()


def _start(params: Params) -> int:
    if "NextToken" not in params:
        return 0
    try:
        return int(base64.b64decode(params["NextToken"]).split()[2])
    except (binascii.Error, ValueError, IndexError):
        raise RefusedError("InvalidNextToken", "The token is invalid") from None
