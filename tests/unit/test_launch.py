"""The next call of a launch, a pure function of data."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curfew.core.launch import Attempt, AttemptResult, Finished, LaunchSpec, Pool, next_step, token
from curfew.core.lease import Phase
from tests.builders import HERE

ORDER = LaunchSpec(
    launch_id="op-1",
    target=HERE,
    image="ami-08111162",
    instance_types=("t3.small", "t3.medium"),
    subnets=("subnet-0000000a", "subnet-0000000b"),
    count=5,
    tags={},
)
FIRST = Attempt(number=1, pool=0, count=5)
TOKEN = "d72861edfa4642fbdcc0c2e3305085c5aa53920f909088aeba2706db53caf196"


def ended(attempt: Attempt, answer: AttemptResult, launched: int = 0, problem: str = "") -> Attempt:
    return replace(attempt, result=answer, launched=launched, problem=problem)


def test_every_type_is_tried_in_every_subnet_before_the_next_type() -> None:
    assert [str(pool) for pool in ORDER.pools] == [
        "t3.small in subnet-0000000a",
        "t3.small in subnet-0000000b",
        "t3.medium in subnet-0000000a",
        "t3.medium in subnet-0000000b",
    ]


def test_without_subnets_there_is_one_pool_per_type() -> None:
    assert replace(ORDER, subnets=()).pools == (
        Pool(instance_type="t3.small"),
        Pool(instance_type="t3.medium"),
    )


def test_first_attempt_asks_the_first_pool_for_all() -> None:
    assert next_step(ORDER, []) == FIRST


def test_attempt_without_a_result_is_repeated_unchanged() -> None:
    assert next_step(ORDER, [FIRST]) == FIRST


def test_a_pool_without_capacity_leads_to_the_next() -> None:
    assert next_step(ORDER, [ended(FIRST, AttemptResult.EMPTY)]) == Attempt(
        number=2, pool=1, count=5
    )


def test_pool_that_launched_some_is_asked_for_the_rest() -> None:
    assert next_step(ORDER, [ended(FIRST, AttemptResult.LAUNCHED, 3)]) == Attempt(
        number=2, pool=0, count=2
    )


def test_all_launched_is_the_end() -> None:
    assert next_step(ORDER, [ended(FIRST, AttemptResult.LAUNCHED, 5)]) == Finished(
        phase=Phase.LAUNCHED
    )


def test_more_than_asked_for_is_the_end_too() -> None:
    assert next_step(ORDER, [ended(FIRST, AttemptResult.LAUNCHED, 6)]) == Finished(
        phase=Phase.LAUNCHED
    )


@pytest.mark.parametrize(("had", "phase"), [(0, Phase.FAILED), (2, Phase.PARTIAL)])
def test_no_pool_left_is_the_end_with_what_there_is(had: int, phase: Phase) -> None:
    spec = replace(ORDER, instance_types=("t3.small",), subnets=())
    some = ended(FIRST, AttemptResult.LAUNCHED, had)
    last = ended(
        Attempt(number=2, pool=0, count=5 - had), AttemptResult.EMPTY, problem="no capacity"
    )

    assert next_step(spec, [some, last] if had else [last]) == Finished(
        phase=phase, problem=f"{had} of 5 launched: no capacity"
    )


@pytest.mark.parametrize(("had", "phase"), [(0, Phase.FAILED), (2, Phase.PARTIAL)])
def test_a_refusal_ends_it_though_other_pools_are_left(had: int, phase: Phase) -> None:
    some = ended(FIRST, AttemptResult.LAUNCHED, had)
    last = ended(Attempt(number=2, pool=0, count=5 - had), AttemptResult.REFUSED, problem="quota")

    finished = next_step(ORDER, [some, last] if had else [last])

    assert finished == Finished(phase=phase, problem=f"{had} of 5 launched: quota")


@pytest.mark.parametrize("launched", [0, 2, 5])
def test_token_known_with_another_call_needs_attention(launched: int) -> None:
    last = ended(FIRST, AttemptResult.MISMATCH, launched, "mismatch")

    assert next_step(ORDER, [last]) == Finished(phase=Phase.ATTENTION, problem="mismatch")


def test_a_token_is_64_hexadecimal_digits_and_always_the_same() -> None:
    assert len(token(ORDER, FIRST)) == 64
    assert set(token(ORDER, FIRST)) <= set("0123456789abcdef")
    assert token(ORDER, FIRST) == token(
        ORDER, replace(FIRST, result=AttemptResult.EMPTY, problem="x")
    )


def test_no_two_calls_share_a_token() -> None:
    others = [
        token(ORDER, replace(FIRST, number=2)),
        token(ORDER, replace(FIRST, pool=1)),
        token(ORDER, replace(FIRST, pool=2)),
        token(replace(ORDER, launch_id="op-2"), FIRST),
        token(replace(ORDER, target=replace(HERE, region="eu-west-1")), FIRST),
    ]

    assert len({token(ORDER, FIRST), *others}) == 6


@given(data=st.data(), count=st.integers(1, 30))
def test_launch_never_exceeds_the_requested_count(data: st.DataObject, count: int) -> None:
    spec = replace(ORDER, count=count)
    attempts: list[Attempt] = []
    while not isinstance(step := next_step(spec, attempts), Finished):
        assert step.number == len(attempts) + 1
        assert 0 <= step.pool < len(spec.pools)
        assert sum(a.launched for a in attempts) + step.count == count
        answer = data.draw(
            st.sampled_from([AttemptResult.LAUNCHED, AttemptResult.EMPTY, AttemptResult.REFUSED])
        )
        launched = data.draw(st.integers(1, step.count)) if answer is AttemptResult.LAUNCHED else 0
        attempts.append(ended(step, answer, launched))

    had = sum(a.launched for a in attempts)
    assert had <= count
    assert (step.phase is Phase.LAUNCHED) == (had == count)
    assert (step.phase is Phase.FAILED) == (had == 0)
    assert len({token(spec, a) for a in attempts}) == len(attempts)


def test_a_pool_without_a_subnet_is_named_by_its_type() -> None:
    assert str(Pool(instance_type="t3.small")) == "t3.small"


def test_token_of_an_attempt_never_changes() -> None:
    """A newer version of Curfew may continue a launch that an older one began."""
    assert token(ORDER, FIRST) == TOKEN
