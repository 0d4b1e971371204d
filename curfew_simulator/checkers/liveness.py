"""Liveness after the last fault: every due instance is terminated, and every launch and sweep is finished."""

from collections.abc import Iterator
from datetime import timedelta

from ..cloud.ec2.machine import State
from ..history.history import History
from .oracle import ALIVE, is_selected, protection_of
from .rule import rule

# An instance that is not visible so long after the end of its lease has ended; until then its fleet may wait.
# With these limits everything that is due may go.
WIDE = {"per_sweep": 50, "percent": 100, "per_day": 100}
GONE = timedelta(days=1)


@rule("L1")
def every_due_machine_has_ended(history: History) -> Iterator[str]:
    """L1: two rounds of calm sweeps after the last fault, where no limit is in the way."""
    if history.mode != "act" or not _wide(history):
        return
    file = history.policies.content
    region, target = history.world.region(), history.targets[0]
    now = history.world.clock.now()
    leases = history.ledger.fleets.leases(target, list(region.machines))
    for machine in region.alive():
        lease = leases.get(machine.id)
        due = is_selected(file, machine, "nightly") and not (lease and lease.is_active(now))
        if due and not machine.protected and not protection_of(file, machine, "nightly", now):
            yield f"{machine.id} runs still: {dict(machine.tags)}"


@rule("L1")
def every_lease_ends(history: History) -> Iterator[str]:
    """L1: each launched instance is terminated after its lease, in every region, unless something protects it."""
    now = history.world.clock.now()
    if history.mode != "act" or not _wide(history):
        return
    file = history.policies.content
    for launch in history.launches.values():
        machine = launch.region.last(launch.id)
        leases = history.ledger.fleets.leases(history.target(launch.region), [launch.id])
        lease = leases.get(launch.id)
        free = (
            machine.state in ALIVE
            and not machine.protected
            and not protection_of(file, machine, "leases", now)
        )
        if free and lease and not lease.is_active(now):
            yield (
                f"{launch.id} of {launch.fleet} in {launch.region.name} runs since its lease ended at "
                f"{lease.expires_at}"
            )


@rule("L2")
def every_launch_comes_to_an_end(history: History) -> Iterator[str]:
    """L2: every interrupted launch was resumed, and no launch is unfinished."""
    if history.mode == "act":
        for fleet in history.ledger.fleets.unfinished():
            yield f"{fleet.name} of {fleet.created_at:%H:%M:%S} is {fleet.phase}: {fleet.problem}"


@rule("L2")
def every_fleet_comes_to_an_end(history: History) -> Iterator[str]:
    """L2: a fleet whose machines have all ended is recorded as ended, and its name is free."""
    if history.mode != "act" or not _wide(history):
        return
    now = history.world.clock.now()
    for fleet in history.ledger.fleets.page(limit=100).items:
        members = history.ledger.fleets.members(fleet.launch_id)
        region = history.world.region(name=fleet.target.region)
        states = [region.last(m.instance_id).state for m in members]
        over = members and all(state is State.TERMINATED for state in states)
        if over and fleet.phase.finished and now > fleet.expires_at + GONE:
            yield f"{fleet.name} has no machine any more, and is not ended"


@rule("L1")
def no_night_is_lost(history: History) -> Iterator[str]:
    """L1: the first window of the calm is swept, or the sweep refused, in every region that the file names."""
    since = history.window
    ((name, schedule),) = history.policies.content.schedules.items()
    summaries = [
        report
        for invocation in history.invocations
        if since and invocation.about.get("schedule") == name and invocation.begun_at >= since
        for report in invocation.reports
    ]
    done = {r["region"] for r in summaries if r["status"] in {"completed", "refused"}}
    for region in history.policies.content.targets.regions or history.regions[:1]:
        if region not in done:
            yield f"{schedule.policy} of {since} in {region}: {[r['status'] for r in summaries]}"


@rule("L4")
def no_message_is_lost(history: History) -> Iterator[str]:
    """L4: the queue is empty, and what failed too often is among the dead letters."""
    for message in history.queue:
        yield f"{message.body} was received {message.received} times"


def _wide(history: History) -> bool:
    limits = history.policies.content.limits
    return limits.model_dump() == WIDE
