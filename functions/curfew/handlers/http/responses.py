"""*report*, over HTTP: the responses of the API, as models that are validated before they are sent.

Every instant is in UTC. A field without a value is null or empty, never missing.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ...core.lease import Phase
from ...core.report import Result
from ...schemas.fields import Strict

# The text of an unexpected error has its place in the code, and EC2 encodes why it denied a call: both are only for the
# log.
FAULT = re.compile(r"unexpected \w+: .*? at \S+\.py:[0-9]+", re.ASCII | re.DOTALL)
ENCODED = re.compile(r"\s*Encoded authorization failure message:?\s*\S*", re.ASCII | re.IGNORECASE)


def redact(text: str) -> str:
    """Return a text for callers: without places in the code and without encoded authorization messages."""
    return ENCODED.sub("", FAULT.sub("an unexpected error (see the log)", text))


Words = Annotated[str, AfterValidator(redact)]
After = Annotated[str, Field(description="Send this to get the next page; empty on the last one.")]
type State = Literal[
    "pending", "running", "stopping", "stopped", "shutting-down", "terminated", "unknown"
]


class Answer(Strict):
    """Base class of the responses: an unknown field is an error."""


class Fault(Answer):
    """One invalid value and its place."""

    where: str = Field(description="The place of the value.", examples=["body.ttl"])
    problem: str = Field(
        description="Why the value is invalid.",
        examples=['"soon" is not a duration: write 8h or 3d'],
    )


class Problem(Answer):
    """Why a request failed, as in RFC 9457. ``type`` identifies the kind of problem; the rest is for people."""

    type: str = Field(
        description="The kind of problem, as a URN.", examples=["urn:curfew:problem:conflict"]
    )
    title: str = Field(
        description="The kind in words.", examples=["Conflict with the current state"]
    )
    status: int = Field(description="The status of the response.", examples=[409])
    detail: str = Field(
        description="Why this request failed.",
        examples=['the name "t2-pair" is held by a fleet that has not ended'],
    )
    request_id: str = Field(
        description="The id of the request in the log.", examples=["JKJaXmPLvHcESHA="]
    )
    errors: tuple[Fault, ...] = Field((), description="The invalid values, if there are any.")


class InstanceAnswer(Answer):
    """One instance as the cloud shows it; ``fleet``, ``owner`` and ``expires_at`` come from the ledger."""

    id: str
    name: str = Field(description="Its Name tag; empty without one.")
    state: State
    type: str
    zone: str
    region: str
    image: str
    started_at: datetime | None = Field(
        description="When it was last started, according to the cloud."
    )
    tags: dict[str, str]
    fleet: str = Field(description="The fleet that Curfew launched it for; empty for any other.")
    owner: str = Field(description="The owner of that fleet.")
    expires_at: datetime | None = Field(description="When its lease ends.")


class InstancePage(Answer):
    """A page of the requested instances."""

    instances: tuple[InstanceAnswer, ...]
    after: After


class FleetAnswer(Answer):
    """A fleet as recorded in the ledger: its owner, its lease and the phase of its launch."""

    name: str
    launch_id: str = Field(description="The id of the launch; unlike the name, never used again.")
    template: str
    owner: str = Field(description="The caller that launched it: an ARN, or issuer#subject.")
    account: str
    region: str
    count: int = Field(description="The number of requested instances.")
    phase: Phase = Field(
        description="The phase of the launch; Curfew makes calls only while launching."
    )
    problem: Words = Field(description="Why the launch is not complete, if it is not.")
    created_at: datetime
    expires_at: datetime = Field(description="When the lease ends.")
    ended_at: datetime | None = Field(description="When the last instance was seen to have ended.")
    ending: bool = Field(description="Whether a sweep is ending it now.")


class FleetPage(Answer):
    """A page of the fleets, in the order of their names."""

    fleets: tuple[FleetAnswer, ...]
    after: After


class MemberAnswer(Answer):
    """One instance that was launched for a fleet. If the cloud does not show it, it has no state, type or zone."""

    id: str
    seen: bool = Field(description="Whether the cloud showed it just now.")
    state: State | None
    type: str
    zone: str
    launched_at: datetime
    ended_at: datetime | None


class FleetView(FleetAnswer):
    """A fleet with each of its instances as it is now."""

    instances: tuple[MemberAnswer, ...]


class LeaseAnswer(FleetAnswer):
    """A fleet with its new lease."""

    warning: Words = Field(
        description="Set if the tags that repeat the lease for people could not be written."
    )


class Row(Answer):
    """One candidate of a sweep: its verdict, the reason and the outcome."""

    id: str
    name: str
    zone: str
    type: str
    state: State
    verdict: Literal["terminate", "stop", "keep"]
    rule: str = Field(examples=["not-in-ledger"])
    reason: Words
    outcome: Literal["planned", "kept"] | Result
    detail: Words = ""


class Summary(Answer):
    """One sweep in numbers. ``listed`` counts all listed instances, the others count candidates."""

    sweep_id: str
    policy: str
    policy_version: str
    provider: str
    account: str
    region: str
    mode: str
    status: str
    problem: Words
    listed: int
    candidates: int
    actions: int
    kept: int
    verified: int
    accepted: int
    kept_at_recheck: int
    failed: int
    unknown: int
    not_attempted: int
    plan: str
    resolved_intents: tuple[Words, ...]
    root_sweep_id: str = ""
    attempt: int = 0
    throttles: int = 0
    rate_limited_seconds: float = 0.0
    started_at: datetime
    seconds: float


class EndAnswer(Answer):
    """The termination of a fleet. ``sweep`` is null while it continues in the background, or if nothing was left."""

    fleet: FleetAnswer
    sweep_id: str = Field(description="The sweep that terminates it; empty if it had ended before.")
    sweep: Summary | None
    rows: tuple[Row, ...] = Field(
        description="The instances that have the fleet's tag, each with its outcome."
    )


class PlanAnswer(Answer):
    """A plan that a caller requested, with a page of its verdicts."""

    id: str
    policy: str
    policy_version: str
    account: str
    region: str
    phase: Literal["planning", "planned", "applying", "ended"] = Field(
        description="Only a planned one can be applied."
    )
    hash: str = Field(description="The fingerprint of the plan; empty until it is made.")
    asked_by: str
    applied_by: str = Field(description="The caller that applied it; empty until then.")
    made_at: datetime
    expires_at: datetime = Field(description="After this, it is stale: make a new one.")
    summary: Summary | None = Field(description="Null until the plan is made.")
    verdicts: tuple[Row, ...]
    after: After


class PauseAnswer(Answer):
    """The pause switch. While sweeps are paused, no batch begins."""

    paused: bool
    since: datetime | None
    by: str
    reason: str
