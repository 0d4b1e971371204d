"""Ending calls: which instances they name, and what Curfew knew just before."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import combinations

from ..cloud.ec2.machine import Machine
from ..cloud.history import Change
from ..history.history import ENDING_CALLS, EndingCall, History, answered, versions
from .oracle import ALIVE, is_selected, old_enough, protection_of
from .rule import Finding, rule

# The most time between a re-check and its ending call. Only the cloud could see what happens in between.
FRESH = timedelta(seconds=60)
# A later change before an ending call may be invisible to Curfew: the re-check may be this old, and its response stale.
BLIND = timedelta(seconds=90)
BATCH = 20
MAY_CHANGE = {
    ("ec2", "TerminateInstances"), ("ec2", "StopInstances"), ("ec2", "CancelSpotInstanceRequests"),
    ("ec2", "RunInstances"), ("ec2", "CreateTags"),
}  # fmt: skip
MAY_CALL = MAY_CHANGE | {
    ("ec2", "DescribeInstances"), ("ec2", "DescribeInstanceAttribute"),
    ("ec2", "DescribeSpotInstanceRequests"),
    ("dynamodb", "BatchGetItem"), ("dynamodb", "GetItem"), ("dynamodb", "PutItem"), ("dynamodb", "Query"),
    ("dynamodb", "TransactWriteItems"), ("dynamodb", "UpdateItem"),
    ("sts", "AssumeRole"), ("sts", "GetCallerIdentity"),
}  # fmt: skip


@rule("S1")
def every_named_machine_was_rechecked_just_before(history: History) -> Iterator[str]:
    """S1: seen at most FRESH before the call, and after every other ending call in its zone, attributes included."""
    for ending_call, id_ in _named(history):
        last = _ending_call_before(history, ending_call)
        for operation in ("DescribeInstances", "DescribeInstanceAttribute"):
            look = history.look(ending_call, id_, operation=operation)
            if look is None:
                yield f"{ending_call}: {id_} was never looked at ({operation})"
            elif ending_call.ready_at - look.call.at > FRESH:
                yield f"{ending_call}: {id_} was looked at {ending_call.ready_at - look.call.at} before ({operation})"
            elif last and id_ in last.call.ids and look.call.number < last.call.number:
                yield f"{ending_call}: {id_} was looked at before the order of {last.call.at:%H:%M:%S}"


@rule("S1")
def the_batch_was_rechecked_after_every_other_call_in_its_zone(
    history: History,
) -> Iterator[str]:
    """S1: an instance that was re-checked before another ending call is re-checked again."""
    for ending_call, id_ in _named(history):
        last = _ending_call_before(history, ending_call)
        look = history.look(ending_call, id_)
        same = last and last.call.operation == ending_call.call.operation
        if look and same and last and look.call.number < last.call.number:
            yield f"{ending_call}: {id_} was looked at before the other order at {last.call.at:%H:%M:%S}"


@rule("S9")
def every_named_machine_was_selected(versions: History) -> Iterator[str | Finding]:
    """S1, S9: the policy's own conditions, applied to what the re-check may have shown."""
    for ending_call, id_ in _named(versions):
        kind, name = versions.about(ending_call.by)
        file, (shown, _) = ending_call.by.policies.content, _seen(versions, ending_call, id_)
        if kind == "policy" and not any(is_selected(file, m, name) for m in shown):
            detail = f"{ending_call}: {id_} is not meant by {name}: {_shown(shown)}"
            yield Finding(detail, _gone(versions, ending_call, id_))
        if kind == "fleet" and not any(
            m.tags.get("curfew:fleet") == name and m.state in ALIVE for m in shown
        ):
            yield f"{ending_call}: {id_} does not carry the tag of the fleet {name}: {_shown(shown)}"
        if kind == "policy":
            known = ending_call.region.history(id_)
            first = min(
                (m.started_at for at, m in known if m and at <= ending_call.call.at), default=None
            )
            if first and not old_enough(file, first, name, ending_call.call.at):
                detail = f"{ending_call}: {id_} is younger than {name} waits for"
                yield Finding(detail, _gone(versions, ending_call, id_))


