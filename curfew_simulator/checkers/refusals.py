"""What must not be done at all: too much, too late, twice, while paused, by a caller without the right."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from ..cloud.ec2.machine import Machine
from ..cloud.ec2.region import Region
from ..history.history import EndingCall, History, answered, instant, versions
from ..history.invocation import Invocation
from .rule import rule
from .windows import window_of

LATE = timedelta(hours=1)
LATEST_MESSAGE = timedelta(hours=6)
TICK = timedelta(minutes=15)  # as long as one may take
SHELF_LIFE = timedelta(minutes=15)
# Between a check and its call, Curfew reads a Spot request and the ledger, each with its retries.
SLACK = timedelta(seconds=60)
MOMENT = timedelta(microseconds=1)
ROOM = timedelta(seconds=20)


@rule("S4")
def no_sweep_ends_more_than_it_may(history: History) -> Iterator[str]:
    """S4, S5: the distinct machines that one sweep ends; zero means none."""
    for (invocation, region), ids in _swept(history).items():
        kind, name = history.about(invocation)
        file = invocation.policies.content
        if kind == "policy" and name:
            limit = file.policy(name, "").limits.per_sweep
            if len(ids) > limit:
                yield f"{invocation}: {len(ids)} ordered in {region}, {limit} allowed"


@rule("S4")
def no_sweep_ends_more_than_its_share(history: History) -> Iterator[str]:
    """S4, S5: per cent of the population, which counts from ten machines on, or always if it is zero."""
    for (invocation, region), ids in _swept(history).items():
        kind, name = history.about(invocation)
        if kind != "policy" or not name:
            continue
        policy = invocation.policies.content.policy(name, "")
        percent, states = policy.limits.percent, frozenset(map(str, policy.selector.states))
        # A plan that is carried out later was judged by the population of its own time.
        made = history.plan_of(invocation) or invocation
        there = history.world.region(name=region)
        since = made.begun_at - timedelta(seconds=30)
        until = made.ended_at or made.begun_at
        everybody = [
            id_
            for id_ in _there(made, there)
            if any(_is_listed(m, states) for m in versions(there, id_, since, until))
        ]
        if percent == 0 or len(everybody) * percent < 100 * len(ids):
            orders = [] if made is not invocation else _of(history, invocation, region)
            listed_by = min((ending_call.call.at for ending_call in orders), default=until) - MOMENT
            if percent == 0 or _at_least_ten(_there(made, there), there, states, since, listed_by):
                yield f"{invocation}: {len(ids)} of {len(everybody)} in {region}, {percent} % allowed"


@rule("S4")
def no_day_ends_more_than_it_may(history: History) -> Iterator[str]:
    """S4, S5: the account's budget of a day, over all sweeps and regions."""
    spent: dict[date, int] = defaultdict(int)
    limits: dict[date, list[int]] = defaultdict(list)
    zone = history.policies.timezone
    for (invocation, region), ids in _swept(history).items():
        days = {invocation.begun_at.astimezone(zone).date()}
        days |= {o.call.at.astimezone(zone).date() for o in _of(history, invocation, region)}
        if len(days) == 1:
            (day,) = days
            spent[day] += len(ids)
            limits[day].append(invocation.policies.content.limits.per_day)
    for day, count in spent.items():
        if count > max(limits[day]):
            yield f"{count} ordered on {day}, {max(limits[day])} allowed"


@rule("S13")
def a_trigger_that_comes_again_changes_nothing(history: History) -> Iterator[str]:
    """S13: once a schedule's sweep of some time is complete, neither it nor an earlier one makes an ending call."""
    done: dict[tuple[str, str], tuple[datetime, Invocation]] = {}
    for invocation in history.invocations:
        schedule, at = invocation.about.get("schedule"), window_of(invocation)
        if schedule is None or at is None:
            continue
        for ending_call in [o for o in history.ending_calls if o.by is invocation]:
            before = done.get((schedule, ending_call.call.region))
            if before and before[0] >= at and before[1].last < invocation.first:
                yield f"{ending_call}, though {before[1]} was complete"
        for report in invocation.reports:
            if report["status"] == "completed" and report["mode"] == "act":
                done.setdefault((schedule, report["region"]), (at, invocation))


@rule("S13")
def a_plan_is_applied_once(history: History) -> Iterator[str]:
    """S13: after the response that a plan was applied, it makes no ending call."""
    for ending_call in history.ending_calls:
        plan = history.plan_of(ending_call.by)
        for other in history.invocations if plan else ():
            reply = other.good and other.status == 200 and other.kind == "POST /sweeps/<id>/apply"
            if reply and history.plan_of(other) is plan and other.last < ending_call.by.first:
                yield f"{ending_call}, though {other} had carried it out"


@rule("S14")
def a_stale_trigger_ends_nothing(history: History) -> Iterator[str]:
    """S14: a trigger ends nothing long after its scheduled time, nor long before."""
    for ending_call in history.ending_calls:
        selected, asked_at = ending_call.by.about.get("scheduled_at"), _asked_at(ending_call.by)
        late = abs(asked_at - instant(selected)) if selected else timedelta()
        if (
            late > LATE + SLACK
            and ending_call.by.about["schedule"] not in history.policies.content.schedules
        ):
            yield f"{ending_call}, meant for {selected}"
        if ending_call.by.begun_at - asked_at > LATEST_MESSAGE + SLACK:
            yield f"{ending_call}, asked for at {asked_at}"


