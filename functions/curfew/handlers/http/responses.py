"""*report*, over HTTP: what the API answers, as models that are checked before they are sent.

Every instant is in UTC. A field without a value is there all the same: as null, or empty.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ...core.lease import Phase
from ...core.report import Result
from ...schemas.fields import Strict

# A fault of ours names its place in the code, and EC2 encodes why it denied something: both are for the log, and for
# nobody who asks.
FAULT = re.compile(r"unexpected \w+: .*? at \S+\.py:[0-9]+", re.ASCII | re.DOTALL)
ENCODED = re.compile(r"\s*Encoded authorization failure message:?\s*\S*", re.ASCII | re.IGNORECASE)


def redact(text: str) -> str:
    """A text for whoever asks: without places in the code, and without what only the account's own people decode."""
    return ENCODED.sub("", FAULT.sub("an unexpected error, which the log has", text))


Words = Annotated[str, AfterValidator(redact)]
After = Annotated[str, Field(description="Ask for the next page with this; empty on the last one.")]
type State = Literal[
    "pending", "running", "stopping", "stopped", "shutting-down", "terminated", "unknown"
]


class Answer(Strict):
    """Says what it says and nothing else."""


class Fault(Answer):
    """One value that is wrong, and where it stands."""

    where: str = Field(description="The place of the value.", examples=["body.ttl"])
    problem: str = Field(
        description="What is wrong with it.", examples=['"soon" is not a duration: write 8h or 3d']
    )


class Problem(Answer):
    """Why a request was not obeyed, as RFC 9457 has it. ``type`` tells the kinds apart, the rest is for people."""

    type: str = Field(
        description="The kind of problem, as a URN.", examples=["urn:curfew:problem:conflict"]
    )
    title: str = Field(description="The kind in words.", examples=["It cannot be done now"])
    status: int = Field(description="The status of the answer.", examples=[409])
    detail: str = Field(
        description="What stands in the way of this request.",
        examples=['the name "t2-pair" is held by a fleet that has not ended'],
    )
    request_id: str = Field(description="What the log has it under.", examples=["JKJaXmPLvHcESHA="])
    errors: tuple[Fault, ...] = Field((), description="Each value that is wrong, if some are.")


class InstanceAnswer(Answer):
    """One instance as the cloud shows it; the last three are what the ledger knows of its lease."""

    id: str
    name: str = Field(description="Its Name tag; empty without one.")
    state: State
    type: str
    zone: str
    region: str
    image: str
    started_at: datetime | None = Field(
        description="When it was last started, as the cloud has it."
    )
    tags: dict[str, str]
    fleet: str = Field(description="The fleet that Curfew launched it for; empty for any other.")
    owner: str = Field(description="Whose that fleet is.")
    expires_at: datetime | None = Field(description="When its lease ends.")


class InstancePage(Answer):
    """Some of the instances that were asked for."""

    instances: tuple[InstanceAnswer, ...]
    after: After


class FleetAnswer(Answer):
    """A fleet as the ledger has it: whose it is, until when, and in which phase its launch is."""

    name: str
    launch_id: str = Field(description="The launch, for good: a name can be used again.")
    template: str
    owner: str = Field(description="Who launched it: an ARN, or issuer#subject.")
    account: str
    region: str
    count: int = Field(description="How many instances were asked for.")
    phase: Phase = Field(
        description="The phase of the launch; calls are made only while launching."
    )
    problem: Words = Field(description="Why it is not all there, if it is not.")
    created_at: datetime
    expires_at: datetime = Field(description="When the lease ends.")
    ended_at: datetime | None = Field(description="When the last instance was seen to have ended.")
    ending: bool = Field(description="Whether a sweep is ending it now.")


class FleetPage(Answer):
    """Some of the fleets, in the order of their names."""

    fleets: tuple[FleetAnswer, ...]
    after: After


class MemberAnswer(Answer):
    """One instance that was launched for a fleet. One that is not to be seen has no state, type or zone."""

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
    """One candidate of a sweep: the verdict on it, why, and what became of it."""

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
    """One sweep in numbers. ``listed`` counts the population, the others its candidates."""

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
    """The end of a fleet. ``sweep`` is null while it is carried on, and where there was nothing left to end."""

    fleet: FleetAnswer
    sweep_id: str = Field(description="The sweep that ends it; empty if it has ended before.")
    sweep: Summary | None
    rows: tuple[Row, ...] = Field(
        description="Everything that carries the fleet's tag, and what became of it."
    )


class PlanAnswer(Answer):
    """A plan that somebody asked for, with a page of its verdicts."""

    id: str
    policy: str
    policy_version: str
    account: str
    region: str
    phase: Literal["planning", "planned", "applying", "ended"] = Field(
        description="Only what is planned can be applied."
    )
    hash: str = Field(description="A fingerprint of what the plan would do; empty before it has.")
    asked_by: str
    applied_by: str = Field(description="Empty before it was applied.")
    made_at: datetime
    expires_at: datetime = Field(description="From then on it is stale: make a new one.")
    summary: Summary | None = Field(description="Null before there is one.")
    verdicts: tuple[Row, ...]
    after: After


class PauseAnswer(Answer):
    """The pause switch. While it is thrown, no batch begins."""

    paused: bool
    since: datetime | None
    by: str
    reason: str
