"""Orders: whom they name, and what was known just before."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations

from ..cloud.history import Change
from ..simulation.history import ORDERS, Evidence, Order, answered
from .oracle import ALIVE, THREE_DAYS, kept, meant
from .rule import rule

# An order comes so soon after its look. What happens in between only the cloud itself could see: P of the list.
FRESH = timedelta(seconds=60)
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
def whoever_is_named_was_looked_at_just_before(evidence: Evidence) -> Iterator[str]:
    """S1: seen at most so long before the order, after every other order in its zone, attributes included."""
    for order, id_ in _named(evidence):
        last = _order_before(evidence, order)
        for operation in ("DescribeInstances", "DescribeInstanceAttribute"):
            look = evidence.look(order, id_, operation=operation)
            if look is None:
                yield f"{order}: {id_} was never looked at ({operation})"
            elif order.ready_at - look.call.at > FRESH:
                yield f"{order}: {id_} was looked at {order.ready_at - look.call.at} before ({operation})"
            elif last and id_ in last.call.ids and look.call.number < last.call.number:
                yield f"{order}: {id_} was looked at before the order of {last.call.at:%H:%M:%S}"


@rule("S1")
def the_group_was_looked_at_after_every_other_order_of_its_zone(
    evidence: Evidence,
) -> Iterator[str]:
    """S1: what was looked at before another call to the same end is looked at again."""
    for order, id_ in _named(evidence):
        last = _order_before(evidence, order)
        look = evidence.look(order, id_)
        same = last and last.call.operation == order.call.operation
        if look and same and last and look.call.number < last.call.number:
            yield f"{order}: {id_} was looked at before the other order at {last.call.at:%H:%M:%S}"


@rule("S9")
def whoever_is_named_was_meant(evidence: Evidence) -> Iterator[str]:
    """S1, S9: the policy's own words, applied to what the look may have shown."""
    for order, id_ in _named(evidence):
        kind, name = evidence.about(order.by)
        look = evidence.look(order, id_)
        if look is None:
            continue
        if kind == "policy" and not any(meant(m, name) for m in look.shown):
            yield f"{order}: {id_} is not meant by {name}: {_shown(look.shown)}"
        if kind == "fleet" and not any(
            m.tags.get("curfew:fleet") == name and m.state in ALIVE for m in look.shown
        ):
            yield f"{order}: {id_} does not carry the tag of the fleet {name}: {_shown(look.shown)}"
        if name == "ownerless":
            history = order.region.history(id_)
            born = min(m.launched_at for at, m in history if m and at <= order.call.at)
            if order.call.at - born < THREE_DAYS:
                yield f"{order}: {id_} is younger than three days"


@rule("S2")
def whoever_is_protected_is_not_named(evidence: Evidence) -> Iterator[str]:
    """S2: by any tag, by a service, by a group, by youth, as the look before must have shown."""
    for order, id_ in _named(evidence):
        kind, name = evidence.about(order.by)
        look = evidence.look(order, id_)
        if look and look.shown:
            policy = name if kind == "policy" else ""
            shields = [kept(m, policy, look.call.at + evidence.stage.skew) for m in look.shown]
            if all(shields):
                yield f"{order}: {id_} is protected: {shields[-1]}"


@rule("S2")
def whoever_is_protected_by_attribute_is_not_named(evidence: Evidence) -> Iterator[str]:
    """S2: termination protection and stop protection."""
    for order, id_ in _named(evidence):
        look = evidence.look(order, id_, operation="DescribeInstanceAttribute")
        if look and look.shown and all(m.protected for m in look.shown):
            yield f"{order}: {id_} is protected by an attribute"


@rule("S6")
def a_reporting_stack_changes_nothing(evidence: Evidence) -> Iterator[str]:
    """S6: in report mode no call is made that could change anything in the cloud."""
    if evidence.stage.mode == "report":
        for call in evidence.world.journal.calls:
            if (call.service, call.operation) in MAY_CHANGE:
                yield f"{call.operation} at {call.at:%H:%M:%S}"


@rule("S7")
def only_calls_that_are_known_are_made(evidence: Evidence) -> Iterator[str]:
    """S7, S30: nothing outside the frozen list, so that no volume, address or image can ever go."""
    for service, operation in evidence.world.journal.called() - MAY_CALL:
        yield f"{service}:{operation}"


@rule("S30")
def only_instances_and_their_spot_requests_end(evidence: Evidence) -> Iterator[str]:
    """S30: of what calls did, nothing concerns anything else; and whoever is tagged is a member."""
    allowed = {
        Change.TERMINATED,
        Change.STOPPED,
        Change.SPOT_CANCELLED,
        Change.LAUNCHED,
        Change.WRITTEN,
    }
    for effect in evidence.effects(*Change):
        if effect.change is Change.TAGGED and effect.id in evidence.births:
            continue
        if effect.change not in allowed:
            yield f"{effect.change} {effect.id}"


