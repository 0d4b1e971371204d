"""What has to be true of every rehearsal, judged by what the cloud saw and by what stands in the ledger.

None of this asks Curfew's own judgement.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from curfew.core.audit import Entry, EntryKind, broken

from ..cloud.ec2.machine import Machine, SpotState, State
from ..cloud.ec2.region import Region
from ..cloud.history import Call, Change, Effect
from .oracle import Nature
from .runner import Rehearsal, Swept

ORDERS = frozenset({"TerminateInstances", "StopInstances"})
BATCH = 20
# A look may be so old when the order comes, and its answer stale by half a minute: what came later, nobody could see.
BLIND = timedelta(seconds=90)
POPULATION = 10  # from so many on, a per cent counts
RESULTS = ("verified", "accepted", "kept_at_recheck", "failed", "unknown", "not_attempted")
MAY_CALL = frozenset(
    {
        "DescribeInstances", "DescribeInstanceAttribute", "DescribeSpotInstanceRequests", "TerminateInstances",
        "StopInstances", "CancelSpotInstanceRequests", "RunInstances", "CreateTags", "BatchGetItem", "GetItem",
        "PutItem", "Query", "TransactWriteItems", "UpdateItem", "DeleteItem",
    }
)  # fmt: skip
MAY_BECOME = frozenset(
    {Change.TERMINATED, Change.STOPPED, Change.SPOT_CANCELLED, Change.LAUNCHED, Change.WRITTEN, Change.DELETED}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that must never be; ``spared`` is whoever should have been."""

    promise: str
    detail: str
    spared: str = ""

    def __str__(self) -> str:
        return f"{self.promise}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One machine that a sweep ended or stopped."""

    effect: Effect
    by: Swept
    region: Region

    @property
    def id(self) -> str:
        """The machine's."""
        return self.effect.id

    def __str__(self) -> str:
        return (
            f"{self.id} {self.effect.change} by {self.by.policy} at {self.effect.at:%d %b %H:%M:%S}"
        )


class Evidence:
    """What there is to judge a rehearsal by."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal, self.world = rehearsal, rehearsal.world
        self.sweeps = [swept for night in rehearsal.nights for swept in night.sweeps]
        self.nature = Nature(file=rehearsal.policies.content, leases=self.leases)

    @cached_property
    def leases(self) -> Mapping[str, datetime]:
        """The ends of the leases of whoever Curfew launched, as they were born with them."""
        found = {}
        for effect in self.world.journal.by_calls(Change.LAUNCHED):
            _, machine = self.rehearsal.regions[effect.region].history(effect.id)[0]
            if machine and "curfew:lease" in machine.tags:
                found[effect.id] = datetime.fromisoformat(machine.tags["curfew:lease"])
        return found

    @cached_property
    def ends(self) -> list[End]:
        """Whoever was ended or stopped by a sweep."""
        changes = (Change.TERMINATED, Change.STOPPED)
        return [
            End(effect=effect, by=swept, region=self.rehearsal.regions[effect.region])
            for effect in self.world.journal.effects
            if effect.change in changes and effect.call and (swept := self.maker(effect.call))
        ]

    @cached_property
    def orders(self) -> list[tuple[Call, Swept]]:
        """Every order of a sweep, whatever came of it."""
        calls = self.world.journal.made(*ORDERS)
        return [(call, swept) for call in calls if (swept := self.maker(call.number))]

    @cached_property
    def chains(self) -> dict[str, list[Entry]]:
        """The audit of each region."""
        regions = self.rehearsal.regions
        ledger, target = self.rehearsal.ledger, self.rehearsal.target
        return {name: list(ledger.entries(target(name))) for name in regions}

    def maker(self, call: int) -> Swept | None:
        """Who made a call."""
        return next((s for s in self.sweeps if s.first <= call <= s.last), None)

    def ordered(self) -> dict[tuple[int, str], set[str]]:
        """The distinct machines that each sweep ordered, by the sweep's place and the region."""
        found: dict[tuple[int, str], set[str]] = defaultdict(set)
        for call, swept in self.orders:
            found[self.sweeps.index(swept), call.region].update(call.ids)
        return found

    def versions(self, end: End) -> list[Machine]:
        """The machine as it was when the sweep could see it last, in every version until its end."""
        at = end.effect.at
        first = end.region.version(end.id, at - BLIND)
        later = [m for since, m in end.region.history(end.id) if at - BLIND < since < at and m]
        return [first, *later] if first else [*later, end.effect.before]


