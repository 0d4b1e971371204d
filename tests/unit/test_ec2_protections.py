"""Curfew reads protections in parallel, up to a number of tasks, with the same result as one after the other."""

from collections.abc import Callable, Sequence
from threading import Barrier, BrokenBarrierError, Lock
from time import sleep
from typing import Any

import pytest

from curfew.concurrency import TaskRunner, run_in_threads, run_sequentially
from curfew.core.errors import RateLimitedError, RefusedError
from curfew.core.instance import Attributes
from curfew.providers.ec2.provider import Ec2Provider
from curfew_simulator.cloud.faults import Fault
from tests.builders import HERE, an_id
from tests.cloud import BROKEN, NOTHING, SimulatedEc2, a_machine, asked, refusal

WAIT = 20
IDS = [an_id(n) for n in (5, 3, 9, 1, 8, 2, 7, 4, 6, 12, 11, 10)]
FREE = Attributes(termination_protected=False, stop_protected=False)
EACH = pytest.mark.parametrize(
    "run_tasks", [run_sequentially, run_in_threads(3)], ids=["in turn", "side by side"]
)

type Ask = Callable[[str], object]


def asked_of(
    cloud: SimulatedEc2, *, run_tasks: TaskRunner, ask: Ask = lambda _id: None
) -> Callable[[Sequence[str]], dict[str, Attributes]]:
    """Return the real provider's ``protections``; ``ask`` is called with the instance's id before each call."""
    read = cloud.client()

    def asking(request: Any, **_: Any) -> None:
        ask(asked(request)["InstanceId"])

    events: Any = read.meta.events
    events.register_first("before-send.ec2", asking)
    provider = Ec2Provider(target=HERE, read=read, run_tasks=run_tasks)
    return lambda ids: dict(provider.protections(ids))


def a_cloud(**shielded: str) -> SimulatedEc2:
    return SimulatedEc2(
        *(
            a_machine(
                id=id_,
                termination_protected=shielded.get("ended") == id_,
                stop_protected=shielded.get("stopped") == id_,
            )
            for id_ in IDS
        )
    )


@pytest.mark.parametrize(
    ("run_tasks", "overlap"), [(run_in_threads(3), True), (run_sequentially, False)]
)
def test_protections_are_read_with_the_permitted_concurrency(
    run_tasks: TaskRunner, overlap: bool
) -> None:
    together = Barrier(3, timeout=WAIT if overlap else 0.1)
    asked: set[str] = set()
    met: list[bool] = []

    def ask(id_: str) -> None:
        if id_ in IDS[:3] and id_ not in asked:
            asked.add(id_)
            try:
                together.wait()
                met.append(True)
            except BrokenBarrierError:
                met.append(False)

    assert len(asked_of(a_cloud(), run_tasks=run_tasks, ask=ask)(IDS)) == len(IDS)
    assert met == [overlap] * 3


def test_protection_reads_never_exceed_the_concurrency() -> None:
    going, most, lock = set[str](), 0, Lock()

    def ask(id_: str) -> None:
        nonlocal most
        with lock:
            going.add(id_)
            most = max(most, len(going))
        sleep(0.01)
        with lock:
            going.discard(id_)

    asked_of(a_cloud(), run_tasks=run_in_threads(3), ask=ask)(IDS)

    assert most <= 3


@EACH
def test_result_keeps_the_order_of_the_request(run_tasks: TaskRunner) -> None:
    slow = set(IDS[::2])

    def ask(id_: str) -> None:
        sleep(0.01 if id_ in slow else 0)

    found = asked_of(a_cloud(ended=IDS[2], stopped=IDS[7]), run_tasks=run_tasks, ask=ask)(IDS)

    assert list(found) == IDS
    assert found[IDS[2]] == Attributes(termination_protected=True, stop_protected=False)
    assert found[IDS[7]] == Attributes(termination_protected=False, stop_protected=True)
    assert [id_ for id_ in IDS if found[id_] == FREE] == [*IDS[:2], *IDS[3:7], *IDS[8:]]


@EACH
@pytest.mark.parametrize("fault", [BROKEN, NOTHING])
def test_only_unreadable_instances_are_left_out(run_tasks: TaskRunner, fault: Fault) -> None:
    cloud = a_cloud()
    cloud.fail("DescribeInstanceAttribute", fault, on=4)

    found = asked_of(cloud, run_tasks=run_tasks)([*IDS, "i-0123456789abcdef0"])

    assert len(found) == len(IDS) - 1
    assert set(found.values()) == {FREE}


@EACH
def test_refusal_is_raised_and_stops_further_reads(run_tasks: TaskRunner) -> None:
    cloud = a_cloud()
    cloud.fail("DescribeInstanceAttribute", refusal("NeverHeardOf"), on=4, times=99)

    with pytest.raises(RefusedError, match="made to fail"):
        asked_of(cloud, run_tasks=run_tasks)(IDS)

    assert len(cloud.calls) <= 3 + 2 * 3


@EACH
def test_read_that_the_rate_limit_delays_too_long_is_raised(run_tasks: TaskRunner) -> None:
    def ask(id_: str) -> None:
        if id_ == IDS[5]:
            raise RateLimitedError("the rate allows it in 99 seconds", late=True)

    with pytest.raises(RateLimitedError) as raised:
        asked_of(a_cloud(), run_tasks=run_tasks, ask=ask)(IDS)
    assert raised.value.late
