"""Launches with faults, on a cloud that honours client tokens as EC2 does.

In every case, Curfew never launches more instances than requested, and none without a lease in the ledger.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.core.errors import LedgerError
from curfew.core.lease import Phase
from curfew.fleets.launcher import LOCK
from curfew_simulator.cloud.faults import Fault, FaultKind
from tests.builders import HERE
from tests.cloud import LOST, NOTHING, THROTTLED, UNSEEN, refusal
from tests.launches import FIRST, SECOND, Launching, Trouble

RUN = "RunInstances"
ASKED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault, and the expected end of the launch: its phase, number of instances and number of calls."""

    name: str
    trouble: Trouble
    step: Phase = Phase.LAUNCHED
    launched: int = ASKED
    calls: int = 1
    says: str = ""


def many(*troubles: Trouble) -> Trouble:
    return lambda launching: [trouble(launching) for trouble in troubles]


def failing(fault: Fault, *, on: int = 1, times: int = 1) -> Trouble:
    return lambda launching: launching.cloud.fail(RUN, fault, on=on, times=times)


def capacity(first: int, second: int = 100) -> Trouble:
    return lambda launching: launching.cloud.capacity.update({FIRST: first, SECOND: second})


def unseen(times: int) -> Trouble:
    """Return a fault: this many listings omit the launched instances."""
    return lambda launching: launching.cloud.fail("DescribeInstances", UNSEEN, times=times)


def quota(instances: int) -> Trouble:
    return lambda launching: setattr(launching.cloud.region.limits, "instances", instances)


def doomed(count: int) -> Trouble:
    """Return a fault: this many instances of the first launch terminate at once."""

    def doom(launching: Launching) -> None:
        for id_ in list(launching.cloud.region.machines)[:count]:
            launching.cloud.change(id_, doomed=True)

    return lambda launching: launching.cloud.world.after(RUN, lambda _: doom(launching))


CAPACITY_OF_THREE = capacity(1, 2)