type Broken = Iterator[tuple[str, str]]  # what is wrong, and who should have been spared
PROMISES: dict[str, Callable[[Evidence], Broken]] = {}


def promise(words: str) -> Callable[[Callable[[Evidence], Broken]], object]:
    """Add a check, which yields what is wrong."""
    return lambda check: PROMISES.setdefault(words, check)


def judged(rehearsal: Rehearsal) -> list[Violation]:
    """Every violation in a rehearsal that is over."""
    evidence = Evidence(rehearsal)
    return [
        Violation(promise=words, detail=detail, spared=spared)
        for words, check in PROMISES.items()
        for detail, spared in check(evidence)
    ]


@promise("nobody who is protected is ended or stopped")
def _protected(evidence: Evidence) -> Broken:
    for end in evidence.ends:
        found = [
            evidence.nature.kept(m, end.by.policy, end.effect.at) for m in evidence.versions(end)
        ]
        if all(found):
            yield f"{end}, whom {found[0]} protects", end.id


@promise("nobody is ended or stopped whom the policy does not mean")
def _meant(evidence: Evidence) -> Broken:
    for end in evidence.ends:
        versions = [*evidence.versions(end), end.effect.before]
        if not any(evidence.nature.meant(m, end.by.policy, end.effect.at) for m in versions):
            yield f"{end}: {end.effect.before.state} {dict(end.effect.before.tags)}", end.id


@promise("every order has its intent in the audit before it")
def _intent_first(evidence: Evidence) -> Broken:
    written: dict[tuple[str, str], datetime] = {}
    for region, entries in evidence.chains.items():
        for entry in entries:
            if entry.draft.kind is EntryKind.INTENT:
                written.setdefault((region, entry.draft.instance_id), entry.draft.at)
    for end in evidence.ends:
        at = written.get((end.effect.region, end.id))
        if at is None or at > end.effect.at:
            yield f"{end}, its intent: {at}", ""


@promise("the audit is an unbroken chain, and no outcome is without its intent")
def _chain(evidence: Evidence) -> Broken:
    for region, entries in evidence.chains.items():
        if number := broken(entries, first=1):
            yield f"the chain of {region} is broken at {number}", ""
        open_: Counter[tuple[str, str]] = Counter()
        for entry in entries:
            place = (entry.draft.sweep_id, entry.draft.instance_id)
            open_[place] += entry.draft.kind is EntryKind.INTENT
            open_[place] -= entry.draft.kind is EntryKind.OUTCOME
            if open_[place] < 0:
                yield f"{entry.draft.instance_id} has an outcome too many in {region}", ""


@promise("no sweep goes beyond its limits")
def _limits(evidence: Evidence) -> Broken:
    for (number, region), ids in evidence.ordered().items():
        swept = evidence.sweeps[number]
        limits = evidence.rehearsal.policies.policy(swept.policy).limits
        if len(ids) > limits.per_sweep:
            yield f"{swept.policy}: {len(ids)} ordered, {limits.per_sweep} allowed", ""
        least, most = _listed(evidence, swept, region)
        counts = least >= POPULATION or limits.percent == 0
        if counts and len(ids) * 100 > limits.percent * most:
            said = f"{len(ids)} of {most} ordered in {region}, {limits.percent} % allowed"
            yield f"{swept.policy}: {said}", ""


