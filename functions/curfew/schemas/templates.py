"""*request*: validates the fleet templates of the policy file."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    StrictInt,
    StrictStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from .fields import (
    CloudName,
    CloudRegion,
    CloudWord,
    CloudWords,
    Duration,
    ImageId,
    InstanceType,
    LaunchTags,
    SecurityGroupIds,
    Strict,
    SubnetIds,
)

LONGEST_LEASE = timedelta(days=366)


class FleetCount(Strict):
    """How many instances a launch has: by default and at most."""

    default: Annotated[StrictInt, Field(ge=1)] = 1
    max: Annotated[StrictInt, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.default > self.max:
            raise ValueError(f"default is {self.default}, more than max, which is {self.max}")
        return self


class FleetTtl(Strict):
    """How long a lease lasts: by default and at most, from the launch or the renewal on."""

    default: Duration = timedelta(hours=8)
    max: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.default > self.max:
            raise ValueError("default is longer than max")
        if self.max > LONGEST_LEASE:
            raise ValueError(f"max is longer than {LONGEST_LEASE.days}d")
        return self


class Template(Strict):
    """What every template sets, so that a caller cannot choose an image, a network, a profile or user data.

    ``user_data`` is a file beside the policy file.
    """

    key: Annotated[StrictStr, Field(min_length=1, max_length=255)] = ""
    user_data: Annotated[StrictStr, Field(min_length=1, max_length=255)] = ""
    count: FleetCount = FleetCount()
    ttl: FleetTtl = FleetTtl()
    tags: LaunchTags = Field(default_factory=dict)


class FleetEntry(Template):
    """A template for EC2. Types and subnets are in order of preference."""

    image: ImageId
    instance_types: Annotated[tuple[InstanceType, ...], Field(min_length=1, max_length=16)]
    subnets: SubnetIds = ()
    security_groups: SecurityGroupIds = ()
    profile: Annotated[StrictStr, Field(min_length=1, max_length=2048)] = ""
    market: Literal["on-demand", "spot"] = "on-demand"

    def details(self) -> dict[str, Any]:
        """Return the values that the launch spec takes over unchanged."""
        return {
            "instance_types": self.instance_types,
            "subnets": self.subnets,
            "security_groups": self.security_groups,
            "key": self.key,
            "profile": self.profile,
            "spot": self.market == "spot",
        }


class CloudFleetEntry(Template):
    """A template for an OpenStack cloud: image, networks and groups by name or id, flavours by name.

    Without ``networks``, the servers have no network. ``region`` is required if the cloud has several.
    """

    cloud: CloudName
    region: CloudRegion = ""
    image: CloudWord
    instance_types: CloudWords
    networks: CloudWords = ()
    security_groups: CloudWords = ()
    hints: dict[CloudWord, CloudWord] = Field(default_factory=dict, max_length=16)

    def details(self) -> dict[str, Any]:
        """Return the values that the launch spec takes over unchanged."""
        return {
            "instance_types": self.instance_types,
            "networks": self.networks,
            "security_groups": self.security_groups,
            "key": self.key,
            "hints": self.hints,
        }


def _by_cloud(value: object, _: ValidatorFunctionWrapHandler) -> Template:
    """Validate as a cloud's template if ``cloud`` is set, so that errors are about one kind of template only."""
    is_cloud = isinstance(value, dict) and "cloud" in value
    return (CloudFleetEntry if is_cloud else FleetEntry).model_validate(value)


type AnyFleet = Annotated[FleetEntry | CloudFleetEntry, WrapValidator(_by_cloud)]
