"""What the model of the ending proves, that it can fail, and that the real code does what it says."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from tests.model.ending import RENEWED, Ending
from tests.model.guards import REMOVED
from tests.model.replay import Path, Replay, playable
from tests.model.scenarios import (
    APART,
    BROKEN,
    ENDINGS,
    GUARDS,
    HANGING,
    KNOWN,
    SHARED,
    TWO,
    Guarded,
    ending,
    twice,
)
from tests.model.walks import traced, walk

GUARD_NAMES = [guarded.guard for guarded in GUARDS]
SCHEDULES = 200


@cache
def worst(model: Ending) -> tuple[str, Path]:
    """What is wrong with a model, and the shortest path to it."""
    found = ending(model)
    assert found.violation is not None
    assert found.worst is not None
    return found.violation.wrong, traced(found.came, found.worst)


@pytest.mark.parametrize("name", ENDINGS)
def test_no_interleaving_breaks_a_promise(name: str) -> None:
    found = ending(ENDINGS[name])

    assert found.violation is None, str(found.violation)
    assert found.ends


def test_steps_that_the_model_leaves_out_hide_no_outcome() -> None:
    whole = ending(replace(TWO, reduced=False))

    assert whole.violation is None, str(whole.violation)
    assert whole.ends == ending(TWO).ends


@pytest.mark.parametrize("event", ["renew", "crash", "trouble", "pause", "tag"])
def test_a_repeated_trigger_leads_to_the_same_outcomes(event: str) -> None:
    events = frozenset((event, "renew"))
    once = replace(TWO, events=events, limit=6)

    assert ending(twice(*events)).ends == ending(once).ends


@pytest.mark.parametrize("guarded", GUARDS, ids=GUARD_NAMES)
def test_the_model_detects_each_missing_guard(guarded: Guarded) -> None:
    wrong, _ = worst(guarded.removed)

    assert wrong.partition(":")[0] == guarded.breaks


def test_the_leases_at_the_recheck_are_a_second_safeguard_behind_the_claim() -> None:
    look = "leases at the look"

    assert ending(replace(TWO, without=frozenset((look,)))).violation is None
    wrong, _ = worst(replace(TWO, without=frozenset((look, "claim asks for expiry"))))
    assert wrong.startswith("S26")


@pytest.mark.parametrize("guarded", GUARDS, ids=GUARD_NAMES)
def test_the_real_code_without_the_guard_fails_like_the_model(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = guarded.removed
    _, path = worst(model)
    REMOVED[guarded.guard](monkeypatch)

    Replay(model).play(path)


@pytest.mark.parametrize("guarded", GUARDS, ids=GUARD_NAMES)
def test_the_real_code_with_the_guard_does_not_fail_like_the_model(guarded: Guarded) -> None:
    model = guarded.removed
    _, path = worst(model)

    with pytest.raises(AssertionError):
        Replay(model).play(path)


def test_no_sweep_may_outlive_its_claim() -> None:
    """What the protocol rests on: a Lambda ends after 15 minutes, and a claim runs 20. The real code does the same."""
    wrong, path = worst(HANGING)
    replay = Replay(HANGING)
    replay.play(path)

    assert wrong.startswith("S26")
    assert replay.promised
    assert not replay.running


def test_no_two_sweeps_may_have_one_id() -> None:
    """They would share one claim, and the first that ends releases it: so each invocation makes an id of its own."""
    replay = shown(SHARED)

    assert replay.promised
    assert not replay.running


def test_the_real_code_follows_the_schedules_of_the_model() -> None:
    models = [replace(model, reduced=False) for model in (
        TWO, replace(TWO, zones=APART), replace(twice(*TWO.events), tolerated=BROKEN),
    )]  # fmt: skip
    played: Counter[tuple[int, int, bool]] = Counter()
    too_old = seed = 0
    while played.total() < SCHEDULES:
        model = models[seed % len(models)]
        path = walk(model, seed)
        seed += 1
        if not playable(path):
            too_old += 1
            continue
        replay = Replay(model)
        replay.play(path)
        last = path[-1][1]
        if last.lease == RENEWED:
            assert replay.promised
        played[replay.running, last.lease, last.crashed >= 0] += 1

    assert too_old < SCHEDULES / 4
    assert len(played) > 10, played


# Known to be broken. Each of these ends with the fix: then its scenario goes, and its promise is checked everywhere.


def known(name: str) -> Replay:
    return shown(KNOWN[name])


def shown(model: Ending) -> Replay:
    _, path = worst(model)
    assert playable(path)
    replay = Replay(model)
    replay.play(path)
    return replay


def test_two_sweeps_may_resolve_the_same_intent() -> None:
    replay = known("two sweeps settle the same intent")

    settled = Counter((sweep, id_) for sweep, id_, _ in replay.outcomes)
    assert set(settled.values()) == {2}


def test_two_sweeps_may_claim_the_same_termination() -> None:
    replay = known("two sweeps take the credit for one end")

    verified = Counter(id_ for _, id_, result in replay.outcomes if result == "verified")
    assert set(verified.values()) == {2}


def test_a_lease_without_instances_may_be_renewed() -> None:
    replay = known("a lease is renewed of which nothing is left")

    assert replay.promised
    assert not replay.running