@rule("S11")
def orders_stay_where_they_belong(evidence: Evidence) -> Iterator[str]:
    """S11: each id is of the region and the account whose intent names it."""
    known = {
        (target.region, entry.draft.instance_id)
        for target in evidence.targets
        for entry in evidence.stage.ledger.entries(target)
    }
    for effect in evidence.effects(Change.TERMINATED, Change.STOPPED):
        if (effect.region, effect.id) not in known:
            yield f"{effect.id} {effect.change} in {effect.region} without a word in its audit"


@rule("S18")
def rights_are_borrowed_for_exactly_what_is_ordered(evidence: Evidence) -> Iterator[str]:
    """S18: whoever changes something on EC2 signs with a session whose policy names what the call names."""
    for call in evidence.world.journal.calls:
        if call.service != "ec2" or (call.service, call.operation) not in MAY_CHANGE:
            continue
        session = evidence.world.identities.sessions.get(call.access_key)
        policy = session.session_policy if session else None
        if policy is None:
            yield f"{call.operation} at {call.at:%H:%M:%S} with nobody's policy"
            continue
        resources = {r.rpartition("/")[2] for one in policy for r in one.resources}
        if call.ids and resources != set(call.ids):
            yield f"{call.operation} of {', '.join(call.ids)} with the rights to {', '.join(sorted(resources))}"


@rule("S12")
def a_batch_is_small_and_of_one_zone(evidence: Evidence) -> Iterator[str]:
    """S12: at most twenty ids, each once, of one zone."""
    for order in evidence.orders:
        if order.call.operation == "CancelSpotInstanceRequests":
            continue
        ids = order.call.ids
        zones = {m.zone for id_ in ids if (m := order.region.version(id_, order.call.at))}
        if len(ids) > BATCH or len(set(ids)) < len(ids) or len(zones) > 1:
            yield f"{order}: {len(ids)} ids in {', '.join(sorted(zones))}"


@rule("S12")
def batches_are_disjoint(evidence: Evidence) -> Iterator[str]:
    """S12: nobody is ordered again by an invocation that had a good answer for it."""
    done: set[tuple[int, str, str]] = set()
    for order in evidence.orders:
        for id_ in order.call.ids:
            place = (order.by.number, order.call.operation, id_)
            if place in done:
                yield f"{order}: {id_} had been ordered already"
        if answered(order.call) and "slow" not in order.call.faults:
            done |= {(order.by.number, order.call.operation, id_) for id_ in order.call.ids}


@rule("S-spot")
def no_spot_request_is_left_to_launch_anew(evidence: Evidence) -> Iterator[str]:
    """Design 13: the persistent request of whoever is terminated was cancelled, and its end was seen, before."""
    cancelled: set[str] = set()
    terminating = {c.number for c in evidence.world.journal.made("TerminateInstances")}
    for effect in evidence.world.journal.effects:
        if effect.change is Change.SPOT_CANCELLED:
            cancelled.add(effect.id)
        if effect.change is Change.TERMINATED and effect.call in terminating:
            region = evidence.world.region(name=effect.region)
            request = region.spot_requests.get(effect.before.spot_request)
            if request and request.persistent and request.id not in cancelled:
                yield f"{effect.id} ended by call {effect.call}, and {request.id} was not cancelled"


@rule("S19")
def an_unknown_error_stops_the_sweep(evidence: Evidence) -> Iterator[str]:
    """S19: after an error that nobody knows, an invocation orders nobody in that region, whatever the zone.

    Another zone's order may be on its way already: then its look came before the error, and no other look after it.
    """
    unknown = {"OptInRequired", "NeverHeardOf"}
    for order, later in _in_one_region(evidence):
        if order.call.code in unknown and order.call.operation != ORDERS[2]:
            looks = [look for id_ in later.call.ids if (look := evidence.look(later, id_))]
            on_its_way = all(look.call.number < order.call.number for look in looks)
            if order.zone == later.zone or not on_its_way:
                yield f"{later}, after {order.call.code}"


def _in_one_region(evidence: Evidence) -> Iterator[tuple[Order, Order]]:
    """Every two orders of one invocation in one region, the earlier one first."""
    for order, later in combinations(evidence.orders, 2):
        if order.by is later.by and order.region is later.region:
            yield order, later


def _named(evidence: Evidence) -> Iterator[tuple[Order, str]]:
    for order in evidence.orders:
        for id_ in evidence.machines_of(order):
            yield order, id_


def _order_before(evidence: Evidence, order: Order) -> Order | None:
    """The one before it in its zone; other zones are acted on at the same time."""
    place = order.by, order.region, order.zone
    before = [
        o
        for o in evidence.orders
        if (o.by, o.region, o.zone) == place and o.call.number < order.call.number
    ]
    return before[-1] if before else None


def _shown(shown: tuple[object, ...]) -> str:
    return ", ".join(f"{getattr(m, 'state', m)} {dict(getattr(m, 'tags', {}))}" for m in shown)
