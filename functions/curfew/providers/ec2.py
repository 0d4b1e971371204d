"""EC2 as a provider: the only module that makes its calls and reads its errors.

Two clients, because they want opposite things: ``read`` may be repeated by the SDK as it likes; ``act`` never is,
since after an error Curfew looks before it does anything else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

from ..core.errors import ListingError, ProviderError, RefusedError
from ..core.model import Attributes, Instance, State, Target, Volume
from ..core.policy import Selector
from . import Launch
from .ec2_errors import SDK_ERRORS, translated

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        InstanceTypeDef,
        SpotInstanceRequestTypeDef,
    )
    from mypy_boto3_sts.client import STSClient

PAGE_SIZE = 1_000
# Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
FILTER_VALUES = 200

ENDED_SPOT_REQUESTS = frozenset({"closed", "cancelled", "failed"})


class Ec2Provider:
    """One account and region of EC2."""

    def __init__(self, *, target: Target, read: "EC2Client", act: "EC2Client") -> None:
        self.target = target
        self._read = read
        self._act = act

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Stream the instances, page by page; an empty page with a token is an ordinary page."""
        pages = self._pages(filters(selector, narrow=narrow))
        whole = 0
        try:
            for page in pages:
                yield from page
                whole += 1
        except SDK_ERRORS as error:
            raise ListingError(
                f"{self.target}: page {whole + 1} of the listing failed: {translated(error)}"
            ) from error

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Look again. By filter, because an id that is gone would fail a request that names it."""
        found: dict[str, Instance] = {}
        try:
            for some in batched(ids, FILTER_VALUES, strict=False):
                for page in self._pages([{"Name": "instance-id", "Values": list(some)}]):
                    found.update((instance.id, instance) for instance in page)
        except SDK_ERRORS as error:
            raise translated(error) from error
        return found

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """Two calls an instance: the attributes have no batch form."""
        found: dict[str, Attributes] = {}
        for id_ in ids:
            try:
                found[id_] = Attributes(
                    termination_protected=self._attribute(id_, "disableApiTermination"),
                    stop_protected=self._attribute(id_, "disableApiStop"),
                )
            except SDK_ERRORS as error:
                problem = translated(error)
                if isinstance(problem, RefusedError):
                    raise problem from error
        return found

    def release(self, instances: Sequence[Instance]) -> Mapping[str, ProviderError | None]:
        """Cancel persistent Spot requests, which would launch their instance anew.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
        """
        spot = [i for i in instances if i.lifecycle == "spot"]
        if not spot:
            return {}
        released: dict[str, ProviderError | None] = {}
        persistent: dict[str, str] = {}
        try:
            requests = self._spot_requests([i.spot_request for i in spot if i.spot_request])
            for instance in spot:
                request = requests.get(instance.spot_request)
                if request is None:
                    problem = f"the Spot request of {instance.id} is not to be seen"
                    released[instance.id] = RefusedError(problem)
                elif _relaunches(request):
                    persistent[instance.spot_request] = instance.id
            cancelled = self._cancel(sorted(persistent)) if persistent else frozenset[str]()
        except SDK_ERRORS as error:
            return dict.fromkeys((i.id for i in spot), translated(error, acting=True))
        for request_id, id_ in persistent.items():
            problem = f"the Spot request {request_id} was not cancelled"
            released[id_] = None if request_id in cancelled else RefusedError(problem)
        return released

    def terminate(self, ids: Sequence[str]) -> Mapping[str, State]:
        """One TerminateInstances call.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
        """
        return self._order(
            lambda: _previous(
                self._act.terminate_instances(InstanceIds=list(ids)).get("TerminatingInstances", [])
            )
        )

    def stop(self, ids: Sequence[str]) -> Mapping[str, State]:
        """One StopInstances call.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
        """
        return self._order(
            lambda: _previous(
                self._act.stop_instances(InstanceIds=list(ids)).get("StoppingInstances", [])
            )
        )

    def launch(self, launch: Launch) -> tuple[Instance, ...]:
        """One RunInstances call: all or none, tagged at creation, with IMDSv2 required.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
        """
        tags = [{"Key": key, "Value": value} for key, value in sorted(launch.tags.items())]
        request: dict[str, Any] = {
            "ImageId": launch.image,
            "InstanceType": launch.instance_type,
            "MinCount": launch.count,
            "MaxCount": launch.count,
            "ClientToken": launch.token,
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": tags}
                for kind in ("instance", "volume", "network-interface")
            ],
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        }
        if launch.zone:
            request["Placement"] = {"AvailabilityZone": launch.zone}
        answer = self._order(lambda: self._act.run_instances(**request))
        return tuple(self._instance(raw) for raw in answer["Instances"])

    def _pages(self, wanted: "list[FilterTypeDef]") -> Iterator[list[Instance]]:
        pages = self._read.get_paginator("describe_instances").paginate(
            Filters=wanted, PaginationConfig={"PageSize": PAGE_SIZE}
        )
        for page in pages:
            yield [
                self._instance(raw)
                for reservation in page["Reservations"]
                for raw in reservation["Instances"]
            ]

    def _spot_requests(self, ids: list[str]) -> "dict[str, SpotInstanceRequestTypeDef]":
        answer = self._read.describe_spot_instance_requests(
            Filters=[{"Name": "spot-instance-request-id", "Values": ids}]
        )
        return {r["SpotInstanceRequestId"]: r for r in answer["SpotInstanceRequests"]}

    def _cancel(self, request_ids: list[str]) -> frozenset[str]:
        answer = self._act.cancel_spot_instance_requests(SpotInstanceRequestIds=request_ids)
        return frozenset(
            request["SpotInstanceRequestId"]
            for request in answer.get("CancelledSpotInstanceRequests", [])
            if request.get("State") in {*ENDED_SPOT_REQUESTS, "completed"}
        )

    def _attribute(self, id_: str, name: Any) -> bool:
        answer: Any = self._read.describe_instance_attribute(InstanceId=id_, Attribute=name)
        # The answer spells the attribute with a capital; without a value nobody knows, so it counts as protected.
        value = answer.get(name[0].upper() + name[1:], {}).get("Value")
        return value is not False

    def _order[T](self, call: Callable[[], T]) -> T:
        try:
            return call()
        except SDK_ERRORS as error:
            raise translated(error, acting=True) from error

    def _instance(self, raw: "InstanceTypeDef") -> Instance:
        operator = raw.get("Operator", {})
        managed = (
            "" if not operator.get("Managed") else operator.get("Principal") or "an AWS service"
        )
        return Instance(
            id=raw["InstanceId"],
            target=self.target,
            zone=raw.get("Placement", {}).get("AvailabilityZone", ""),
            state=_state(raw.get("State", {}).get("Name", "")),
            instance_type=raw.get("InstanceType", ""),
            image=raw.get("ImageId", ""),
            launched_at=_aware(raw.get("LaunchTime")),
            tags={tag.get("Key", ""): tag.get("Value", "") for tag in raw.get("Tags", [])},
            lifecycle=raw.get("InstanceLifecycle", "on-demand"),
            spot_request=raw.get("SpotInstanceRequestId", ""),
            managed_by=managed,
            root_device=raw.get("RootDeviceType", ""),
            volumes=tuple(
                Volume(
                    id=device.get("Ebs", {}).get("VolumeId", ""),
                    device=device.get("DeviceName", ""),
                    delete_on_termination=device.get("Ebs", {}).get("DeleteOnTermination", False),
                )
                for device in raw.get("BlockDeviceMappings", [])
            ),
        )


def filters(selector: Selector, *, narrow: bool) -> "list[FilterTypeDef]":
    """The selector as EC2 filters, as far as EC2 can express it; ``decide`` applies the whole.

    Filter values are patterns, so what is meant literally is escaped. More values than a request may have are not
    sent at all.
    """
    wanted: list[FilterTypeDef] = [
        {"Name": "instance-state-name", "Values": sorted(selector.states)}
    ]
    if not narrow:
        return wanted
    for tag in selector.tags:
        values = [*map(_literal, tag.values), *(p.replace("\\", "\\\\") for p in tag.like)]
        wanted.append({"Name": f"tag:{tag.key}", "Values": values})
    if selector.with_tags:
        wanted.extend({"Name": "tag-key", "Values": [_literal(k)]} for k in selector.with_tags)
    if selector.instance_types:
        wanted.append({"Name": "instance-type", "Values": list(selector.instance_types)})
    while sum(len(f["Values"]) for f in wanted) > FILTER_VALUES:
        wanted.remove(max(wanted, key=lambda f: len(f["Values"])))
    return wanted


def enabled_regions(read: "EC2Client") -> frozenset[str]:
    """The regions that the account may use. Raises ProviderError.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    try:
        answer = read.describe_regions()
    except SDK_ERRORS as error:
        raise translated(error) from error
    return frozenset(region["RegionName"] for region in answer["Regions"])


def account_of(sts: "STSClient") -> str:
    """The account that the credentials belong to. Raises ProviderError.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    try:
        return sts.get_caller_identity()["Account"]
    except SDK_ERRORS as error:
        raise translated(error) from error


def _relaunches(request: "SpotInstanceRequestTypeDef") -> bool:
    one_time = request.get("Type") == "one-time"
    return not one_time and request.get("State") not in ENDED_SPOT_REQUESTS


def _previous(changes: Sequence[Any]) -> dict[str, State]:
    return {
        change["InstanceId"]: _state(change.get("PreviousState", {}).get("Name", ""))
        for change in changes
    }


def _state(word: str) -> State:
    return State(word) if word in State else State.UNKNOWN


def _aware(at: datetime | None) -> datetime | None:
    # A time without a zone is no time: the instance is then kept for want of one.
    return at if at is not None and at.tzinfo is not None else None


def _literal(value: str) -> str:
    return value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