CASES = [
    Case(name="nothing goes wrong", trouble=lambda _: None),
    Case(name="time-out after the effect", trouble=failing(LOST)),
    Case(name="time-out before the effect", trouble=failing(NOTHING), calls=2),
    Case(
        name="time-out after the effect, and nothing to be seen for a while",
        trouble=many(failing(LOST), unseen(3)),
    ),
    Case(
        name="time-out after the effect, and nothing to be seen for long",
        trouble=many(failing(LOST), unseen(6)),
        calls=2,
    ),
    Case(
        name="two time-outs before the effect and one after it",
        trouble=many(failing(NOTHING, times=2), failing(LOST, on=3)),
        calls=3,
    ),
    Case(name="the cloud's own trouble after the effect", trouble=failing(Fault(kind=FaultKind.ERROR_AFTER))),
    Case(name="an answer that cannot be read", trouble=failing(Fault(kind=FaultKind.GARBLED))),
    Case(
        name="throttled",
        trouble=failing(THROTTLED, times=2),
        calls=3,
    ),
    Case(name="no capacity in the first pool", trouble=capacity(0), calls=2),
    Case(
        name="no capacity in the first pool, reported after a time-out",
        trouble=many(capacity(0), failing(NOTHING)),
        calls=3,
    ),
    Case(name="partial capacity, the rest elsewhere", trouble=capacity(3), calls=3),
    Case(
        name="partial capacity and nothing elsewhere",
        trouble=capacity(3, 0),
        step=Phase.PARTIAL,
        launched=3,
        calls=3,
        says="3 of 4 launched: InsufficientInstanceCapacity",
    ),
    Case(
        name="no capacity in any pool",
        trouble=capacity(0, 0),
        step=Phase.FAILED,
        launched=0,
        calls=2,
        says="0 of 4 launched: InsufficientInstanceCapacity",
    ),
    Case(
        name="a time-out with part of the effect",
        trouble=many(capacity(3), failing(LOST)),
        calls=4,  # the instances found may not be all, so the same call is made again
    ),
    Case(
        name="a quota",
        trouble=quota(0),
        step=Phase.FAILED,
        launched=0,
        says="InstanceLimitExceeded",
    ),
    Case(
        name="a quota that has room for some",
        trouble=quota(3),
        step=Phase.PARTIAL,
        launched=3,
        calls=2,
        says="3 of 4 launched",
    ),
    Case(
        name="a refusal",
        trouble=failing(refusal("InvalidKeyPair.NotFound")),
        step=Phase.FAILED,
        launched=0,
        says="InvalidKeyPair.NotFound",
    ),
    Case(
        name="a token known with another call",
        trouble=failing(refusal("IdempotentParameterMismatch")),
        step=Phase.ATTENTION,
        launched=0,
        says="IdempotentParameterMismatch",
    ),
    Case(
        name="a token known with another call, after a time-out with its effect",
        trouble=many(
            failing(LOST),
            failing(refusal("IdempotentParameterMismatch"), on=2),
            unseen(6),
        ),
        step=Phase.ATTENTION,
        calls=2,
        says="IdempotentParameterMismatch",
    ),
    Case(
        name="one that dies at once",
        trouble=doomed(1),
        step=Phase.PARTIAL,
        says="1 of 4 launched ended at once: Server.InternalError",
    ),
    Case(
        name="all of them die at once",
        trouble=doomed(ASKED),
        step=Phase.FAILED,
        says="4 of 4 launched ended at once",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_launch_reaches_its_expected_end(case: Case) -> None:
    launching = Launching()
    case.trouble(launching)

    ended = launching.go()

    launching.holds(asked=ASKED)
    assert ended.phase is case.step, ended.problem
    assert len(launching.launched) == case.launched
    assert len(launching.cloud.asked) == case.calls
    assert case.says in ended.problem


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_repeated_request_launches_nothing_more(case: Case) -> None:
    launching = Launching()
    case.trouble(launching)
    first = launching.go()
    calls = len(launching.cloud.asked)

    again = launching.go()

    launching.holds(asked=ASKED)
    assert (again.launch_id, again.phase) == (first.launch_id, first.phase)
    assert len(launching.cloud.asked) == calls


def test_unknown_result_blocks_every_other_attempt() -> None:
    launching = Launching()
    launching.cloud.fail(RUN, NOTHING, times=6)

    unfinished = launching.go()

    assert unfinished.phase is Phase.LAUNCHING
    assert len({asked["ClientToken"] for asked in launching.cloud.asked}) == 1
    ended = launching.until_finished(unfinished)
    launching.holds(asked=ASKED)
    assert ended.phase is Phase.LAUNCHED
    assert len({asked["ClientToken"] for asked in launching.cloud.asked}) == 1


def test_repeated_call_ignores_changes_since_the_first() -> None:
    launching = Launching(template={**Launching().template, "image": "resolve:ssm:/golden"})
    launching.cloud.parameters["/golden"] = "ami-0000000a"
    launching.cloud.fail(RUN, NOTHING, times=4)
    unfinished = launching.go()

    launching.cloud.parameters["/golden"] = "ami-0000000b"
    launching.template = {**launching.template, "instance_types": ["m5.large"]}
    again = launching.begin()
    launching.until_finished(again)

    assert again.launch_id == unfinished.launch_id
    assert {asked["ImageId"] for asked in launching.cloud.asked} == {"ami-0000000a"}
    assert {asked["InstanceType"] for asked in launching.cloud.asked} == {"t2.micro"}
    launching.holds(asked=ASKED)


def test_deadline_leaves_the_rest_to_the_next_worker() -> None:
    launching = Launching()
    launching.cloud.fail(RUN, THROTTLED, times=2)

    unfinished = launching.carry_on(launching.begin(), seconds=11)

    assert unfinished.phase is Phase.LAUNCHING
    assert "RequestLimitExceeded" in unfinished.problem or "out of time" in unfinished.problem
    assert launching.carry_on(unfinished).phase is Phase.LAUNCHED
    launching.holds(asked=ASKED)


class CrashError(BaseException):
    """The function is killed: no handler catches this."""


class Crashing:
    """A register of fleets that kills its caller just before or just after its nth call."""

    def __init__(self, fleets: Any, *, at: int, after: bool) -> None:
        self._fleets, self._left, self._after = fleets, at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._fleets, name)

        def called(*args: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise CrashError(name)
            answer = method(*args, **more)
            if self._left == 0:
                raise CrashError(name)
            return answer

        return called


@contextmanager
def killed(launching: Launching, *, at: int, after: bool) -> Iterator[Crashing]:
    """Kill the worker of a launch at the register's nth call."""
    ledger: Any = launching.ledger
    whole = ledger.fleets
    ledger.fleets = Crashing(whole, at=at, after=after)
    try:
        yield ledger.fleets
    finally:
        ledger.fleets = whole


@pytest.mark.parametrize(
    "trouble",
    [lambda _: None, capacity(3), CAPACITY_OF_THREE, failing(LOST)],
    ids=["calm", "partial", "too-little", "lost-answer"],
)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 30))
def test_launch_killed_anywhere_is_resumed(at: int, after: bool, trouble: Trouble) -> None:
    launching = Launching()
    trouble(launching)
    with killed(launching, at=at, after=after), suppress(CrashError):
        launching.go()

    ended = launching.until_finished(launching.begin())

    launching.holds(asked=ASKED)
    assert len(launching.launched) == (3 if trouble is CAPACITY_OF_THREE else ASKED)
    assert ended.phase is (Phase.PARTIAL if trouble is CAPACITY_OF_THREE else Phase.LAUNCHED)