@rule("S2")
def no_protected_machine_is_named(history: History) -> Iterator[str | Finding]:
    """S2: by any tag, a service, a group or its age, as the re-check before must have shown."""
    for ending_call, id_ in _named(history):
        kind, name = history.about(ending_call.by)
        shown, at = _seen(history, ending_call, id_)
        policy, file = name if kind == "policy" else "", ending_call.by.policies.content
        protections = [protection_of(file, m, policy, at) for m in shown]
        if protections and all(protections):
            detail = f"{ending_call}: {id_} is protected: {protections[-1]}"
            yield Finding(detail, _gone(history, ending_call, id_))


@rule("S2")
def no_machine_protected_by_attribute_is_named(history: History) -> Iterator[str | Finding]:
    """S2: termination protection and stop protection."""
    for ending_call, id_ in _named(history):
        shown, _ = _seen(history, ending_call, id_, operation="DescribeInstanceAttribute")
        if shown and all(m.protected for m in shown):
            detail = f"{ending_call}: {id_} is protected by an attribute"
            yield Finding(detail, _gone(history, ending_call, id_))


@rule("S6")
def a_reporting_stack_changes_nothing(history: History) -> Iterator[str]:
    """S6: in report mode no call is made that could change anything in the cloud."""
    if history.mode == "report":
        for call in history.world.history.calls:
            if (call.service, call.operation) in MAY_CHANGE:
                yield f"{call.operation} at {call.at:%H:%M:%S}"


@rule("S7")
def only_calls_that_are_known_are_made(history: History) -> Iterator[str]:
    """S7, S30: nothing outside the allow-list, so that no volume, address or image can ever go."""
    # Without roles in its world, Curfew has no need of STS.
    may = {call for call in MAY_CALL if call[0] != "sts" or history.world.identities.roles}
    for service, operation in sorted(history.world.history.called() - may):
        yield f"{service}:{operation}"


@rule("S30")
def only_instances_and_their_spot_requests_end(history: History) -> Iterator[str]:
    """S30: calls change nothing else, and each tagged instance is a member."""
    allowed = {
        Change.TERMINATED,
        Change.STOPPED,
        Change.SPOT_CANCELLED,
        Change.LAUNCHED,
        Change.WRITTEN,
    }
    for effect in history.effects(*Change):
        if effect.change is Change.TAGGED and effect.id in history.launches:
            continue
        if effect.change not in allowed:
            yield f"{effect.change} {effect.id}"


@rule("S11")
def calls_stay_in_their_region(history: History) -> Iterator[str]:
    """S11: each id is of the region and the account whose intent names it."""
    known = {
        (target.region, entry.draft.instance_id)
        for target, entries in history.chains.items()
        for entry in entries
    }
    for effect in history.effects(Change.TERMINATED, Change.STOPPED):
        if (effect.region, effect.id) not in known:
            yield f"{effect.id} {effect.change} in {effect.region} without a word in its audit"


@rule("S18")
def credentials_are_scoped_to_exactly_the_call(history: History) -> Iterator[str]:
    """S18: each call that changes something on EC2 is signed with a session whose policy names what the call names."""
    for call in history.world.history.calls:
        if call.service != "ec2" or (call.service, call.operation) not in MAY_CHANGE:
            continue
        session = history.world.identities.sessions.get(call.access_key)
        policy = session.session_policy if session else None
        if policy is None:
            yield f"{call.operation} at {call.at:%H:%M:%S} without a session policy"
            continue
        resources = {r.rpartition("/")[2] for one in policy for r in one.resources}
        if call.ids and resources != set(call.ids):
            yield f"{call.operation} of {', '.join(call.ids)} with the rights to {', '.join(sorted(resources))}"


@rule("S12")
def a_batch_is_small_and_of_one_zone(history: History) -> Iterator[str]:
    """S12: at most twenty ids, each once, of one zone."""
    for ending_call in history.ending_calls:
        if ending_call.call.operation == "CancelSpotInstanceRequests":
            continue
        ids = ending_call.call.ids
        zones = {
            m.zone for id_ in ids if (m := ending_call.region.version(id_, ending_call.call.at))
        }
        if len(ids) > BATCH or len(set(ids)) < len(ids) or len(zones) > 1:
            yield f"{ending_call}: {len(ids)} ids in {', '.join(sorted(zones))}"


