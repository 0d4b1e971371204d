"""The bodies that a caller may send over HTTP, validated as foreign data.

An unknown key is an error. No body chooses an image, a network, a profile or user data: only the policy file does.
"""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import Field, StrictStr, model_validator

from ...schemas.fields import CloudName, CloudRegion, Instant, LaunchTags, Name, Region, Strict
from ...schemas.messages import LEASE_LENGTH, Count, Ttl

type Reason = Annotated[StrictStr, Field(min_length=1, max_length=500)]


class LaunchBody(Strict):
    """A fleet to launch. The template sets everything that the body leaves out."""

    template: Name
    name: Name | None = Field(
        None, description="The name of the fleet; by default Curfew makes one."
    )
    count: Count | None = Field(
        None, description="The number of instances; by default the template's."
    )
    ttl: Ttl | None = Field(None, description="The length of the lease, as in 8h.")
    until: Instant | None = Field(None, description="The end of the lease, instead of ttl.")
    region: Region | None = Field(None, description="The region; by default the deployment's.")
    tags: LaunchTags = Field(
        default_factory=dict, description="Tags in addition to the template's."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.ttl and self.until:
            raise ValueError(LEASE_LENGTH)
        return self


class LeaseBody(Strict):
    """The new end of a lease: a duration from now, or an instant."""

    ttl: Ttl | None = None
    until: Instant | None = None

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if bool(self.ttl) == bool(self.until):
            raise ValueError(LEASE_LENGTH)
        return self

    def expires_at(self, now: datetime) -> datetime:
        """Return the requested end."""
        return self.until or now + (self.ttl or timedelta(0))


class PlanBody(Strict):
    """The policy to make a plan of, and the region or cloud."""

    policy: Name
    region: CloudRegion | None = Field(
        None, description="Required if the policy, or the cloud, has several."
    )
    cloud: CloudName | None = Field(
        None, description="An OpenStack cloud of the policy file's targets."
    )


class PauseBody(Strict):
    """The reason for a pause."""

    reason: Reason
