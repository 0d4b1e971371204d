"""Writes the trimmed model of EC2 and the endpoints that ship, from the installed SDK's, or checks that they are those.

python -m tools.trim [--check] functions/curfew/aws/models

A path is the SDK's name of a member inside of another one; lists are passed through. Sent or read, it ends at a value,
or at a structure that is wanted whole.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore
from botocore.loaders import JSONFileLoader

SERVICE = "ec2/2016-11-15"
# Whose endpoints a client of Curfew's may ask for; the SDK has those of four hundred services in one file.
SERVICES = (
    "dynamodb", "ec2", "oidc", "organizations", "portal.sso", "secretsmanager", "sqs", "ssm", "sts",
)  # fmt: skip
# What a client never asks of its model at run time.
UNUSED = ("documentation", "enum", "deprecated", "deprecatedMessage", "deprecatedSince")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The members of an operation that Curfew sends, and those of its answer that Curfew reads."""

    sends: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


INSTANCE = (
    "InstanceId",
    "ImageId",
    "State.Name",
    "StateReason.Message",
    "ClientToken",
    "InstanceType",
    "LaunchTime",
    "Placement.AvailabilityZone",
    "RootDeviceType",
    "InstanceLifecycle",
    "SpotInstanceRequestId",
    "Operator.Managed",
    "Operator.Principal",
    "Tags.Key",
    "Tags.Value",
    "BlockDeviceMappings.DeviceName",
    "BlockDeviceMappings.Ebs.VolumeId",
    "BlockDeviceMappings.Ebs.DeleteOnTermination",
)
CHANGE = ("InstanceId", "PreviousState.Name")
FILTERS = ("Filters.Name", "Filters.Values")


def under(place: str, members: Iterable[str]) -> tuple[str, ...]:
    """Return the members as they are in a response."""
    return tuple(f"{place}.{member}" for member in members)


OPERATIONS = {
    "CancelSpotInstanceRequests": Wanted(
        sends=("SpotInstanceRequestIds",),
        reads=under("CancelledSpotInstanceRequests", ("SpotInstanceRequestId", "State")),
    ),
    "CreateTags": Wanted(sends=("Resources", "Tags.Key", "Tags.Value")),
    "DescribeInstanceAttribute": Wanted(
        sends=("InstanceId", "Attribute"),
        reads=("DisableApiTermination.Value", "DisableApiStop.Value"),
    ),
    "DescribeInstances": Wanted(
        sends=(*FILTERS, "MaxResults", "NextToken"),
        reads=("NextToken", *under("Reservations.Instances", INSTANCE)),
    ),
    "DescribeRegions": Wanted(reads=("Regions.RegionName",)),
    "DescribeSpotInstanceRequests": Wanted(
        sends=FILTERS,
        reads=under("SpotInstanceRequests", ("SpotInstanceRequestId", "Type", "State")),
    ),
    "RunInstances": Wanted(
        sends=(
            "ImageId",
            "InstanceType",
            "MinCount",
            "MaxCount",
            "ClientToken",
            "MetadataOptions.HttpTokens",
            "MetadataOptions.HttpPutResponseHopLimit",
            "MetadataOptions.InstanceMetadataTags",
            "TagSpecifications.ResourceType",
            "TagSpecifications.Tags.Key",
            "TagSpecifications.Tags.Value",
            "SubnetId",
            "SecurityGroupIds",
            "KeyName",
            "IamInstanceProfile.Arn",
            "IamInstanceProfile.Name",
            "UserData",
            "InstanceMarketOptions.MarketType",
            "InstanceMarketOptions.SpotOptions.SpotInstanceType",
            "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
        ),
        reads=under("Instances", INSTANCE),
    ),
    "StopInstances": Wanted(sends=("InstanceIds",), reads=under("StoppingInstances", CHANGE)),
    "TerminateInstances": Wanted(
        sends=("InstanceIds",), reads=under("TerminatingInstances", CHANGE)
    ),
}


def trimmed(model: Mapping[str, Any], operations: Mapping[str, Wanted]) -> dict[str, Any]:
    """The model with these operations alone, and of their shapes the members that are wanted."""
    kept: dict[str, Any] = {}
    shapes = _Shapes(model["shapes"], kept)
    described = {}
    for name, wanted in sorted(operations.items()):
        operation = _bare(model["operations"][name])
        described[name] = operation
        for side, paths in (("input", wanted.sends), ("output", wanted.reads)):
            if side in operation:
                top = operation[side]["shape"]
                shapes.keep(top, ())
                for path in paths:
                    shapes.keep(top, tuple(path.split(".")))
        for error in operation.get("errors", ()):
            shapes.whole(error["shape"])
    return _bare(model) | {"operations": described, "shapes": dict(sorted(kept.items()))}


class _Shapes:
    """The shapes that are kept so far, each with the members that are used of it, in the model's own order."""

    def __init__(self, given: Mapping[str, Any], kept: dict[str, Any]) -> None:
        self._given = given
        self._kept = kept

    def keep(self, name: str, path: tuple[str, ...]) -> None:
        """Keep a shape, with the member that a path goes through; raises KeyError for one that there is not."""
        given = self._given[name]
        kept = self._kept.setdefault(
            name, _bare(given) | ({"members": {}} if "members" in given else {})
        )
        if "member" in given:
            self.keep(given["member"]["shape"], path)
            return
        if "members" not in given:
            if path:
                raise KeyError(f"{name} has no {'.'.join(path)}")
            return
        if not path:
            return
        member, *rest = path
        names = {*kept["members"], member}
        kept["members"] = {m: _bare(d) for m, d in given["members"].items() if m in names}
        self.keep(given["members"][member]["shape"], tuple(rest))

    def whole(self, name: str) -> None:
        """Keep a shape and all that is in it."""
        if name in self._kept:
            return
        given = self._given[name]
        kept = self._kept[name] = _bare(given)
        for part in [*given.get("members", {}).values(), given.get("member"), given.get("key")]:
            if part:
                self.whole(part["shape"])
        if "members" in given:
            kept["members"] = {m: _bare(d) for m, d in given["members"].items()}


def _bare(thing: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in thing.items() if key not in UNUSED}


def endpoints(given: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoints of every partition, for the services that are called."""
    partitions = [
        partition
        | {
            "services": {
                name: partition["services"][name]
                for name in SERVICES
                if name in partition["services"]
            }
        }
        for partition in given["partitions"]
    ]
    return {**given, "partitions": partitions}


def made() -> dict[str, str]:
    """The files that ship, by their places, from the installed SDK."""
    data = Path(botocore.__file__).parent / "data"
    source = data / SERVICE
    load = JSONFileLoader().load_file
    pages = load(str(source / "paginators-1"))["pagination"]
    pagination = {
        name: pages[name]
        for name, wanted in sorted(OPERATIONS.items())
        if name in pages and pages[name]["input_token"] in wanted.sends
    }
    files = {
        f"{SERVICE}/service-2.json": trimmed(load(str(source / "service-2")), OPERATIONS),
        f"{SERVICE}/paginators-1.json": {"pagination": pagination},
        "endpoints.json": endpoints(load(str(data / "endpoints"))),
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in files.items()}


def main(arguments: list[str]) -> int:
    """Write, or check; the exit status."""
    check = "--check" in arguments
    (root,) = (Path(argument) for argument in arguments if argument != "--check")
    for name, text in made().items():
        place = root / name
        if not check:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8")
        elif not place.exists() or place.read_text("utf-8") != text:
            sys.stderr.write(f"{place} is stale: run `make lock`\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
