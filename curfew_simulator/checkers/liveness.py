"""What is owed once all trouble has ended: whoever is due has gone, and every operation has come to an end."""

from collections.abc import Iterator
from datetime import timedelta

from ..cloud.ec2.machine import State
from ..simulation.clients import REGIONS
from ..simulation.history import Evidence
from ..simulation.policies import SCHEDULE, WIDE
from .oracle import ALIVE, kept, meant
from .rule import rule

# Whoever is not to be seen so long after the end of its lease has ended; until then its fleet may wait.
GONE = timedelta(days=1)


@rule("L1")
def whoever_is_due_has_gone(evidence: Evidence) -> Iterator[str]:
    """L1: two rounds of calm sweeps after the last fault, where no limit is in the way."""
    if evidence.stage.mode != "act" or not _wide(evidence):
        return
    region, target = evidence.world.region(), evidence.targets[0]
    now = evidence.world.clock.now()
    leases = evidence.stage.ledger.fleets.leases(target, list(region.machines))
    for machine in region.alive():
        lease = leases.get(machine.id)
        due = meant(machine, "nightly") and not (lease and lease.runs(now))
        if due and not machine.protected and not kept(machine, "nightly", now):
            yield f"{machine.id} runs still: {dict(machine.tags)}"


@rule("L1")
def every_lease_ends(evidence: Evidence) -> Iterator[str]:
    """L1: whoever was launched has gone once its lease has run out, in every region, unless something protects it."""
    now = evidence.world.clock.now()
    if evidence.stage.mode != "act" or not _wide(evidence):
        return
    for birth in evidence.births.values():
        machine = birth.region.last(birth.id)
        leases = evidence.stage.ledger.fleets.leases(evidence.target(birth.region), [birth.id])
        lease = leases.get(birth.id)
        free = machine.state in ALIVE and not machine.protected and not kept(machine, "leases", now)
        if free and lease and not lease.runs(now):
            yield f"{birth.id} of {birth.fleet} in {birth.region.name} runs since its lease ended at {lease.expires_at}"


@rule("L2")
def every_launch_comes_to_an_end(evidence: Evidence) -> Iterator[str]:
    """L2: whatever broke off was taken up, and nothing is being launched any more."""
    if evidence.stage.mode == "act":
        for fleet in evidence.stage.ledger.fleets.unfinished():
            yield f"{fleet.name} of {fleet.created_at:%H:%M:%S} is {fleet.step}: {fleet.problem}"


@rule("L2")
def every_fleet_comes_to_an_end(evidence: Evidence) -> Iterator[str]:
    """L2: a fleet all of whose machines have ended is written down as ended, and its name is free."""
    if evidence.stage.mode != "act" or not _wide(evidence):
        return
    now = evidence.world.clock.now()
    for fleet in evidence.stage.ledger.fleets.page(limit=100).items:
        members = evidence.stage.ledger.fleets.members(fleet.operation)
        region = evidence.world.region(name=fleet.target.region)
        states = [region.last(m.instance_id).state for m in members]
        over = members and all(state is State.TERMINATED for state in states)
        if over and fleet.step.finished and now > fleet.expires_at + GONE:
            yield f"{fleet.name} has no machine any more, and is not ended"


@rule("L1")
def no_night_is_lost(evidence: Evidence) -> Iterator[str]:
    """L1: the first window of the calm is swept, or the sweep refused, in every region that the file names."""
    stage, since = evidence.stage, evidence.story.window
    (schedule,) = stage.policies.content.schedules.values()
    told = [
        report
        for invocation in stage.invocations
        if invocation.about.get("schedule") == SCHEDULE and invocation.begun_at >= since
        for report in invocation.reports
    ]
    done = {r["region"] for r in told if r["status"] in {"completed", "refused"}}
    for region in stage.policies.content.targets.regions or REGIONS[:1]:
        if region not in done:
            yield f"{schedule.policy} of {since} in {region}: {[r['status'] for r in told]}"


@rule("L4")
def no_message_is_lost(evidence: Evidence) -> Iterator[str]:
    """L4: the queue is empty, and what nobody could do is among the dead letters."""
    for message in evidence.stage.queue:
        yield f"{message.body} was received {message.received} times"


def _wide(evidence: Evidence) -> bool:
    limits = evidence.stage.policies.content.limits
    return limits.model_dump() == WIDE