def _listed(evidence: Evidence, swept: Swept, region: str) -> tuple[int, int]:
    """How many a listing of the policy's states must have shown, and how many it may have, stale or not."""
    there = evidence.rehearsal.regions[region]
    states = set(map(str, evidence.rehearsal.policies.policy(swept.policy).selector.states))
    times = (swept.begun_at - BLIND, swept.begun_at, swept.ended_at or swept.begun_at)
    shown = [
        [bool(m and not m.hidden and str(m.state) in states) for m in versions]
        for versions in ([there.version(i, at) for at in times] for i in swept.there[region])
    ]
    return sum(map(all, shown)), sum(map(any, shown))


@promise("no day goes beyond its limit")
def _day(evidence: Evidence) -> Broken:
    policies = evidence.rehearsal.policies
    spent: Counter[object] = Counter()
    for (number, _), ids in evidence.ordered().items():
        spent[evidence.sweeps[number].begun_at.astimezone(policies.timezone).date()] += len(ids)
    for day, count in spent.items():
        if count > policies.content.limits.per_day:
            yield f"{count} ordered on {day}, {policies.content.limits.per_day} allowed", ""


@promise("no call is made but those that Curfew is known for")
def _calls(evidence: Evidence) -> Broken:
    for service, operation in sorted(evidence.world.journal.called()):
        if operation not in MAY_CALL:
            yield f"{service}:{operation}", ""


@promise("nothing is changed but instances and their Spot requests")
def _changes(evidence: Evidence) -> Broken:
    for effect in evidence.world.journal.effects:
        if effect.call and effect.change not in MAY_BECOME:
            yield f"{effect.id} {effect.change}", ""


@promise("a batch is of one zone and has at most twenty")
def _batches(evidence: Evidence) -> Broken:
    for call, swept in evidence.orders:
        region = evidence.rehearsal.regions[call.region]
        zones = {m.zone for id_ in call.ids if (m := region.version(id_, call.at))}
        if len(call.ids) > BATCH or len(set(call.ids)) < len(call.ids) or len(zones) > 1:
            yield f"{swept.policy}: {len(call.ids)} in {', '.join(sorted(zones))}", ""


@promise("no Spot request is left that would launch its instance anew")
def _spot(evidence: Evidence) -> Broken:
    for end in evidence.ends:
        request = end.region.spot_requests.get(end.effect.before.spot_request)
        live = request and request.persistent and request.state is not SpotState.CANCELLED
        if end.effect.change is Change.TERMINATED and live and request:
            yield f"{end}, and {request.id} is {request.state}", ""


@promise("whoever is called verified has really ended or stopped")
def _seen(evidence: Evidence) -> Broken:
    gone = {State.SHUTTING_DOWN, State.TERMINATED}
    for name, entries in evidence.chains.items():
        region = evidence.rehearsal.regions[name]
        for entry in entries:
            draft = entry.draft
            if draft.kind is EntryKind.OUTCOME and draft.body["result"] == "verified":
                stops = {State.STOPPING, State.STOPPED} if draft.body["action"] == "stop" else set()
                history = region.history(draft.instance_id)
                if not any(
                    since <= draft.at and (not m or m.state in gone | stops) for since, m in history
                ):
                    yield f"{draft.instance_id} at {draft.at:%d %b %H:%M:%S}", ""


@promise("every candidate is accounted for")
def _accounted(evidence: Evidence) -> Broken:
    for swept in evidence.sweeps:
        for summary in swept.summaries:
            outcomes = sum(summary[result] for result in RESULTS)
            whole = summary["candidates"] == summary["actions"] + summary["kept"]
            if not whole or outcomes != summary["actions"]:
                yield f"{swept.policy} at {swept.begun_at:%d %b %H:%M}: {summary['candidates']}", ""


@promise("nothing unexpected is raised")
def _unexpected(evidence: Evidence) -> Broken:
    for swept in evidence.sweeps:
        told = [swept.problem, *(summary["problem"] for summary in swept.summaries)]
        ours = swept.problem.partition(":")[0].endswith("Error") or "cut off" in swept.problem
        if any("unexpected" in problem for problem in told) or (swept.problem and not ours):
            yield f"{swept.policy} at {swept.begun_at:%d %b %H:%M}: {swept.problem}", ""