@rule("S12")
def batches_are_disjoint(history: History) -> Iterator[str]:
    """S12: no invocation makes a second ending call for an instance after a successful response."""
    done: set[tuple[int, str, str]] = set()
    for ending_call in history.ending_calls:
        for id_ in ending_call.call.ids:
            place = (ending_call.by.number, ending_call.call.operation, id_)
            if place in done:
                yield f"{ending_call}: {id_} had been ordered already"
        if answered(ending_call.call) and "slow" not in ending_call.call.faults:
            done |= {
                (ending_call.by.number, ending_call.call.operation, id_)
                for id_ in ending_call.call.ids
            }


@rule("S-spot")
def no_spot_request_is_left_to_launch_again(history: History) -> Iterator[str]:
    """Design 13: the persistent request of a terminated instance was cancelled, and its end was seen, before."""
    cancelled: set[str] = set()
    terminating = {c.number for c in history.world.history.made("TerminateInstances")}
    for effect in history.world.history.effects:
        if effect.change is Change.SPOT_CANCELLED:
            cancelled.add(effect.id)
        if effect.change is Change.TERMINATED and effect.call in terminating:
            region = history.world.region(name=effect.region)
            request = region.spot_requests.get(effect.before.spot_request)
            if request and request.persistent and request.id not in cancelled:
                yield f"{effect.id} ended by call {effect.call}, and {request.id} was not cancelled"


@rule("S19")
def an_unknown_error_stops_the_sweep(history: History) -> Iterator[str]:
    """S19: after an unknown error, an invocation makes no ending call in that region, in any zone.

    Another zone's call may be under way already: its re-check came before the error, and no further one after it.
    """
    unknown = {"OptInRequired", "NeverHeardOf"}
    for ending_call, later in _in_one_region(history):
        if ending_call.call.code in unknown and ending_call.call.operation != ENDING_CALLS[2]:
            looks = [look for id_ in later.call.ids if (look := history.look(later, id_))]
            on_its_way = all(look.call.number < ending_call.call.number for look in looks)
            if ending_call.zone == later.zone or not on_its_way:
                yield f"{later}, after {ending_call.call.code}"


def _in_one_region(history: History) -> Iterator[tuple[EndingCall, EndingCall]]:
    """Yield every two ending calls of one invocation in one region, the earlier one first."""
    for ending_call, later in combinations(history.ending_calls, 2):
        if ending_call.by is later.by and ending_call.region is later.region:
            yield ending_call, later


def _named(history: History) -> Iterator[tuple[EndingCall, str]]:
    for ending_call in history.ending_calls:
        for id_ in history.machines_of(ending_call):
            yield ending_call, id_


def _seen(
    history: History, ending_call: EndingCall, id_: str, *, operation: str = "DescribeInstances"
) -> tuple[tuple[Machine, ...], datetime]:
    """Return what the last re-check may have shown of an instance, and when; without one, its real versions."""
    if look := history.look(ending_call, id_, operation=operation):
        return look.shown, look.call.at
    return versions(
        ending_call.region, id_, ending_call.call.at - BLIND, ending_call.call.at
    ), ending_call.call.at


def _gone(history: History, ending_call: EndingCall, id_: str) -> str:
    """Return the id if the call has ended or stopped the instance; empty if it has not."""
    changes = history.effects(Change.TERMINATED, Change.STOPPED)
    return id_ if any((e.id, e.call) == (id_, ending_call.call.number) for e in changes) else ""


def _ending_call_before(history: History, ending_call: EndingCall) -> EndingCall | None:
    """Return the previous ending call in its zone; other zones are processed at the same time."""
    place = ending_call.by, ending_call.region, ending_call.zone
    before = [
        o
        for o in history.ending_calls
        if (o.by, o.region, o.zone) == place and o.call.number < ending_call.call.number
    ]
    return before[-1] if before else None


def _shown(shown: tuple[object, ...]) -> str:
    return ", ".join(f"{getattr(m, 'state', m)} {dict(getattr(m, 'tags', {}))}" for m in shown)
