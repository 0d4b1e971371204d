"""The simulated night: its arithmetic on cases that can be done by hand."""

import pytest

from benchmarks.pace import seconds
from benchmarks.prices import month
from benchmarks.simulation import MB_PER_CPU, Estate, Target, lasts, night

TARGET = Target(calls={"DescribeInstances": 1}, in_a_row=1, cpu=0.0, reads=2, writes=3)


def estate(**more: float | None) -> Estate:
    known: dict[str, float | None] = {"targets": 100, "latency": 1.0, "percent": None}
    return Estate(**(known | more))  # type: ignore[arg-type]


def test_a_target_waits_for_its_calls_and_works_with_its_share_of_a_processor() -> None:
    target = Target(calls={}, in_a_row=10, cpu=2.0, reads=0, writes=0)

    assert lasts(target, estate(memory=MB_PER_CPU // 2 + 1)) == pytest.approx(10 + 4, rel=0.01)


def test_a_rate_holds_a_target_back_where_it_is_slower() -> None:
    target = Target(calls={"DescribeInstanceAttribute": 125}, in_a_row=10, cpu=0, reads=0, writes=0)

    assert lasts(target, estate(percent=25)) == pytest.approx(20)  # 25 at once, 5 a second
    assert lasts(target, estate(percent=100)) == pytest.approx(10)


def test_every_target_is_swept_once() -> None:
    went = night(estate(targets=77), [TARGET])

    assert went.calls == {"DescribeInstances": 77}
    assert (went.reads, went.writes) == (2 * 77, 3 * 77)


def test_one_function_takes_one_after_the_other() -> None:
    went = night(estate(targets=40, at_once=1, latency=0.5), [TARGET])

    assert went.seconds == pytest.approx(0.5 + 40 * 0.5)


def test_no_more_run_at_once_than_may() -> None:
    few = night(estate(targets=1_000, at_once=10), [TARGET])

    assert few.busy / few.seconds <= 10
    assert few.seconds >= 1_000 / 10


def test_more_functions_are_started_only_as_fast_as_the_queue_is_scaled() -> None:
    slow = Target(calls={}, in_a_row=0, cpu=10_000, reads=0, writes=0)

    went = night(estate(targets=50, latency=0.001, memory=MB_PER_CPU), [slow])

    assert went.seconds == pytest.approx(10_000 + (50 - 5) / 5, abs=1)


def test_the_first_message_of_a_function_pays_the_cold_start() -> None:
    warm, cold = (night(estate(targets=50, at_once=1, cold_start=c), [TARGET]) for c in (0, 9))

    assert cold.cold_starts == 1
    assert cold.seconds == pytest.approx(warm.seconds + 9)


def test_the_same_seed_has_the_same_night() -> None:
    targets = [TARGET, Target(calls={}, in_a_row=5, cpu=0.3, reads=1, writes=1)]

    assert night(estate(), targets, seed=4) == night(estate(), targets, seed=4)
    assert night(estate(), targets, seed=4) != night(estate(), targets, seed=5)


def test_the_busiest_action_sets_the_pace() -> None:
    calls = {"TerminateInstances": 50, "DescribeInstances": 100, "DynamoDB PutItem": 9_999}

    # A quarter of 100 and 5 a second: 25 at once, then 1.25 a second.
    assert seconds(calls, percent=25) == pytest.approx(25 / 1.25)


def test_what_is_in_the_bucket_already_is_not_waited_for() -> None:
    assert seconds({"DescribeInstances": 25}, percent=25) == 0


def test_a_month_is_made_of_its_nights() -> None:
    bill = month(gb_seconds=1e6, invocations=1e6, messages=1e6, reads=1e6, writes=1e6)

    assert bill.functions == pytest.approx(30.4 * (16.6667 + 0.2))
    assert bill.ledger == pytest.approx(30.4 * (0.125 + 0.625))
    assert bill.queue == pytest.approx((30.4 * 2.1e6 + 656_640) * 0.4e-6)
    assert bill.total == pytest.approx(bill.functions + bill.ledger + bill.queue)
