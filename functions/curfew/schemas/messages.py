"""*request*: validates the events and messages that trigger Curfew.

An unknown key is an error. No request can choose an image, a network, a profile or user data: only the policy file
sets those.
"""

from datetime import datetime, time, timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from ..core.errors import RequestError
from ..core.target import Mode
from .fields import (
    CloudRegion,
    Duration,
    Instant,
    LaunchTags,
    Matching,
    Name,
    Owner,
    Owners,
    Region,
    Regions,
    Strict,
    TimeOfDay,
)
from .templates import LONGEST_LEASE
from .validation_errors import validation_errors

LEASE_LENGTH = "a lease has either ttl or until"


def _possible(ttl: timedelta) -> timedelta:
    if ttl > LONGEST_LEASE:
        raise ValueError(f"is longer than the longest lease, which is {LONGEST_LEASE.days}d")
    return ttl


type Count = Annotated[StrictInt, Field(ge=1, le=100)]
type Ttl = Annotated[Duration, AfterValidator(_possible)]
type Words = Annotated[StrictStr, Field(min_length=1, max_length=256)]


class Request(Strict):
    """An event or a message."""

    @classmethod
    def parse(cls, event: object) -> Self:
        """Return the validated event. Raises RequestError, which names each invalid value."""
        try:
            return cls.model_validate(event)
        except ValidationError as error:
            raise RequestError(
                f"the request for a {cls._wanted()} is not valid: {wrong(error, cls)}"
            ) from None

    @classmethod
    def _wanted(cls) -> str:
        return cls.__name__.removesuffix("Request").lower()


def wrong(error: ValidationError, model: type[BaseModel]) -> str:
    """Return what is invalid in a request: each value with its path."""
    return "; ".join(
        f"{'.'.join(map(str, path)) or 'it'} {problem}"
        for path, problem in validation_errors(error, model.model_fields)
    )


class SweepRequest(Request):
    """Starts a sweep. ``schedule`` and ``scheduled_at`` come from EventBridge Scheduler."""

    policy: StrictStr
    accounts: Owners = ()
    regions: Regions = ()
    mode: Mode | None = None
    schedule: StrictStr = ""
    scheduled_at: Instant | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        _together(self.schedule, self.scheduled_at)
        return self

    @property
    def window(self) -> str:
        """The schedule and its time in one text; empty without a schedule."""
        return f"{self.schedule}@{self.scheduled_at.isoformat()}" if self.scheduled_at else ""


class TickRequest(Request):
    """Starts everything that is due now. It names nothing itself, so a late delivery does no harm."""

    tick: Literal[True]


class TargetRequest(Request):
    """One target of a sweep, as a message. The receiver makes every decision again.

    ``asked_at`` is when the sweep was requested; Curfew rejects a message that is too old.
    """

    policy: StrictStr
    region: CloudRegion  # its pattern accepts AWS regions, too
    account: Owner
    asked_at: Instant
    mode: Mode | None = None
    schedule: StrictStr = ""
    scheduled_at: Instant | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        _together(self.schedule, self.scheduled_at)
        return self


class LaunchRequest(Request):
    """Starts a launch by a schedule or by hand. ``until`` is a time of day in the policy file's time zone.

    The schedule and its time identify a repeated delivery; for a launch by hand, ``key`` does.
    """

    template: Name
    fleet: Annotated[
        StrictStr,
        Matching(
            r"[a-z0-9][a-z0-9-]{0,49}", "is not a name: lower-case letters, digits and hyphens"
        ),
    ]
    owner: Words | None = None
    count: Count | None = None
    ttl: Ttl | None = None
    until: TimeOfDay | None = None
    region: Region | None = None
    tags: LaunchTags = Field(default_factory=dict)
    key: Words | None = None
    schedule: StrictStr = ""
    scheduled_at: Instant | None = None

    @model_validator(mode="after")
    def _recognisable(self) -> Self:
        _together(self.schedule, self.scheduled_at)
        if bool(self.schedule) == bool(self.key):
            raise ValueError("needs either schedule with scheduled_at, or a key")
        if self.ttl and self.until:
            raise ValueError(LEASE_LENGTH)
        return self

    @property
    def clock(self) -> time | None:
        """The time of day at which the lease ends, or None."""
        return time.fromisoformat(self.until) if self.until else None


class Job(Request):
    """A job that an HTTP request, or a sweep that ran out of time, enqueues.

    It names entries of the ledger and contains no decision.
    """

    work: Literal["launch", "terminate", "plan", "apply", "resume"]
    id: Annotated[StrictStr, Matching(r"[A-Za-z0-9-]{1,80}", "is not an id")]
    fleet: Name | None = None


def _together(schedule: str, scheduled_at: datetime | None) -> None:
    if bool(schedule) != bool(scheduled_at):
        raise ValueError("has schedule or scheduled_at alone: they belong together")
