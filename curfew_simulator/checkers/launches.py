"""Launches and leases: never one too many, never one without an end, never an end before its time."""

from collections import Counter
from collections.abc import Iterator

from curfew.core.lease import Phase
from curfew.schemas.templates import FleetEntry

from ..cloud.ec2.machine import State
from ..history.history import EndingCall, History, LaunchedMachine
from ..history.invocation import Invocation
from .rule import Finding, rule


@rule("S15")
def no_launch_makes_more_than_was_asked_for(history: History) -> Iterator[str]:
    """S15: over all retries, pools and duplicates, all machines that ever came of one launch."""
    register = history.ledger.fleets
    for launch_id, count in Counter(b.launch_id for b in history.launches.values()).items():
        asked = register.launch_spec(launch_id).count
        if count > asked:
            yield f"{count} launched for {launch_id}, {asked} asked for"


@rule("S15")
def one_key_launches_one_fleet(history: History) -> Iterator[str]:
    """S15: a repeated request is answered with the same launch; with another body it is refused."""
    reply: dict[tuple[str, str], str] = {}
    for invocation in history.invocations:
        if invocation.kind == "POST /fleets" and invocation.good:
            place = (invocation.who, invocation.about["key"])
            launch_id = invocation.body["launch_id"]
            if reply.setdefault(place, launch_id) != launch_id:
                yield f"{invocation}: {launch_id}, before {reply[place]}"


@rule("S16")
def no_launch_leaves_an_orphan(history: History) -> Iterator[str]:
    """S16: once all is calm, each launched instance that lives is in the ledger, with a lease that ends."""
    for launch in history.launches.values():
        target = history.target(launch.region)
        if launch.region.last(launch.id).state.ended:
            continue
        lease = history.ledger.fleets.leases(target, [launch.id]).get(launch.id)
        if lease is None or lease.launch_id != launch.launch_id:
            yield f"{launch.id} of {launch.fleet}, launched at {launch.call.at:%H:%M:%S}"


@rule("S17")
def what_is_launched_is_the_templates(history: History) -> Iterator[str]:
    """S17: image and type are the template's, the metadata service asks for a token, and all tags are there."""
    needed = {"curfew:fleet", "curfew:owner", "curfew:lease", "curfew:launch-id"}
    templates = history.policies.content.fleets.values()
    for launch in history.launches.values():
        machine = launch.machine
        known = any(
            isinstance(template, FleetEntry)
            and machine.image == template.image
            and machine.type in template.instance_types
            and template.tags.items() <= machine.tags.items()
            for template in templates
        )
        if not known or machine.http_tokens != "required" or needed - set(machine.tags):
            yield f"{launch.id}: {machine.type} of {machine.image}, {dict(machine.tags)}"


@rule("S24")
def no_lease_is_cut_short(history: History) -> Iterator[str | Finding]:
    """S24, S26: no policy ends a member before the end of the lease that its owner last received."""
    for ending_call, launch in _members(history):
        kind, _ = history.about(ending_call.by)
        until = history.leased_until(launch, ending_call.moment)
        if kind == "policy" and ending_call.call.at < until:
            detail = f"{ending_call}: {launch.id} of {launch.fleet} has a lease until {until:%d %b %H:%M:%S}"
            yield Finding(detail, launch.id)


@rule("S24")
def only_what_has_run_out_is_ended_as_such(history: History) -> Iterator[str | Finding]:
    """S24: the policy of expired leases ends only what Curfew launched: copied tags give no lease."""
    for ending_call in history.ending_calls:
        kind, name = history.about(ending_call.by)
        if kind == "policy" and ending_call.by.policies.content.policies[name].select.lease:
            for id_ in history.machines_of(ending_call):
                if id_ not in history.launches:
                    yield Finding(f"{ending_call}: {id_} was never launched by Curfew", id_)


@rule("S26")
def a_confirmed_renewal_is_honored(history: History) -> Iterator[str]:
    """S26: if an owner terminates a fleet early and then renews it successfully, its remaining instances are kept."""
    for ending_call, launch in _members(history):
        kind, _ = history.about(ending_call.by)
        terminated_early = _terminated_early(history, ending_call.by)
        if kind != "fleet" or terminated_early is None:
            continue
        begun = (
            terminated_early.last
            if terminated_early is not ending_call.by
            else _first_ending_call(history, ending_call.by)
        )
        for promise in history.promises(launch):
            between = begun < promise.by.first and promise.by.last < ending_call.moment
            if promise.confirmed and between and ending_call.call.at < promise.until:
                yield f"{ending_call}: {launch.id} was renewed by {promise.by}"


@rule("S24")
def only_what_was_launched_for_a_fleet_ends_with_it(history: History) -> Iterator[str]:
    """S24, case 78: an instance with the copied tags of a fleet does not end with it."""
    for ending_call in history.ending_calls:
        kind, name = history.about(ending_call.by)
        for id_ in history.machines_of(ending_call) if kind == "fleet" else ():
            launch = history.launches.get(id_)
            if launch is None or launch.fleet != name:
                yield f"{ending_call}: {id_} was not launched for {name}"


@rule("S24")
def a_lease_stays_within_its_bounds(history: History) -> Iterator[str]:
    """No caller gets a lease that is longer than the template allows."""
    for invocation in history.invocations:
        long = invocation.about.get("ttl") == "9d"
        if invocation.kind == "PATCH /fleets/<id>" and long and invocation.good:
            yield f"{invocation}"


@rule("S16")
def failed_launches_are_not_reported_as_good(history: History) -> Iterator[str]:
    """Case 61: once all is calm, a launch of which no instance ever ran does not count as launched."""
    for launch in history.launches.values():
        versions = [m for _, m in launch.region.history(launch.id) if m]
        doomed = all(
            m.state in {State.PENDING, State.SHUTTING_DOWN, State.TERMINATED} for m in versions
        )
        fleet = history.ledger.fleets.get(launch.fleet)
        same = fleet and fleet.launch_id == launch.launch_id
        open_ = fleet and fleet.ended_at is None and fleet.phase is not Phase.ATTENTION
        if doomed and launch.machine.doomed and same and fleet and open_:
            yield f"{launch.id} died at launch, and {launch.fleet} is {fleet.phase}, not ended"


def _members(history: History) -> Iterator[tuple[EndingCall, LaunchedMachine]]:
    for ending_call in history.ending_calls:
        for id_ in history.machines_of(ending_call):
            if id_ in history.launches:
                yield ending_call, history.launches[id_]


def _terminated_early(history: History, invocation: Invocation) -> Invocation | None:
    """Return the caller that terminated early the fleet that this call ends."""
    if invocation.kind == "DELETE /fleets/<id>":
        return invocation
    for other in history.invocations:
        reply = other.kind == "DELETE /fleets/<id>" and other.good
        if reply and other.body.get("sweep_id") == invocation.about.get("id"):
            return other
    return None


def _first_ending_call(history: History, invocation: Invocation) -> int:
    return min(
        ending_call.moment for ending_call in history.ending_calls if ending_call.by is invocation
    )
