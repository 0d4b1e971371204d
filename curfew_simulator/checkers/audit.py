"""The ledger and the reports: every call has its intent before it, and every candidate is accounted for."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from curfew.core.audit import Entry, EntryKind, broken

from ..cloud.ec2.machine import State
from ..cloud.ec2.region import Region
from ..cloud.history import Change
from ..history.history import STALE, History, answered
from .rule import rule

RESULTS = ("verified", "accepted", "kept_at_recheck", "failed", "unknown", "not_attempted")
ENDS = {
    "terminate": {State.SHUTTING_DOWN, State.TERMINATED},
    "stop": {State.STOPPING, State.STOPPED, State.SHUTTING_DOWN, State.TERMINATED},
}


@rule("S3")
def the_intent_is_written_before_the_call(history: History) -> Iterator[str]:
    """S3: for each machine that a call ended or stopped, with the action and all that would be gone."""
    written = {
        (target.region, e.draft.instance_id): e.draft.at
        for target, entries in history.chains.items()
        for e in reversed(entries)
        if e.draft.kind is EntryKind.INTENT and e.draft.body["instance"]["id"]
    }
    for effect in history.effects(Change.TERMINATED, Change.STOPPED):
        at = written.get((effect.region, effect.id))
        if at is None or at > effect.at:
            yield f"{effect.id} {effect.change} at {effect.at:%H:%M:%S}, its intent: {at}"


@rule("S3")
def no_outcome_is_without_its_intent(history: History) -> Iterator[str]:
    """S3: no intent has two outcomes, and no outcome comes before its intent."""
    for _, entries in _chains(history):
        open_: Counter[tuple[str, str]] = Counter()
        for entry in entries:
            place = (entry.draft.sweep_id, entry.draft.instance_id)
            if entry.draft.kind is EntryKind.INTENT:
                open_[place] += 1
            elif entry.draft.kind is EntryKind.OUTCOME:
                if not open_[place]:
                    yield f"an outcome too many of {place}: {entry.draft.body}"
                open_[place] -= bool(open_[place])


@rule("S3")
def every_intent_has_an_outcome(history: History) -> Iterator[str]:
    """S3, S25: once all is calm, no intent is left open."""
    for region, entries in _chains(history):
        open_: Counter[tuple[str, str]] = Counter()
        for entry in entries:
            place = (entry.draft.sweep_id, entry.draft.instance_id)
            if entry.draft.kind is EntryKind.INTENT:
                open_[place] += 1
            elif entry.draft.kind is EntryKind.OUTCOME:
                open_[place] -= bool(open_[place])
        for (sweep, id_), count in open_.items():
            if count > 0:
                yield f"no entry in {region.name} says what became of {id_} in {sweep}"


@rule("S3")
def the_chain_is_whole(history: History) -> Iterator[str]:
    """S3: no entry is missing, altered or out of its place."""
    for region, entries in _chains(history):
        if number := broken(entries, first=1):
            yield f"the chain of {region.name} is broken at {number}"


@rule("S8-seen")
def success_is_seen(history: History) -> Iterator[str]:
    """Design 8: an instance is verified only if it has ended and a later successful response showed its end."""
    for region, entries in _chains(history):
        for entry in entries:
            draft = entry.draft
            if draft.kind is not EntryKind.OUTCOME or draft.body["result"] != "verified":
                continue
            id_, at = draft.instance_id, draft.at + history.clock_error
            if not _seen(history, region, entry, at):
                yield f"{id_} is verified at {at:%H:%M:%S}, and no description shows it"
            if not _has_ended(region, id_, draft.body["action"], at):
                yield f"{id_} is verified at {at:%H:%M:%S}, and is {region.last(id_).state}"


@rule("S29")
def every_candidate_is_accounted_for(history: History) -> Iterator[str]:
    """S29: candidates are actions and kept; actions are outcomes, once it was acted."""
    for invocation in history.invocations:
        for report in invocation.reports:
            outcomes = sum(report[result] for result in RESULTS)
            whole = report["candidates"] == report["actions"] + report["kept"]
            acted = report["mode"] == "act"
            if not whole or (acted and outcomes != report["actions"]):
                yield f"{invocation}: {report['actions']} actions, {outcomes} outcomes"


@rule("S20")
def nothing_unexpected_is_raised(history: History) -> Iterator[str]:
    """S20: a handler ends with a response or a CurfewError, and never with an unexpected error."""
    ours = ("SweepFailedError", "LaunchFailedError", "StaleTriggerError", "RequestError", "LedgerError",
            "ConflictError", "ProviderError", "QueueError", "AmbiguousError", "RefusedError", "ThrottledError",
            "ListingError", "NotFoundError", "ReusedKeyError", "ItemError")  # fmt: skip
    for invocation in history.invocations:
        foreign = invocation.error and not invocation.error.startswith(ours)
        faulty = any("unexpected" in report["problem"] for report in invocation.reports)
        if foreign or faulty or invocation.status == 500 or "unexpected" in invocation.error:
            yield f"{invocation}"


def _chains(history: History) -> Iterator[tuple[Region, list[Entry]]]:
    for target, entries in history.chains.items():
        yield history.world.region(name=target.region), entries


def _seen(history: History, region: Region, entry: Entry, at: datetime) -> bool:
    id_ = entry.draft.instance_id
    for invocation in history.invocations:
        if not invocation.begun_at <= at <= (invocation.ended_at or at) + STALE:
            continue
        mine = [
            c for c in invocation.calls if c.region == region.name and id_ in c.ids and c.at <= at
        ]
        orders = [c.number for c in mine if c.operation in {"TerminateInstances", "StopInstances"}]
        looks = [c.number for c in mine if c.operation == "DescribeInstances" and answered(c)]
        if looks and looks[-1] > max(orders, default=0):
            return True
    return False


def _has_ended(region: Region, id_: str, action: str, at: datetime) -> bool:
    return any(
        since <= at and (m is None or m.state in ENDS[action]) for since, m in region.history(id_)
    )
