"""The hash chain of the audit: each changed entry is detected."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curfew.core.audit import (
    GENESIS,
    Draft,
    Entry,
    EntryKind,
    broken,
    event,
    intended,
    intents,
    link,
    open_intents,
    outcome,
    resolution,
    snapshot,
)
from curfew.core.instance import ActionKind, Volume
from curfew.core.lease import Lease
from curfew.core.plan import decide
from curfew.core.report import Outcome, Result
from tests.builders import HERE, NOW, a_policy, an_id, an_instance

properties = settings(derandomize=True, deadline=None)


def a_draft(number: int = 1, **more: Any) -> Draft:
    ordinary: dict[str, Any] = {
        "kind": EntryKind.INTENT,
        "sweep_id": "sweep-1",
        "instance_id": an_id(number),
        "at": NOW,
        "body": {"action": "terminate", "instance": {"tags": {"env": "dev"}}},
    }
    return Draft(**(ordinary | more))


def chained(drafts: Sequence[Draft], *, after: int = 0, previous: str = GENESIS) -> list[Entry]:
    entries: list[Entry] = []
    for number, draft in enumerate(drafts, start=after + 1):
        entries.append(link(draft, number=number, previous=previous))
        previous = entries[-1].hash
    return entries


def a_chain(length: int = 5) -> list[Entry]:
    return chained([a_draft(number) for number in range(length)])


# The chain


def test_each_entry_carries_the_hash_of_the_one_before() -> None:
    entries = a_chain()

    assert [e.number for e in entries] == [1, 2, 3, 4, 5]
    assert [e.previous for e in entries] == [GENESIS, *(e.hash for e in entries[:-1])]
    assert len({e.hash for e in entries}) == 5
    assert broken(entries) is None


def test_the_same_draft_in_the_same_place_has_the_same_hash() -> None:
    one = link(a_draft(body={"a": 1, "b": 2}), number=1, previous=GENESIS)
    other = link(a_draft(body={"b": 2, "a": 1}), number=1, previous=GENESIS)

    assert one.hash == other.hash


def test_a_hash_that_was_written_once_stays_valid() -> None:
    # A change of the hash's computation would break every existing chain.
    entry = link(a_draft(body={"tags": {"Größe": "\N{SNOWMAN}"}}), number=7, previous="0" * 64)

    assert entry.hash == "45f1885b79476f020dd1ede635a50d21d86d1e1c8a06d586538ad57e2aa607a8"


def test_an_empty_chain_and_a_single_entry_are_whole() -> None:
    assert broken([]) is None
    assert broken(a_chain(1)) is None


@pytest.mark.parametrize("start", range(5))
def test_a_chain_may_begin_anywhere(start: int) -> None:
    assert broken(a_chain()[start:]) is None


def test_a_chain_that_has_to_begin_at_its_first_entry_is_broken_without_it() -> None:
    assert broken(a_chain(), first=1) is None
    assert broken(a_chain()[1:], first=1) == 2
    assert broken([], first=1) is None


CHANGES: dict[str, Callable[[Draft], Draft]] = {
    "kind": lambda d: replace(d, kind=EntryKind.OUTCOME),
    "sweep": lambda d: replace(d, sweep_id="sweep-2"),
    "instance": lambda d: replace(d, instance_id=an_id(99)),
    "time": lambda d: replace(d, at=d.at + timedelta(microseconds=1)),
    "value": lambda d: replace(d, body={**d.body, "action": "stop"}),
    "tag": lambda d: replace(d, body={**d.body, "instance": {"tags": {"env": "prod"}}}),
    "more": lambda d: replace(d, body={**d.body, "more": None}),
    "less": lambda d: replace(d, body={}),
}


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("change", CHANGES)
def test_an_altered_entry_is_found(place: int, change: str) -> None:
    entries = a_chain()
    entries[place] = replace(entries[place], draft=CHANGES[change](entries[place].draft))

    assert broken(entries) == place + 1


@pytest.mark.parametrize("place", range(5))
def test_an_altered_entry_with_a_new_hash_breaks_the_next_one(place: int) -> None:
    entries = a_chain()
    old = entries[place]
    entries[place] = link(
        replace(old.draft, sweep_id="forged"), number=old.number, previous=old.previous
    )

    # Only the head in the ledger could reveal a change of the newest entry.
    assert broken(entries) == (place + 2 if place < 4 else None)


@pytest.mark.parametrize("place", range(5))
def test_an_altered_number_or_hash_is_found(place: int) -> None:
    for altered in (
        {"number": 77},
        {"previous": "f" * 64},
        {"hash": "f" * 64},
    ):
        entries = a_chain()
        entries[place] = replace(entries[place], **altered)

        assert broken(entries) is not None


@pytest.mark.parametrize("place", range(1, 4))
def test_a_dropped_entry_is_found(place: int) -> None:
    entries = a_chain()
    del entries[place]

    assert broken(entries) == place + 2


@pytest.mark.parametrize("place", range(1, 4))
def test_a_dropped_entry_is_found_even_if_the_rest_is_renumbered(place: int) -> None:
    entries = a_chain()
    del entries[place]
    renumbered = [replace(e, number=number) for number, e in enumerate(entries, start=1)]

    assert broken(renumbered) == place + 1


@pytest.mark.parametrize("place", range(4))
def test_two_entries_in_the_wrong_order_are_found(place: int) -> None:
    entries = a_chain()
    entries[place], entries[place + 1] = entries[place + 1], entries[place]

    assert broken(entries) is not None


@pytest.mark.parametrize("place", range(1, 5))
def test_an_inserted_entry_is_found(place: int) -> None:
    entries = a_chain()
    before = entries[place - 1]
    forged = link(a_draft(99), number=before.number + 1, previous=before.hash)

    assert broken([*entries[:place], forged, *entries[place:]]) == place + 1


@pytest.mark.parametrize("place", range(5))
def test_a_repeated_entry_is_found(place: int) -> None:
    entries = a_chain()
    entries.insert(place, entries[place])

    assert broken(entries) is not None


def test_a_gap_in_the_numbers_is_found_even_if_the_hashes_fit() -> None:
    entries = a_chain(2)
    later = link(a_draft(9), number=4, previous=entries[-1].hash)

    assert broken([*entries, later]) == 4


def test_two_chains_are_not_one() -> None:
    other = chained([a_draft(9)], after=5, previous=GENESIS)

    assert broken([*a_chain(), *other]) == 6


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
bodies = st.dictionaries(st.text(max_size=4), json_values, max_size=3)
# A tag may be any text.
drafts = st.lists(
    st.builds(
        a_draft,
        st.integers(0, 3),
        sweep_id=st.text(max_size=4),
        kind=st.sampled_from(EntryKind),
        body=bodies,
    ),
    min_size=1,
    max_size=6,
)


@properties
@given(drafts)
def test_whatever_is_written_makes_a_whole_chain(some: list[Draft]) -> None:
    assert broken(chained(some)) is None


@properties
@given(drafts, st.data(), bodies)
def test_no_body_can_be_exchanged_for_another(
    some: list[Draft], data: st.DataObject, body: dict[str, Any]
) -> None:
    entries = chained(some)
    place = data.draw(st.integers(0, len(entries) - 1))
    old = entries[place]
    entries[place] = replace(old, draft=replace(old.draft, body=body))

    same = json.dumps(body, sort_keys=True) == json.dumps(old.draft.body, sort_keys=True)
    assert broken(entries) == (None if same else place + 1)


@properties
@given(drafts, st.data())
def test_no_entry_can_be_left_out_in_the_middle(some: list[Draft], data: st.DataObject) -> None:
    entries = chained([*some, a_draft(), a_draft()])
    place = data.draw(st.integers(1, len(entries) - 2))

    assert broken([*entries[:place], *entries[place + 1 :]]) == entries[place + 1].number


# Open intents


def an_outcome(number: int = 1, **more: Any) -> Draft:
    return a_draft(number, kind=EntryKind.OUTCOME, **more)


def open_ids(drafts: Sequence[Draft]) -> list[str]:
    return [entry.draft.instance_id for entry in open_intents(chained(drafts))]


def test_an_intent_without_an_outcome_is_open() -> None:
    assert open_ids([a_draft(1), a_draft(2), an_outcome(1)]) == [an_id(2)]


def test_an_outcome_settles_its_intent_wherever_it_comes() -> None:
    assert open_ids([a_draft(1), a_draft(2), a_draft(3), an_outcome(3), an_outcome(1)]) == [
        an_id(2)
    ]


def test_an_outcome_of_another_sweep_settles_nothing() -> None:
    assert open_ids([a_draft(1), an_outcome(1, sweep_id="sweep-2")]) == [an_id(1)]


def test_an_outcome_before_its_intent_settles_nothing() -> None:
    assert open_ids([an_outcome(1), a_draft(1)]) == [an_id(1)]


def test_repeated_intent_is_open_again() -> None:
    entries = chained([a_draft(1), an_outcome(1), a_draft(1)])

    assert [entry.number for entry in open_intents(entries)] == [3]


def test_open_intents_come_in_the_order_of_the_chain() -> None:
    assert open_ids([a_draft(3), a_draft(1), a_draft(2)]) == [an_id(3), an_id(1), an_id(2)]


def test_chain_without_intents_has_none_open() -> None:
    assert open_intents([]) == ()


# The content of an entry


def test_intent_keeps_what_is_lost_with_the_instance() -> None:
    instance = an_instance(
        image="ami-08111162",
        first_seen_at=NOW - timedelta(days=2),
        tags={"env": "dev", "Name": "web"},
        volumes=(Volume(id="vol-1", device="/dev/xvda", delete_on_termination=True),),
        lease=Lease(fleet="lab", launch_id="op-1", owner="kim", expires_at=NOW),
    )
    plan = decide([instance], a_policy(version="abc"), NOW)

    (draft,) = intents(plan.actions[:1], plan, sweep_id="sweep-1", at=NOW)

    assert (draft.kind, draft.sweep_id, draft.instance_id, draft.at) == (
        EntryKind.INTENT,
        "sweep-1",
        an_id(1),
        NOW,
    )
    assert draft.body == {
        "action": "terminate",
        "rule": "selected",
        "reason": "is running, env=dev, 2d old",
        "policy": "nightly",
        "policy_version": "abc",
        "plan": plan.hash,
        "instance": {
            "id": an_id(1),
            "target": str(HERE),
            "zone": "eu-central-1a",
            "state": "running",
            "type": "t2.micro",
            "image": "ami-08111162",
            "lifecycle": "on-demand",
            "started_at": "2026-03-03T17:00:00+00:00",
            "first_seen_at": "2026-03-02T02:00:00+00:00",
            "tags": {"env": "dev", "Name": "web"},
            "volumes": [{"id": "vol-1", "device": "/dev/xvda", "delete_on_termination": True}],
            "lease": {
                "fleet": "lab",
                "launch_id": "op-1",
                "owner": "kim",
                "expires_at": "2026-03-04T02:00:00+00:00",
            },
        },
    }


def test_evidence_is_json_even_with_unknown_fields() -> None:
    bare = snapshot(an_instance(started_at=None, zone="", instance_type=""))

    assert json.loads(json.dumps(bare)) == bare
    assert bare["started_at"] is None
    assert bare["first_seen_at"] is None


@pytest.mark.parametrize("kind", list(ActionKind))
def test_an_outcome_says_what_became_of_its_action(kind: ActionKind) -> None:
    plan = decide(
        [an_instance(target=replace(HERE, provider="memory"))], a_policy(action=kind), NOW
    )
    ended = Outcome(action=plan.actions[0], result=Result.FAILED, detail="the cloud said no")

    draft = outcome(ended, sweep_id="sweep-1", at=NOW)

    assert (draft.kind, draft.sweep_id, draft.instance_id) == (
        EntryKind.OUTCOME,
        "sweep-1",
        an_id(1),
    )
    assert draft.body == {"action": kind, "result": "failed", "detail": "the cloud said no"}
    assert draft.at == NOW


def test_recovery_outcome_closes_the_intent_of_an_interrupted_sweep() -> None:
    (open_entry,) = chained([a_draft(1)])

    draft = resolution(open_entry, Result.UNKNOWN, "still running", at=NOW + timedelta(days=1))

    assert intended(open_entry) is ActionKind.TERMINATE
    assert draft.body == {"action": "terminate", "result": "unknown", "detail": "still running"}
    assert open_intents(chained([a_draft(1), draft])) == ()


def test_requester_of_a_plan_is_named_in_its_intents() -> None:
    plan = replace(decide([an_instance()], a_policy(), NOW), asked_by="kim")

    (draft,) = intents(plan.actions, plan, sweep_id="sweep-1", at=NOW)

    assert draft.body["asked_by"] == "kim"


def test_event_names_its_subject_and_actor_and_is_no_open_intent() -> None:
    draft = event("lease", "lab", launch_id="op-1", by="kim", at=NOW, until="tomorrow")

    assert draft.body == {"action": "lease", "by": "kim", "until": "tomorrow"}
    assert (draft.kind, draft.sweep_id, draft.instance_id) == (EntryKind.EVENT, "op-1", "lab")
    assert open_intents([link(draft, number=1, previous=GENESIS)]) == ()


def test_an_event_settles_no_intent() -> None:
    plan = decide([an_instance()], a_policy(), NOW)
    (intent,) = intents(plan.actions, plan, sweep_id="op-1", at=NOW)
    first = link(intent, number=1, previous=GENESIS)
    launch_event = event(
        "instance-launched", intent.instance_id, launch_id="op-1", by="kim", at=NOW
    )

    assert open_intents([first, link(launch_event, number=2, previous=first.hash)]) == (first,)