def test_instances_of_an_unrecorded_call_are_found_by_their_token() -> None:
    launching = Launching()
    begun = launching.begin()
    # lock, order, lock, attempts, attempt, lock, and then the call: killed before its record
    with killed(launching, at=7, after=False), pytest.raises(CrashError, match="record"):
        launching.carry_on(begun)
    assert launching.launched
    assert not launching.leased()

    launching.until_finished(begun)

    launching.holds(asked=ASKED)
    assert len(launching.cloud.asked) == 1


def test_without_a_ledger_nothing_is_launched() -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise LedgerError("the table does not answer")

    launching = Launching()
    ledger: Any = launching.ledger
    ledger.fleets = Broken()

    with pytest.raises(LedgerError):
        launching.go()
    assert launching.cloud.asked == []


def test_second_of_two_concurrent_launches_waits() -> None:
    launching = Launching()
    begun = launching.begin()
    others: list[Phase] = []
    launching.cloud.before(RUN, lambda: others.append(launching.carry_on(begun).phase))

    ended = launching.carry_on(begun)

    assert others == [Phase.LAUNCHING]
    assert ended.phase is Phase.LAUNCHED
    assert len(launching.cloud.asked) == 1
    launching.holds(asked=ASKED)


def test_hung_worker_and_its_successor_launch_once() -> None:
    launching = Launching()
    begun = launching.begin()

    def another() -> None:
        launching.time.sleep(LOCK.total_seconds() + 1)
        launching.carry_on(begun)

    launching.cloud.before(RUN, another)
    launching.carry_on(begun)

    launching.holds(asked=ASKED)
    assert len(launching.launched) == ASKED
    assert launching.until_finished(begun).phase is Phase.LAUNCHED


def test_fleet_terminated_during_its_launch_makes_no_further_call() -> None:
    launching = Launching()
    capacity(3)(launching)
    begun = launching.begin()
    launching.cloud.before(
        RUN,
        lambda: launching.ledger.fleets.claim(
            begun.name, begun.launch_id, "sweep", now=launching.time.now(), expired=False
        ),
        on=1,
    )

    ended = launching.carry_on(begun)

    assert ended.phase is Phase.PARTIAL
    assert "3 of 4 launched when the fleet was terminated" in ended.problem
    assert len(launching.cloud.asked) == 1
    launching.holds(asked=ASKED)


def test_every_instance_is_launched_with_fleet_owner_lease_and_launch_id() -> None:
    launching = Launching()

    ended = launching.go()

    for machine in launching.cloud.machines.values():
        assert machine.tags == {
            "Name": "lab",
            "env": "sandbox",
            "curfew:fleet": "lab",
            "curfew:owner": "kim",
            "curfew:lease": "2026-03-04T10:00:00Z",
            "curfew:launch-id": ended.launch_id,
        }
    assert {asked["MetadataOptions"]["HttpTokens"] for asked in launching.cloud.asked} == {
        "required"
    }


