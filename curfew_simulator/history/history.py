"""The evidence for judging a world: every ending call with its re-checks, every launched instance, every lease.

All of it is what the cloud saw, and what callers were answered; what Curfew thinks of itself is not asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from curfew.config.policy_file import PolicyFile
from curfew.core.audit import Entry
from curfew.core.target import Mode, Target
from curfew.ledger.protocols import Ledger

from ..cloud.ec2.machine import Machine
from ..cloud.ec2.region import Region
from ..cloud.history import CallRecord, Change, Effect
from ..cloud.world import ACCOUNT, World
from .invocation import Invocation, Message

ENDING_CALLS = ("TerminateInstances", "StopInstances", "CancelSpotInstanceRequests")
# How old a stale answer of the cloud can be: what happened later, its reader could not know.
STALE = timedelta(seconds=30)
LENGTHS = {"1m": 1, "2m": 2, "20m": 20, "30m": 30, "1h": 60, "8h": 480, "2d": 2_880, "9d": 12_960}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The versions of a machine that a response may have shown."""

    call: CallRecord
    shown: tuple[Machine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingCall:
    """A call that would end or stop instances, with any result.

    ``ready_at`` is when the invocation was about to make it: Curfew cannot see what happens after that.
    """

    call: CallRecord
    by: Invocation
    moment: int
    ready_at: datetime
    region: Region

    @property
    def zone(self) -> str:
        """Of the first one that it names, which is the zone of all: S12."""
        first = self.call.ids[0] if self.call.ids else ""
        if request := self.region.spot_requests.get(first):
            return request.blueprint.zone
        return self.region.last(first).zone if first in self.region.all_machines else ""

    def __str__(self) -> str:
        return f"#{self.by.number} {self.call.operation} of {', '.join(self.call.ids)} at {self.call.at:%H:%M:%S}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchedMachine:
    """An instance that Curfew launched."""

    id: str
    call: CallRecord
    region: Region
    machine: Machine

    @property
    def launch_id(self) -> str:
        """The launch that it is of, as its tags say at launch."""
        return self.machine.tags.get("curfew:launch-id", "")

    @property
    def fleet(self) -> str:
        """The fleet's name."""
        return self.machine.tags.get("curfew:fleet", "")

    @property
    def lease(self) -> datetime:
        """The end of its first lease."""
        return instant(self.machine.tags.get("curfew:lease", "1970-01-01T00:00:00Z"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """An end of a lease that a caller was answered, or may have set without an answer."""

    by: Invocation
    until: datetime
    confirmed: bool


@dataclass(kw_only=True)
class History:
    """What happened in one world that has ended.

    ``made_by`` says which invocation made a call, ``moments`` at which moment, ``reached`` when the invocation was
    about to make it; each is by the call's number. ``calm_from`` is the moment at which all faults end, ``window`` the
    first time of the schedule after it, ``clock_error`` by how much Curfew's clock may have been slow.
    """

    world: World
    ledger: Ledger
    mode: Mode
    policies: PolicyFile
    regions: tuple[str, ...]
    invocations: Sequence[Invocation]
    made_by: Mapping[int, Invocation]
    moments: Mapping[int, int]
    reached: Mapping[int, datetime]
    queue: Sequence[Message] = ()
    calm_from: int = 0
    window: datetime | None = None
    clock_error: timedelta = timedelta()

    @cached_property
    def ending_calls(self) -> list[EndingCall]:
        """Every ending call of an invocation."""
        made = self.world.history.made(*ENDING_CALLS)
        return [
            EndingCall(
                call=call,
                by=self.made_by[call.number],
                moment=self.moments[call.number],
                ready_at=self.reached[call.number],
                region=self.world.region(name=call.region),
            )
            for call in made
            if call.number in self.made_by
        ]

    @cached_property
    def launches(self) -> dict[str, LaunchedMachine]:
        """By the machine's id."""
        calls = {call.number: call for call in self.world.history.made("RunInstances")}
        found = {}
        for effect in self.effects(Change.LAUNCHED):
            region = self.world.region(name=effect.region)
            if effect.call in calls:
                machine = next(m for _, m in region.history(effect.id) if m)
                found[effect.id] = LaunchedMachine(
                    id=effect.id, call=calls[effect.call], region=region, machine=machine
                )
        return found

    def effects(self, *changes: Change) -> Iterator[Effect]:
        """What was done by calls."""
        return (e for e in self.world.history.effects if e.change in changes and e.call)

    def target(self, region: Region) -> Target:
        """A region in Curfew's words."""
        return Target(provider="ec2", account=ACCOUNT, region=region.name)

    @cached_property
    def targets(self) -> list[Target]:
        """All of them."""
        return [self.target(self.world.region(name=name)) for name in self.regions]

    @cached_property
    def chains(self) -> dict[Target, list[Entry]]:
        """The audit of each target, read once."""
        return {target: list(self.ledger.entries(target)) for target in self.targets}

    def machines_of(self, ending_call: EndingCall) -> tuple[str, ...]:
        """Return the machines that a call names: a Spot request stands for its instance if that would end with it."""
        if ending_call.call.operation != "CancelSpotInstanceRequests":
            return ending_call.call.ids
        ended = {e.id for e in self.effects(Change.TERMINATED) if e.call == ending_call.call.number}
        return tuple(sorted(ended))

    def look(
        self, ending_call: EndingCall, id_: str, *, operation: str = "DescribeInstances"
    ) -> Look | None:
        """Return the last successful response about a machine that the invocation had before the call."""
        before = [
            c
            for c in ending_call.by.calls
            if c.number < ending_call.call.number and c.operation == operation and id_ in c.ids
        ]
        good = [c for c in before if answered(c)]
        if not good:
            return None
        last = good[-1]
        # One re-check may take several pages and several tries.
        pages = [last]
        for call in reversed(before[: before.index(last)]):
            if call.ids != last.ids or pages[-1].at - call.at > STALE:
                break
            pages.append(call)
        since = min(page.at for page in pages)
        if any("stale" in page.faults for page in pages):
            since -= STALE
        return Look(call=last, shown=versions(ending_call.region, id_, since, last.at))

    def about(self, invocation: Invocation) -> tuple[str, str]:
        """What an invocation sweeps for: a policy by its name, or a fleet by its."""
        named = invocation.about
        if named.get("work") == "resume":
            return "policy", self.about(self.root_of(invocation))[1]
        if named.get("work") == "apply":
            return "policy", self.plans[named["id"]].about["policy"] if named[
                "id"
            ] in self.plans else ""
        if plan := named.get("plan"):
            return "policy", self.plans[plan].about["policy"] if plan in self.plans else ""
        if named.get("work") == "terminate" or invocation.kind.startswith("DELETE /fleets"):
            return "fleet", named["fleet"]
        return "policy", named.get("policy", "")

    @cached_property
    def plans(self) -> Mapping[str, Invocation]:
        """The invocation that made each plan, by its id."""
        asked = [i for i in self.invocations if i.kind == "POST /sweeps" and i.good]
        return {str(i.body["id"]): i for i in asked}

    def root_of(self, invocation: Invocation) -> Invocation:
        """The invocation that planned the sweep of a continuation.

        It may have been killed before its report, once the message for its continuation was sent.
        """
        root = str(invocation.about["id"]).rpartition("-attempt-")[0]
        return next(
            one
            for one in self.invocations
            if any(summary["sweep_id"] == root for summary in one.reports)
            or f"{root}-attempt-1" in one.continuations
        )

    def plan_of(self, invocation: Invocation) -> Invocation | None:
        """Return the invocation that made the plan that this one applies."""
        named = invocation.about
        if named.get("work") == "resume":
            return self.root_of(invocation)
        id_ = named.get("plan") or (named.get("id") if named.get("work") == "apply" else "")
        return self.plans.get(str(id_)) if id_ else None

    def promises(self, launch: LaunchedMachine) -> list[Promise]:
        """Every change of the lease of an instance, in order; one without a good answer may count or not."""
        found = []
        for invocation in self.invocations:
            if invocation.kind != "PATCH /fleets/<id>" or invocation.about["fleet"] != launch.fleet:
                continue
            if invocation.good:
                if invocation.body["launch_id"] == launch.launch_id:
                    until = instant(invocation.body["expires_at"])
                    found.append(Promise(by=invocation, until=until, confirmed=True))
            elif invocation.status == 0 or invocation.status >= 500:
                length = timedelta(minutes=LENGTHS[invocation.about["ttl"]])
                until = invocation.begun_at + length - STALE
                found.append(Promise(by=invocation, until=until, confirmed=False))
        return found

    def leased_until(self, launch: LaunchedMachine, moment: int) -> datetime:
        """The soonest end of the lease that could hold at a moment.

        A change overwrites what ended before it began. Of two at the same time, either may be the last.
        """
        begun = [promise for promise in self.promises(launch) if promise.by.first < moment]
        certain = [p.by for p in begun if p.confirmed and p.by.last < moment]
        overwritten_to = max((change.first for change in certain), default=0)
        ends = [promise.until for promise in begun if promise.by.last > overwritten_to]
        return min([*ends, launch.lease] if not certain else ends)


def answered(call: CallRecord) -> bool:
    """Whether an answer came that could be read."""
    return not call.code and "garbled" not in call.faults


def versions(region: Region, id_: str, since: datetime, until: datetime) -> tuple[Machine, ...]:
    """Every version of a machine that there was from one instant to another."""
    first = region.version(id_, since)
    later = [m for at, m in region.history(id_) if since < at <= until and m is not None]
    return tuple([first, *later] if first else later)


def instant(text: str) -> datetime:
    """As the API tells it."""
    return datetime.fromisoformat(text).astimezone(UTC)
