"""How an instance changes state, and what EC2 and Auto Scaling do on their own after it ends.

Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html
"""

from dataclasses import replace
from functools import partial

from ..history import Change
from .machine import GROUP_TAG, Machine, SpotState, State, Volume
from .region import Region

ROOT = Volume(id="")
BY_USER = "Client.UserInitiatedShutdown"
BY_SPOT = "Server.SpotInstanceTermination"
BY_FAULT = "Server.InternalError"


def launch(region: Region, blueprint: Machine) -> Machine:
    """Launch an instance with a new id, and return it."""
    now = region.clock.now()
    machine = replace(
        blueprint,
        id=region.rng.id("i"),
        state=State.PENDING,
        started_at=now,
        since=now,
        reason="",
        volumes=tuple(replace(v, id=region.rng.id("vol")) for v in blueprint.volumes or (ROOT,)),
        doomed=blueprint.type in region.doomed,
    )
    region.put(machine)
    region.record(Change.LAUNCHED, machine.id)
    _come_up(region, machine)
    return machine


def start(region: Region, machine: Machine) -> Machine:
    """Start a machine and return it. Its launch time becomes the present time."""
    region.record(Change.STARTED, machine.id, machine)
    now = region.clock.now()
    machine = replace(machine, state=State.PENDING, since=now, started_at=now, reason="")
    region.put(machine)
    _come_up(region, machine)
    if request := region.spot_requests.get(machine.spot_request):
        region.spot_requests[request.id] = request.of(SpotState.ACTIVE)
    return machine


def stop(region: Region, machine: Machine) -> Machine:
    """Stop a running machine and return it. When it is stopped, its persistent Spot request becomes disabled."""
    if machine.state is not State.RUNNING:
        return machine
    region.record(Change.STOPPED, machine.id, machine)
    stopping = _enter(region, machine, State.STOPPING, BY_USER)
    region.later("stopping", region.pace.stopping, partial(_stopped, region, stopping))
    return stopping


def terminate(region: Region, machine: Machine, *, reason: str = BY_USER) -> Machine:
    """Terminate an instance and return it. Its persistent Spot request or its group replaces it after a while."""
    if machine.state.ended:
        return machine
    region.record(Change.TERMINATED, machine.id, machine)
    ending = _enter(region, machine, State.SHUTTING_DOWN, reason)
    region.later("shutting-down", region.pace.shutting_down, partial(_terminated, region, ending))
    _spot_lost(region, machine)
    if machine.group in region.groups:
        region.later(
            "replacement", region.pace.replacement, partial(replenish, region, machine.group)
        )
    return ending


def shut_down(region: Region, id_: str) -> None:
    """Shut an instance down from inside its operating system. No protection prevents that."""
    machine = region.machines[id_]
    ends = machine.shutdown_behavior == "terminate"
    (terminate if ends else stop)(region, machine)


def interrupt(region: Region, id_: str) -> None:
    """Terminate a Spot Instance as EC2 does when it interrupts one."""
    terminate(region, region.machines[id_], reason=BY_SPOT)


def replenish(region: Region, name: str) -> None:
    """Launch the members that an Auto Scaling group lacks to reach its desired capacity."""
    group = region.groups.get(name)
    if group is None:
        return
    members = [m for m in region.alive() if m.group == name]
    for number in range(len(members), group.desired):
        zone = group.zones[number % len(group.zones)]
        tags = {**group.tags, GROUP_TAG: name}
        launch(
            region,
            replace(group.blueprint, zone=zone, tags=tags, reservation=region.rng.id("r")),
        )


def _come_up(region: Region, machine: Machine) -> None:
    region.later("pending", region.pace.pending, partial(_running, region, machine))


def _running(region: Region, machine: Machine) -> None:
    if not _still(region, machine):
        return
    if region.machines[machine.id].doomed:
        terminate(region, region.machines[machine.id], reason=BY_FAULT)
        _terminated(region, region.machines[machine.id])
    else:
        _enter(region, region.machines[machine.id], State.RUNNING)


def _stopped(region: Region, machine: Machine) -> None:
    if not _still(region, machine):
        return
    _enter(region, region.machines[machine.id], State.STOPPED, BY_USER)
    request = region.spot_requests.get(machine.spot_request)
    if request and request.state is SpotState.ACTIVE:
        region.spot_requests[request.id] = request.of(SpotState.DISABLED)


def _terminated(region: Region, machine: Machine) -> None:
    if not _still(region, machine):
        return
    ended = _enter(region, region.machines[machine.id], State.TERMINATED, machine.reason)
    for volume in machine.volumes:
        if volume.delete_on_termination:
            region.side_tags.pop(volume.id, None)
    for key in ended.tags:
        region.later("tags go", region.pace.tags_go, partial(_untag, region, ended.id, key))
    region.later("gone", region.pace.visible, partial(region.forget, ended.id))


def _untag(region: Region, id_: str, key: str) -> None:
    if machine := region.machines.get(id_):
        region.put(replace(machine, tags={k: v for k, v in machine.tags.items() if k != key}))


def _spot_lost(region: Region, machine: Machine) -> None:
    request = region.spot_requests.get(machine.spot_request)
    if request is None or request.state not in {SpotState.ACTIVE, SpotState.DISABLED}:
        return
    if not request.persistent:
        region.spot_requests[request.id] = request.of(SpotState.CLOSED)
        return
    region.spot_requests[request.id] = replace(request, state=SpotState.OPEN, instance="")
    region.later("relaunch", region.pace.relaunch, partial(_relaunch, region, request.id))


def _relaunch(region: Region, request_id: str) -> None:
    request = region.spot_requests[request_id]
    if request.state is SpotState.OPEN:
        machine = launch(region, request.blueprint)
        region.spot_requests[request_id] = replace(
            request, state=SpotState.ACTIVE, instance=machine.id
        )


def _still(region: Region, machine: Machine) -> bool:
    """Return whether the machine is still in the same state, entered at the same time, as in ``machine``."""
    now = region.machines.get(machine.id)
    return now is not None and (now.state, now.since) == (machine.state, machine.since)


def _enter(region: Region, machine: Machine, state: State, reason: str = "") -> Machine:
    entered = replace(machine, state=state, since=region.clock.now(), reason=reason)
    region.put(entered)
    return entered
