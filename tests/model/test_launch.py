"""What the model of the launch proves, under which assumptions, and that the real code does what it says."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.model.explorer import Exploration
from tests.model.guards import REMOVED_FROM_LAUNCH
from tests.model.launch import ASKED, DEAD, DONE, Launch, World
from tests.model.replay_launch import LaunchReplay
from tests.model.scenarios import FENCED, HANGS, LAUNCH_GUARDS, LAUNCHES, LaunchGuarded, launch
from tests.model.walks import drawn, traced

REAL = [guarded for guarded in LAUNCH_GUARDS if guarded.guard in REMOVED_FROM_LAUNCH]
SCHEDULES = 200


def broken(found: Exploration[World]) -> str:
    assert found.violation is not None
    return found.violation.wrong.partition(":")[0]


def played(model: Launch) -> LaunchReplay:
    """The shortest way to what is wrong with a model, gone by the real code."""
    found = launch(model)
    assert found.worst is not None
    replay = LaunchReplay(model)
    replay.play(traced(found.came, found.worst))
    return replay


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_launch_never_exceeds_its_request_and_is_recorded(name: str) -> None:
    found = launch(LAUNCHES[name])

    assert found.violation is None, str(found.violation)
    assert found.ends


@pytest.mark.parametrize("guarded", LAUNCH_GUARDS, ids=lambda guarded: guarded.guard)
def test_the_model_detects_each_missing_guard(guarded: LaunchGuarded) -> None:
    assert broken(launch(guarded.removed)) == guarded.breaks


@pytest.mark.parametrize("guarded", REAL, ids=lambda guarded: guarded.guard)
def test_the_real_code_without_the_guard_fails_like_the_model(
    guarded: LaunchGuarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    REMOVED_FROM_LAUNCH[guarded.guard](monkeypatch)

    played(guarded.removed)


@pytest.mark.parametrize("guarded", REAL, ids=lambda guarded: guarded.guard)
def test_the_real_code_with_the_guard_does_not_fail_like_the_model(guarded: LaunchGuarded) -> None:
    with pytest.raises(AssertionError):
        played(guarded.removed)


@pytest.mark.parametrize("hang", HANGS)
def test_a_worker_that_hangs_for_longer_than_its_lock_launches_too_many(hang: str) -> None:
    """What the protocol rests on, for the real code does the same. Its calls end after 23 seconds, LOCK is 180."""
    found = launch(HANGS[hang])
    assert broken(found) == "S15"
    assert len(played(HANGS[hang]).launched) > ASKED


@pytest.mark.parametrize("fence", sorted(FENCED.fences))
def test_each_fence_replaces_one_assumption(fence: str) -> None:
    hang = {"keep only": "hang elsewhere", "settle under lock": "hang after the call"}[fence]
    for model in LAUNCHES.values():
        fenced = replace(model, events=model.events | {hang}, fences=frozenset((fence,)))
        assert launch(fenced).violation is None


def test_both_fences_leave_only_the_moment_before_the_call() -> None:
    for model in LAUNCHES.values():
        fenced = replace(model, events=FENCED.events, fences=FENCED.fences)
        assert launch(fenced).violation is None


def test_the_real_code_follows_the_schedules_of_the_model() -> None:
    models = list(LAUNCHES.values())
    ends: Counter[tuple[str, int, int]] = Counter()
    for seed in range(SCHEDULES):
        model = models[seed % len(models)]
        path = drawn(
            model.start,
            model.steps,
            lambda world: all(worker.at in (DONE, DEAD) for worker in world.workers[:-1]),
            names=model.names,
            seed=seed,
        )
        replay = LaunchReplay(model)
        replay.play(path)
        last = path[-1][1]
        ends[last.step, len(replay.launched), len(last.attempts)] += 1

    assert len(ends) > 10, ends