def test_the_subnets_of_a_template_are_tried_in_their_order() -> None:
    launching = Launching()
    launching.template = {**launching.template, "subnets": ["subnet-0000000a", "subnet-0000000b"]}
    launching.cloud.region.subnets = {
        "subnet-0000000a": "eu-central-1a",
        "subnet-0000000b": "eu-central-1b",
    }
    launching.cloud.capacity.update({FIRST: 1, ("t2.micro", "eu-central-1b"): 1, SECOND: 2})

    ended = launching.go()

    assert ended.phase is Phase.LAUNCHED
    where = [
        (asked["InstanceType"], asked["SubnetId"][-1], asked["MaxCount"])
        for asked in launching.cloud.asked
    ]
    assert where == [
        ("t2.micro", "a", "4"),
        ("t2.micro", "a", "3"),
        ("t2.micro", "b", "3"),
        ("t2.micro", "b", "2"),
        ("t2.small", "a", "2"),
    ]
    launching.holds(asked=ASKED)


def test_lost_response_in_one_zone_is_never_replaced_in_another() -> None:
    launching = Launching()
    launching.template = {**launching.template, "subnets": ["subnet-0000000a", "subnet-0000000b"]}
    launching.cloud.region.subnets = {
        "subnet-0000000a": "eu-central-1a",
        "subnet-0000000b": "eu-central-1b",
    }
    launching.cloud.fail(RUN, LOST, times=8)
    launching.cloud.fail("DescribeInstances", UNSEEN, times=60)

    unfinished = launching.go()

    assert unfinished.phase is Phase.LAUNCHING
    assert {asked["SubnetId"] for asked in launching.cloud.asked} == {"subnet-0000000a"}
    assert launching.until_finished(unfinished).phase is Phase.LAUNCHED
    launching.holds(asked=ASKED)
    assert {asked["SubnetId"] for asked in launching.cloud.asked} == {"subnet-0000000a"}


def test_instance_that_ends_at_once_is_not_counted_as_running() -> None:
    launching = Launching()
    doomed(1)(launching)

    ended = launching.go()

    members = launching.ledger.fleets.members(ended.launch_id)
    assert sum(member.ended_at is None for member in members) == ASKED - 1


def test_audit_chain_records_the_launch_and_each_instance() -> None:
    launching = Launching()
    ended = launching.go()

    events = [entry.draft for entry in launching.ledger.entries(HERE)]

    assert [draft.body["action"] for draft in events] == ["launch", *["instance-launched"] * ASKED]
    assert {draft.sweep_id for draft in events} == {ended.launch_id}
    assert {draft.instance_id for draft in events[1:]} == launching.launched
    assert launching.ledger.open_intents(HERE) == ()


@pytest.mark.parametrize(
    ("requested", "words"),
    [
        ({"count": 0}, "may have 1 to 20"),
        ({"count": 21}, "may have 1 to 20"),
        ({"ends_in": timedelta(seconds=59)}, "less than 1m from now"),
        ({"ends_in": timedelta(days=7, seconds=1)}, "the template allows 7d from now"),
    ],
)
def test_request_beyond_the_template_is_refused_before_any_call(
    requested: dict[str, Any], words: str
) -> None:
    launching = Launching()
    more = dict(requested)
    if ends_in := more.pop("ends_in", None):
        more["expires_at"] = launching.time.now() + ends_in

    with pytest.raises(Exception, match=words):
        launching.begin(**more)

    assert launching.ledger.fleets.get("lab") is None
    assert launching.cloud.calls == []


@pytest.mark.parametrize("ends_in", [timedelta(minutes=1), timedelta(days=7)])
def test_limits_are_inclusive(ends_in: timedelta) -> None:
    launching = Launching()

    begun = launching.begin(expires_at=launching.time.now() + ends_in, count=20)

    assert (begun.count, begun.expires_at) == (20, launching.time.now() + ends_in)


def test_replay_checks_neither_limits_nor_the_cloud() -> None:
    launching = Launching()
    begun = launching.go()
    launching.time.sleep(timedelta(days=8).total_seconds())
    calls = launching.cloud.calls

    again = launching.begin(expires_at=begun.expires_at)

    assert again == replace(begun)
    assert launching.cloud.calls == calls
