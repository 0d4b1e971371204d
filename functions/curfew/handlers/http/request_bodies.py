"""What a caller may send over HTTP, as foreign data that is checked here.

An unknown key is an error. No body chooses an image, a network, a profile or user data: those are the policy file's.
"""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import Field, StrictStr, model_validator

from ...schemas.fields import CloudName, CloudRegion, Instant, LaunchTags, Name, Region, Strict
from ...schemas.messages import LEASE_LENGTH, Count, Ttl

type Reason = Annotated[StrictStr, Field(min_length=1, max_length=500)]


class LaunchBody(Strict):
    """A fleet to launch. Everything that is not asked for is the template's."""

    template: Name
    name: Name | None = Field(None, description="How the fleet is called; else it gets a name.")
    count: Count | None = Field(
        None, description="How many instances; else the template's default."
    )
    ttl: Ttl | None = Field(None, description="How long the lease lasts, as in 8h.")
    until: Instant | None = Field(None, description="When the lease ends, instead of ttl.")
    region: Region | None = Field(None, description="Where; else the region of the deployment.")
    tags: LaunchTags = Field(default_factory=dict, description="Tags beside the template's.")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.ttl and self.until:
            raise ValueError(LEASE_LENGTH)
        return self


class LeaseBody(Strict):
    """Another end of a lease: so long from now, or at an instant."""

    ttl: Ttl | None = None
    until: Instant | None = None

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if bool(self.ttl) == bool(self.until):
            raise ValueError(LEASE_LENGTH)
        return self

    def expires_at(self, now: datetime) -> datetime:
        """The end that is asked for."""
        return self.until or now + (self.ttl or timedelta(0))


class PlanBody(Strict):
    """A policy of which a plan is to be made."""

    policy: Name
    region: CloudRegion | None = Field(
        None, description="Needed where the policy, or the cloud, has several."
    )
    cloud: CloudName | None = Field(None, description="An OpenStack cloud of the targets, instead.")


class PauseBody(Strict):
    """Why no batch may begin."""

    reason: Reason