@rule("S14")
def a_window_is_not_swept_long_after(history: History) -> Iterator[str]:
    """S14: a missed window is caught up only within the schedule's catch-up time."""
    for ending_call in history.ending_calls:
        schedule = ending_call.by.policies.content.schedules.get(
            ending_call.by.about.get("schedule", "")
        )
        if schedule is None or (window := window_of(ending_call.by)) is None:
            continue
        late = _asked_at(ending_call.by) - window
        # A tick sends its messages a while after it has found that they are due.
        allowed = SLACK + (TICK if ending_call.by.kind == "target" else timedelta())
        if late > schedule.catch_up + allowed:
            yield f"{ending_call}, {late} after its window"


@rule("S14")
def a_stale_plan_ends_nothing(history: History) -> Iterator[str]:
    """S14: a plan expires, and is not applied after the policies have changed."""
    for ending_call in history.ending_calls:
        plan = history.plan_of(ending_call.by)
        # A continuation decides again.
        again = plan is None or ending_call.by.about.get("work") == "resume"
        made = ending_call.by.begun_at if again or plan is None else plan.begun_at
        if ending_call.ready_at - made > SHELF_LIFE + SLACK:
            yield f"{ending_call}, planned at {made:%H:%M:%S}"
        if plan and plan.policies.version != ending_call.by.policies.version:
            yield f"{ending_call}, planned with {plan.policies.version}, now {ending_call.by.policies.version}"


@rule("S14")
def no_ending_call_is_made_while_paused(history: History) -> Iterator[str]:
    """S14: no ending call is made from the response to a pause until an administrator resumes."""
    paused: list[tuple[Invocation, int]] = []
    for invocation in history.invocations:
        if invocation.kind == "PUT /pause" and invocation.good:
            released = [
                other.first
                for other in history.invocations
                if other.kind == "DELETE /pause" and other.last > invocation.first
            ]
            paused.append((invocation, min([*released, history.calm_from])))
    for ending_call in history.ending_calls:
        for pause, until in paused:
            since = pause.ended_at or pause.begun_at
            if pause.last < ending_call.moment < until and ending_call.ready_at - since > SLACK:
                yield f"{ending_call}, paused at {since:%H:%M:%S}"


@rule("S14")
def an_incomplete_listing_ends_nothing(history: History) -> Iterator[str]:
    """S14: the last page before the first re-check of a sweep was read successfully."""
    for invocation, region in _swept(history):
        if history.plan_of(invocation):
            continue
        first = _of(history, invocation, region)[0]
        pages = [
            c
            for c in invocation.calls
            if c.operation == "DescribeInstances" and c.region == region and not c.ids
            if c.number < first.call.number
        ]
        if not pages or not answered(pages[-1]):
            yield f"{first}, after a listing that failed: {pages[-1].code if pages else 'none'}"


@rule("S14")
def no_ending_call_is_made_at_the_last_moment(history: History) -> Iterator[str]:
    """S14: an ending call leaves its invocation the time to record its outcome."""
    for ending_call in history.ending_calls:
        if ending_call.by.cut_off - ending_call.ready_at < ROOM:
            yield f"{ending_call}, cut off at {ending_call.by.cut_off:%H:%M:%S}"


@rule("S28")
def a_stranger_is_refused(history: History) -> Iterator[str]:
    """S28: a caller that is neither owner nor administrator is refused, and nothing happens."""
    owned = {b.launch_id: b.machine.tags.get("curfew:owner", "") for b in history.launches.values()}
    for invocation in history.invocations:
        if invocation.who != "lee":
            continue
        alone = invocation.kind in {"PUT /pause", "POST /sweeps/<id>/apply"}
        if invocation.kind in {"PATCH /fleets/<id>", "DELETE /fleets/<id>"} and invocation.good:
            reply = invocation.body.get("fleet", invocation.body)
            alone = not owned.get(reply["launch_id"], reply["owner"]).endswith("/lee")
        if alone and (invocation.good or any(o.by is invocation for o in history.ending_calls)):
            yield f"{invocation}"


def _asked_at(invocation: Invocation) -> datetime:
    """Return when a sweep was requested: before its message was delivered, if it came by one."""
    asked = invocation.about.get("asked_at")
    return instant(asked) if asked else invocation.begun_at


def _swept(history: History) -> dict[tuple[Invocation, str], set[str]]:
    found: dict[tuple[Invocation, str], set[str]] = defaultdict(set)
    for ending_call in history.ending_calls:
        found[ending_call.by, ending_call.call.region].update(history.machines_of(ending_call))
    return found


def _of(history: History, invocation: Invocation, region: str) -> list[EndingCall]:
    return [o for o in history.ending_calls if o.by is invocation and o.call.region == region]


def _there(invocation: Invocation, region: Region) -> Iterable[str]:
    """The instances that a listing of the invocation could show."""
    return region.all_machines if invocation.there is None else invocation.there[region.name]


def _at_least_ten(
    ids: Iterable[str],
    there: Region,
    states: frozenset[str],
    since: datetime,
    until: datetime,
) -> bool:
    """Whether every listing in that time must have shown so many: instances may come or go in the middle of it."""

    def always(id_: str) -> bool:
        seen = versions(there, id_, since, until)
        return there.version(id_, since) is not None and all(
            _is_listed(machine, states) for machine in seen
        )

    return sum(map(always, ids)) >= 10


def _is_listed(machine: Machine, states: frozenset[str]) -> bool:
    """Whether a listing of these states shows a version of an instance."""
    return str(machine.state) in states and not machine.hidden
