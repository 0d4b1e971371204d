"""The life of a fleet over HTTP, on a cloud and a ledger in memory, with a manual clock."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from curfew.core.errors import (
    AmbiguousError,
    LedgerError,
    ListingError,
    ProviderError,
    QueueError,
    RefusedError,
    ThrottledError,
)
from curfew.core.instance import Attributes, Instance, State
from curfew.core.launch import Pool
from curfew.core.lease import Phase
from curfew.core.target import Mode
from curfew.handlers import http_api
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Key, Pause
from curfew.orchestration import jobs
from curfew.orchestration.launches import fleet_spec
from curfew.orchestration.launches import launch as launch_now
from curfew.schemas.messages import Job
from tests.builders import HERE, NOW, an_id, an_instance
from tests.http import (
    ADMINISTRATOR,
    OWNER,
    STRANGER,
    Context,
    Reply,
    Service,
    event,
    policies,
    utc_text,
)

MINE = "pair-mine"


@pytest.fixture
def api() -> Service:
    return Service()


def running(api: Service) -> set[str]:
    return {i.id for i in api.cloud.instances.values() if i.state is State.RUNNING}


def launches(api: Service) -> int:
    return sum(name == "launch" for name, _ in api.orders())


def faults(reply: Reply) -> dict[str, str]:
    assert reply.status == 422, reply.text
    return {fault["where"]: fault["problem"] for fault in reply.json["errors"]}


# ------------------------------------------------------------------------------------------------------------ launching


def test_two_instances_are_launched_with_an_owner_and_an_end(api: Service) -> None:
    made = api.launch(name=MINE, ttl="4h")

    assert made.status == 201
    assert made.headers["Location"] == f"/fleets/{MINE}"
    fleet = made.json
    assert (fleet["owner"], fleet["phase"], fleet["count"]) == (OWNER, "launched", 2)
    assert fleet["created_at"] == utc_text(NOW)
    assert fleet["expires_at"] == utc_text(NOW + timedelta(hours=4))
    assert [one["state"] for one in fleet["instances"]] == ["running", "running"]
    tags = api.cloud.instances[fleet["instances"][0]["id"]].tags
    assert tags["curfew:fleet"] == MINE
    assert tags["curfew:owner"] == OWNER
    assert tags["env"] == "sandbox"


def test_the_same_key_gives_the_same_fleet_and_never_four_instances(api: Service) -> None:
    first = api.launch("a-key")
    api.time.at += timedelta(minutes=5)

    again = [api.launch("a-key") for _ in range(3)]

    assert {reply.status for reply in again} == {200}
    assert {reply.json["launch_id"] for reply in again} == {first.json["launch_id"]}
    assert len(running(api)) == 2
    assert launches(api) == 1


def test_key_reused_with_another_body_is_refused(api: Service) -> None:
    api.launch("a-key")

    other = api.launch("a-key", count=3)

    assert (other.status, other.kind) == (422, "reused-key")
    assert len(running(api)) == 2


def test_idempotency_key_belongs_to_its_caller(api: Service) -> None:
    api.launch("a-key")

    assert api.launch("a-key", caller=STRANGER).status == 201
    assert len(running(api)) == 4


def test_generated_name_is_the_same_for_the_same_key(api: Service) -> None:
    elsewhere = Service()

    assert api.launch("a-key").json["name"] == elsewhere.launch("a-key").json["name"]
    assert api.launch("another").json["name"] != api.launch("a-key").json["name"]


def test_concurrent_requests_with_one_key_create_one_fleet(api: Service) -> None:
    """The second request arrives in another process while the first waits for the cloud's response."""
    ledger, launch = api.ledger, api.cloud.launch
    scope: list[Key] = []
    found = []

    def meanwhile(asked: Any, *, by: str) -> Any:
        (fleet,) = ledger.fleets.page(limit=9).items
        spec = fleet_spec(
            api.app,
            "pair",
            name=fleet.name,
            owner=OWNER,
            expires_at=fleet.expires_at,
            key=scope[0],
        )
        found.append(api.app.fleets(api.cloud, api.app.clock()).begin(spec))
        found.append(launch_now(api.app, found[0], deadline=None))
        return launch(asked, by=by)

    def recall(key: Key) -> Any:
        scope.append(key)
        return recalled(key)

    recalled = ledger.fleets.recall
    ledger.fleets.recall = recall  # type: ignore[method-assign]
    api.cloud.launch = meanwhile  # type: ignore[assignment,method-assign]

    first = api.launch("a-key")

    assert {fleet.launch_id for fleet in found} == {first.json["launch_id"]}
    assert {fleet.phase for fleet in found} == {Phase.LAUNCHING}
    assert len(running(api)) == 2
    assert launches(api) == 1


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"count": 0}, "body.count"),
        ({"count": -1}, "body.count"),
        ({"count": 1_000_000}, "body.count"),
        ({"count": "2"}, "body.count"),
        ({"count": 2.5}, "body.count"),
        ({"count": True}, "body.count"),
        ({"ttl": "soon"}, "body.ttl"),
        ({"ttl": "0h"}, "body.ttl"),
        ({"ttl": "999999w"}, "body.ttl"),
        ({"until": "2026-03-04T12:00:00"}, "body.until"),
        ({"until": 1_772_589_600}, "body.until"),
        ({"ttl": "1h", "until": "2026-03-04T12:00:00Z"}, "body"),
        ({"name": "Not A Name"}, "body.name"),
        ({"region": "eu;drop"}, "body.region"),
        ({"template": None}, "body.template"),
        ({"image": "ami-1"}, "body.image"),
        ({"user_data": "#!/bin/sh"}, "body.user_data"),
        ({"tags": {"env": 3}}, "body.tags.env"),
        ({"tags": {"curfew:owner": "lee"}}, "body.tags.curfew:owner.[key]"),
        ({"tags": {"AWS:x": ""}}, "body.tags.AWS:x.[key]"),
    ],
)
def test_invalid_field_is_named_and_nothing_is_launched(
    api: Service, body: dict[str, Any], where: str
) -> None:
    assert list(faults(api.launch(**body))) == [where]
    assert api.orders() == []


def test_every_invalid_field_is_named_at_once(api: Service) -> None:
    wrong = api.ask("POST", "/fleets", query="dry=1", body={"tempalte": "pair", "count": "two"})

    assert faults(wrong) == {
        "query.dry": "is an unknown key",
        "header.idempotency-key": "is missing",
        "body.template": "is missing",
        "body.count": 'is "two": input should be a valid integer',
        "body.tempalte": 'is an unknown key; did you mean "template"?',
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"count": 41}, "may have 1 to 40"),
        ({"ttl": "3d"}, "the template allows 2d from now"),
        ({"until": utc_text(NOW + timedelta(days=9))}, "the template allows 2d from now"),
        ({"until": utc_text(NOW)}, "less than 1m from now"),
        ({"until": "9999-12-31T23:59:59Z"}, "the template allows 2d from now"),
        ({"template": "pairs"}, 'there is no fleet "pairs"'),
        ({"region": "us-east-1"}, 'no region "us-east-1" is enabled'),
        ({"tags": {"Precious": ""}}, "tags.Precious would protect the fleet"),
    ],
)
def test_request_beyond_the_template_is_refused(
    api: Service, body: dict[str, Any], words: str
) -> None:
    refused = api.launch(**body)

    assert (refused.status, refused.kind) == (422, "invalid")
    assert words in refused.json["detail"]
    assert api.orders() == []


@pytest.mark.parametrize("key", ["", " ", "x" * 129, "naïve", "two words"])
def test_idempotency_key_is_visible_ascii_of_limited_length(api: Service, key: str) -> None:
    assert list(faults(api.launch(key))) == ["header.idempotency-key"]


def test_idempotency_key_may_contain_commas(api: Service) -> None:
    assert api.launch("a,b").status == 201
    assert api.launch("a,b").status == 200
    assert api.launch("a").status == 201


def test_a_name_is_held_until_its_fleet_has_ended(api: Service) -> None:
    api.launch("one", name=MINE)

    taken = api.launch("two", name=MINE)
    api.ask("DELETE", f"/fleets/{MINE}")
    free = api.launch("three", name=MINE)

    assert (taken.status, taken.kind) == (409, "conflict")
    assert free.status == 201
    assert (
        api.launch("one", name=MINE).status == 409
    )  # its fleet has ended, and another fleet has the name


def test_request_may_name_another_region(api: Service) -> None:
    made = api.launch(region="eu-west-1", name=MINE)

    assert made.json["region"] == "eu-west-1"
    assert len(api.clouds["eu-west-1"].instances) == 2
    assert api.ask("GET", f"/fleets/{MINE}").json["instances"][0]["zone"] == "eu-west-1a"


def test_partial_capacity_is_reported_on_the_fleet(api: Service) -> None:
    api.cloud.capacity[Pool(instance_type="t2.micro")] = 1

    partial = api.launch("one")
    failed = api.launch("two")

    assert (partial.status, partial.json["phase"]) == (201, "partial")
    assert "1 of 2 launched" in partial.json["problem"]
    assert (failed.status, failed.json["phase"], failed.json["instances"]) == (201, "failed", [])


def test_slow_launch_is_accepted_and_continued(api: Service) -> None:
    api.queue = True
    launch = api.cloud.launch

    def slow(_: Any, *, by: str) -> Any:
        api.time.at += timedelta(seconds=12)
        raise AmbiguousError("no answer")

    api.cloud.launch = slow  # type: ignore[assignment,method-assign]
    begun = api.launch("a-key", name=MINE)
    api.cloud.launch = launch  # type: ignore[method-assign]

    assert begun.status == 202
    assert begun.headers["Location"] == f"/fleets/{MINE}"
    assert begun.json["phase"] == "launching"
    assert api.enqueued == [
        Job(work="launch", id=begun.json["launch_id"], fleet=MINE),
    ]
    jobs.run_job(api.app, api.enqueued[0], deadline=None)
    looked = api.ask("GET", f"/fleets/{MINE}")
    assert (looked.json["phase"], len(looked.json["instances"])) == ("launched", 2)
    assert len(running(api)) == 2


def test_launch_without_a_queue_uses_all_the_time_left(api: Service) -> None:
    calls = 0
    launch = api.cloud.launch

    def slow(asked: Any, *, by: str) -> Any:
        nonlocal calls
        calls += 1
        api.time.at += timedelta(seconds=15)
        if calls == 1:
            raise AmbiguousError("no answer")
        return launch(asked, by=by)

    api.cloud.launch = slow  # type: ignore[assignment,method-assign]

    assert api.launch().json["phase"] == "launched"
    assert calls == 2


# --------------------------------------------------------------------------------------------------- looking and leases


def test_fleet_is_shown_as_it_is_now(api: Service) -> None:
    ids = [one["id"] for one in api.launch(name=MINE).json["instances"]]
    api.cloud.instances[ids[0]] = replace(api.cloud.instances[ids[0]], state=State.TERMINATED)
    del api.cloud.instances[ids[1]]
    api.time.at += timedelta(hours=1)

    gone, unseen = api.ask("GET", f"/fleets/{MINE}", caller=STRANGER).json["instances"]

    assert (gone["state"], gone["ended_at"]) == ("terminated", utc_text(NOW + timedelta(hours=1)))
    assert (unseen["seen"], unseen["state"], unseen["ended_at"]) == (False, None, None)


def test_fleets_are_paginated_and_ended_ones_shown_on_request(api: Service) -> None:
    names = [f"fleet-{letter}" for letter in "abc"]
    for name in names:
        api.launch(name, name=name)
    api.ask("DELETE", "/fleets/fleet-b")

    first = api.ask("GET", "/fleets", query="limit=1").json
    second = api.ask("GET", "/fleets", query={"limit": "1", "after": first["after"]}).json
    everything = api.ask("GET", "/fleets", query="ended=true").json

    assert [fleet["name"] for fleet in (*first["fleets"], *second["fleets"])] == [
        "fleet-a",
        "fleet-c",
    ]
    assert second["after"] == ""
    assert [fleet["name"] for fleet in everything["fleets"]] == names
    assert everything["fleets"][1]["ended_at"] == utc_text(NOW)


@pytest.mark.parametrize("after", ["x", "W10", "bnVsbA", "WyJhIiwiYiJd", "é", "=" * 9, "W" * 4000])
def test_page_token_that_was_never_issued_is_refused(api: Service, after: str) -> None:
    for path in ("/fleets", "/instances"):
        refused = api.ask("GET", path, query={"after": after})
        assert (refused.status, refused.kind) == (422, "invalid")


def test_a_lease_is_renewed_and_shortened_within_the_bounds(api: Service) -> None:
    api.launch(name=MINE)

    longer = api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "2d"})
    shorter = api.ask(
        "PATCH", f"/fleets/{MINE}", body={"until": utc_text(NOW + timedelta(hours=1))}
    )
    too_long = api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "49h"})
    too_short = api.ask("PATCH", f"/fleets/{MINE}", body={"until": utc_text(NOW)})

    assert longer.json["expires_at"] == utc_text(NOW + timedelta(days=2))
    assert (shorter.status, shorter.json["warning"]) == (200, "")
    assert (too_long.status, too_short.status) == (422, 422)
    shown = api.ask("GET", f"/fleets/{MINE}").json
    assert shown["expires_at"] == utc_text(NOW + timedelta(hours=1))
    instance = api.cloud.instances[shown["instances"][0]["id"]]
    assert instance.tags["curfew:lease"] == utc_text(NOW + timedelta(hours=1))


def test_shortest_lease_is_accepted(api: Service) -> None:
    api.time.at += timedelta(milliseconds=600)
    api.launch(name=MINE)

    assert api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "1m"}).status == 200


def test_tags_that_cannot_be_written_are_a_warning(api: Service) -> None:
    api.launch(name=MINE)
    api.cloud.label = fail_with(RefusedError("no tags today"))  # type: ignore[method-assign]

    renewed = api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "1d"})

    assert renewed.status == 200
    assert "no tags today" in renewed.json["warning"]
    assert api.ask("GET", "/fleets").json["fleets"][0]["expires_at"] == utc_text(
        NOW + timedelta(days=1)
    )


@pytest.mark.parametrize("body", [{}, {"ttl": "1h", "until": utc_text(NOW)}, {"ttl": None}])
def test_renewal_names_exactly_one_end(api: Service, body: dict[str, Any]) -> None:
    api.launch(name=MINE)

    assert list(faults(api.ask("PATCH", f"/fleets/{MINE}", body=body))) == ["body"]


# -------------------------------------------------------------------------------------------------------------- the end


def test_a_fleet_is_terminated_and_a_repeated_request_succeeds_too(api: Service) -> None:
    api.launch(name=MINE)

    ended = api.ask("DELETE", f"/fleets/{MINE}")
    orders = api.orders()
    again = api.ask("DELETE", f"/fleets/{MINE}")

    assert ended.status == 200
    assert [row["outcome"] for row in ended.json["rows"]] == ["verified", "verified"]
    assert ended.json["sweep"]["verified"] == 2
    assert ended.json["fleet"]["ended_at"] == utc_text(NOW)
    assert (again.status, set(again.json)) == (200, set(ended.json))
    assert (again.json["sweep_id"], again.json["sweep"], again.json["rows"]) == ("", None, [])
    assert api.orders() == orders
    assert running(api) == set()


def test_unrelated_instance_with_copied_tags_is_kept_and_reported(api: Service) -> None:
    ids = [one["id"] for one in api.launch(name=MINE).json["instances"]]
    api.add(an_instance(99, tags=dict(api.cloud.instances[ids[0]].tags)))

    rows = {row["id"]: row for row in api.ask("DELETE", f"/fleets/{MINE}").json["rows"]}

    assert rows[an_id(99)]["verdict"] == "keep"
    assert rows[an_id(99)]["rule"] == "not-in-ledger"
    assert running(api) == {an_id(99)}


def test_protected_instance_is_kept_with_its_reason(api: Service) -> None:
    first, second = (one["id"] for one in api.launch(name=MINE).json["instances"])
    api.cloud.attributes[first] = Attributes(termination_protected=True, stop_protected=False)

    ended = api.ask("DELETE", f"/fleets/{MINE}")

    rows = {row["id"]: row for row in ended.json["rows"]}
    assert rows[first]["verdict"] == "keep"
    assert rows[second]["outcome"] == "verified"
    assert ended.json["fleet"]["ended_at"] is None
    assert running(api) == {first}


def test_large_fleet_is_terminated_through_the_queue(api: Service) -> None:
    api.queue = True
    api.launch(name=MINE, count=21)

    begun = api.ask("DELETE", f"/fleets/{MINE}")
    again = api.ask("DELETE", f"/fleets/{MINE}")
    renewed = api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "1d"})

    assert (begun.status, begun.headers["Location"]) == (202, f"/fleets/{MINE}")
    assert (begun.json["fleet"]["ending"], begun.json["sweep"]) == (True, None)
    assert (again.status, again.headers["Retry-After"]) == (409, "30")
    assert renewed.status == 409
    assert api.enqueued == [Job(work="terminate", id=begun.json["sweep_id"], fleet=MINE)]


def test_while_paused_no_fleet_is_ended(api: Service) -> None:
    api.launch(name=MINE)
    api.ledger.pause(Pause(since=NOW, by="ada", reason="exam"))

    refused = api.ask("DELETE", f"/fleets/{MINE}")

    assert (refused.status, refused.kind) == (409, "conflict")
    assert "by ada: exam" in refused.json["detail"]
    assert len(running(api)) == 2
    assert api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "1d"}).status == 200


def test_termination_beyond_the_daily_limit_is_refused_whole() -> None:
    api = Service(file=policies(limits={"per_sweep": 1, "percent": 1, "per_day": 40}))
    api.launch(name=MINE)
    assert api.ledger.reserve(HERE, NOW.date(), 39, 40)  # leaves one for the day

    refused = api.ask("DELETE", f"/fleets/{MINE}")

    assert (refused.status, refused.kind) == (409, "conflict")
    assert len(running(api)) == 2
    assert api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "1d"}).status == 200


def test_a_listing_that_fails_ends_nothing(api: Service) -> None:
    api.launch(name=MINE)
    api.cloud.find = fail_with(ListingError("page 2 failed"))  # type: ignore[method-assign]

    failed = api.ask("DELETE", f"/fleets/{MINE}")

    assert (failed.status, failed.kind) == (502, "cloud")
    assert len(running(api)) == 2


def test_a_stack_in_report_mode_launches_changes_and_ends_nothing() -> None:
    acting = Service()
    acting.launch("a-key", name=MINE)
    api = Service(mode=Mode.REPORT, ledger=acting.ledger, clouds=acting.clouds)
    before = api.orders()

    for refused in (
        api.launch("a-key", name=MINE),
        api.launch("another"),
        api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "1d"}),
        api.ask("DELETE", f"/fleets/{MINE}"),
    ):
        assert (refused.status, refused.kind) == (409, "conflict")
        assert "report mode" in refused.json["detail"]
    assert api.ask("GET", f"/fleets/{MINE}").status == 200
    assert api.orders() == before


# -------------------------------------------------------------------------------------------------------------- sweeps


def planned(api: Service, **body: Any) -> dict[str, Any]:
    made = api.ask("POST", "/sweeps", body={"policy": "nightly"} | body)
    assert made.status == 201, made.text
    plan: dict[str, Any] = made.json
    assert made.headers["Location"] == f"/sweeps/{plan['id']}"
    return plan


def applied(api: Service, plan: dict[str, Any]) -> Reply:
    return api.ask("POST", f"/sweeps/{plan['id']}/apply", caller=ADMINISTRATOR)


def test_plan_is_created_read_and_applied_once(api: Service) -> None:
    api.add(an_instance(1), an_instance(2, tags={"env": "dev", "precious": ""}), an_instance(3))
    plan = planned(api)
    later = an_instance(4)
    api.add(later)
    api.cloud.instances[an_id(3)] = replace(an_instance(3), tags={})

    done = applied(api, plan)
    again = applied(api, plan)
    read = api.ask("GET", f"/sweeps/{plan['id']}")

    assert (plan["phase"], plan["summary"]["actions"]) == ("planned", 2)
    assert plan["expires_at"] == utc_text(NOW + timedelta(minutes=15))
    assert {row["id"]: row["outcome"] for row in plan["verdicts"]} == {
        an_id(1): "planned",
        an_id(2): "kept",
        an_id(3): "planned",
    }
    assert done.status == 200
    assert {row["id"]: row["outcome"] for row in done.json["verdicts"]} == {
        an_id(1): "verified",
        an_id(2): "kept",
        an_id(3): "kept-at-recheck",
    }
    assert done.json["applied_by"] == ADMINISTRATOR
    assert read.json == done.json
    assert (again.status, again.kind) == (409, "conflict")
    assert running(api) == {an_id(2), an_id(3), an_id(4)}


def test_a_stale_plan_is_refused(api: Service) -> None:
    api.add(an_instance())
    plan = planned(api)
    api.time.at += timedelta(minutes=16)

    refused = applied(api, plan)

    assert (refused.status, refused.kind) == (409, "conflict")
    assert "is stale" in refused.json["detail"]
    assert api.orders() == []


def test_plan_made_with_other_policies_is_refused(api: Service) -> None:
    api.add(an_instance())
    plan = planned(api)
    api.file = policies(version="v2")

    refused = applied(api, plan)

    assert (refused.status, refused.kind) == (409, "conflict")
    assert "changed to v2" in refused.json["detail"]
    assert api.orders() == []


def test_a_plan_is_not_applied_while_paused_or_in_report_mode(api: Service) -> None:
    api.add(an_instance())
    plan = planned(api)

    assert api.ask("PUT", "/pause", body={"reason": "exam"}, caller=ADMINISTRATOR).status == 200
    paused = applied(api, plan)
    assert api.ask("GET", "/pause").json == {
        "paused": True,
        "since": utc_text(NOW),
        "by": ADMINISTRATOR,
        "reason": "exam",
    }
    assert api.ask("DELETE", "/pause", caller=ADMINISTRATOR).json["paused"] is False
    api.mode = Mode.REPORT
    reporting = applied(api, plan)
    api.mode = Mode.ACT

    assert (paused.status, reporting.status) == (409, 409)
    assert api.orders() == []
    assert applied(api, plan).status == 200


def test_large_plan_is_applied_through_the_queue() -> None:
    api = Service(queue=True, file=policies(limits={"per_sweep": 50, "percent": 100}))
    api.add(*(an_instance(number) for number in range(25)))
    plan = planned(api)

    begun = applied(api, plan)

    assert (begun.status, begun.json["phase"]) == (202, "applying")
    assert begun.headers["Location"] == f"/sweeps/{plan['id']}"
    assert api.enqueued == [Job(work="apply", id=plan["id"])]
    assert api.orders() == []
    assert applied(api, plan).status == 409


def test_slow_listing_continues_through_the_queue(api: Service) -> None:
    api.queue = True

    def slowly(*_: Any, **__: Any) -> Iterator[Instance]:
        api.time.at += timedelta(seconds=19)
        yield an_instance()

    api.cloud.find = slowly  # type: ignore[method-assign]

    begun = api.ask("POST", "/sweeps", body={"policy": "nightly"})

    assert (begun.status, begun.json["phase"], begun.json["summary"]) == (202, "planning", None)
    assert begun.headers["Location"] == f"/sweeps/{begun.json['id']}"
    assert api.enqueued == [Job(work="plan", id=begun.json["id"])]
    assert applied(api, begun.json).status == 409


def test_verdicts_are_paginated(api: Service) -> None:
    api.add(*(an_instance(number) for number in range(5)))
    plan = planned(api)
    path = f"/sweeps/{plan['id']}"

    first = api.ask("GET", path, query="limit=3").json
    second = api.ask("GET", path, query={"limit": "3", "after": first["after"]}).json
    other = planned(api)
    foreign = api.ask("GET", f"/sweeps/{other['id']}", query={"after": first["after"]})

    ids = [row["id"] for row in (*first["verdicts"], *second["verdicts"])]
    assert ids == [an_id(number) for number in range(5)]
    assert second["after"] == ""
    assert foreign.status == 422


def test_a_plan_is_for_one_region_of_the_policy(api: Service) -> None:
    which = api.ask("POST", "/sweeps", body={"policy": "abroad"})
    beyond = api.ask("POST", "/sweeps", body={"policy": "abroad", "region": "us-east-1"})
    unknown = api.ask("POST", "/sweeps", body={"policy": "nigthly"})

    assert (which.status, beyond.status, unknown.status) == (422, 422, 422)
    assert "eu-central-1, eu-west-1" in which.json["detail"]
    assert '"us-east-1" is not among them' in beyond.json["detail"]
    assert 'no policy "nigthly"' in unknown.json["detail"]
    nowhere = api.ask("POST", "/sweeps", body={"policy": "nightly", "region": "nowhere"})
    assert (nowhere.status, '"nowhere" is not a region' in nowhere.json["detail"]) == (422, True)
    assert planned(api, policy="abroad", region="eu-west-1")["region"] == "eu-west-1"


def test_missing_resource_is_not_found(api: Service) -> None:
    for method, path in (
        ("GET", "/fleets/none"),
        ("PATCH", "/fleets/none"),
        ("DELETE", "/fleets/none"),
        ("GET", "/sweeps/none"),
        ("POST", "/sweeps/none/apply"),
    ):
        body = {"ttl": "1h"} if method == "PATCH" else None
        missing = api.ask(method, path, body=body, caller=ADMINISTRATOR)
        assert (missing.status, missing.kind) == (404, "not-found")
    for method, path in (("GET", "/"), ("PUT", "/fleets"), ("GET", "/fleets/a/b"), ("GET", "//")):
        missing = api.ask(method, path)
        assert (missing.status, missing.kind) == (404, "no-route")


# ------------------------------------------------------------------------------------------------------------ instances


def shown(api: Service, query: Any = "") -> list[str]:
    found = api.ask("GET", "/instances", query=query)
    assert found.status == 200, found.text
    return [one["id"] for one in found.json["instances"]]


def test_instances_are_found_by_state_and_tag_literally(api: Service) -> None:
    api.add(
        an_instance(1, tags={"env": "dev", "list": "a,b"}),
        an_instance(2, tags={"env": "dev*"}),
        an_instance(3, tags={"env": "test", "list": "a"}),
        an_instance(4, tags={"env": "dev"}, state=State.STOPPED),
    )

    assert shown(api) == [an_id(1), an_id(2), an_id(3)]
    assert shown(api, "state=stopped") == [an_id(4)]
    assert shown(api, "state=stopped&state=running&tag=env%3Ddev") == [an_id(1), an_id(4)]
    assert shown(api, "tag=env=dev&tag=env=test") == [an_id(1), an_id(3)]
    assert shown(api, "tag=env=dev&tag=list") == [an_id(1)]
    assert shown(api, {"tag": "list=a,b"}) == [an_id(1)]
    assert shown(api, {"tag": "list=a"}) == [an_id(3)]
    assert shown(api, {"tag": "env=dev*"}) == [an_id(2)]
    assert shown(api, {"tag": "env=d?v"}) == []
    assert shown(api, {"tag": "env="}) == []
    assert shown(api, "region=eu-west-1") == []


def test_instance_lease_comes_from_the_ledger_and_not_from_the_tag(api: Service) -> None:
    ours = api.launch(name=MINE).json["instances"][0]["id"]
    api.add(an_instance(99, tags=dict(api.cloud.instances[ours].tags)))

    found = api.ask("GET", "/instances").json["instances"]

    leased = {one["id"]: (one["fleet"], one["owner"], one["expires_at"]) for one in found}
    assert leased[ours] == (MINE, OWNER, utc_text(NOW + timedelta(hours=8)))
    assert leased[an_id(99)] == ("", "", None)


def test_instances_are_paginated_and_a_token_continues_only_its_query(api: Service) -> None:
    api.add(*(an_instance(number) for number in range(5)))

    first = api.ask("GET", "/instances", query="limit=3").json
    second = api.ask("GET", "/instances", query={"limit": "3", "after": first["after"]}).json
    for changed in ({"state": "stopped"}, {"tag": "env=dev"}, {"region": "eu-west-1"}):
        assert api.ask("GET", "/instances", query={"after": first["after"]} | changed).status == 422

    ids = [one["id"] for one in (*first["instances"], *second["instances"])]
    assert ids == [an_id(number) for number in range(5)]
    assert second["after"] == ""


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("state=dead", "query.state.0"),
        ("state=running,stopped", "query.state.0"),
        ("tag==x", "query.tag.0"),
        ("tag=", "query.tag.0"),
        (f"tag={'k' * 129}", "query.tag.0"),
        ("limit=0", "query.limit"),
        ("limit=1001", "query.limit"),
        ("limit=1e2", "query.limit"),
        ("limit=%201", "query.limit"),
        ("limit=1&limit=2", "query.limit"),
        ("region=-nowhere", "query.region"),
        ("region=", "query.region"),
        ("regoin=eu-west-1", "query.regoin"),
        ("x", "query.x"),
    ],
)
def test_a_wrong_parameter_is_named(api: Service, query: str, where: str) -> None:
    assert list(faults(api.ask("GET", "/instances", query=query))) == [where]


def test_response_too_large_for_lambda_is_refused_with_a_remedy(api: Service) -> None:
    tags = {f"key-{number}": "x" * 256 for number in range(40)}
    api.add(*(an_instance(number, tags=tags) for number in range(600)))

    refused = api.ask("GET", "/instances", query="limit=1000")

    assert (refused.status, refused.kind) == (422, "invalid")
    assert "limit" in refused.json["detail"]
    assert api.ask("GET", "/instances", query="limit=100").status == 200


# --------------------------------------------------------------------------------------------------------------- bodies


def post(api: Service, body: str, **more: Any) -> Reply:
    return api.ask(
        "POST",
        "/fleets",
        body=body,
        headers={"Idempotency-Key": "k"} | more.pop("headers", {}),
        **more,
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "is not JSON"),
        ('{"template": "pair", "template": "pair"}', '"template" appears twice'),
        ('{"template": "pair", "tags": {"a": "1", "a": "2"}}', '"a" appears twice'),
        ('{"template": "pair", "count": NaN}', "NaN, which is not a JSON number"),
        ('{"template": "pair", "count": -Infinity}', "-Infinity, which is not a JSON number"),
        ('{"template": "pair", "count": ' + "9" * 5000 + "}", "too long"),
        ("[" * 30_000, "nested too deeply"),
        ('{"a":' * 10_000, "nested too deeply"),
        ('{"template": "\\ud800"}', "UTF-8"),
        ('[{"template": "pair"}]', "not a JSON object"),
        ('"pair"', "not a JSON object"),
        ("null", "not a JSON object"),
    ],
)
def test_a_body_that_is_not_one_json_object_is_unreadable(
    api: Service, body: str, words: str
) -> None:
    for encoded in (False, True):
        refused = post(api, body, encoded=encoded)
        assert (refused.status, refused.kind) == (400, "unreadable")
        assert words in refused.json["detail"]
    assert api.orders() == []


def test_missing_body_is_reported_as_missing_fields(api: Service) -> None:
    for body in (None, "", " "):
        asked = api.ask("POST", "/fleets", body=body, headers={"Idempotency-Key": "k"})
        assert faults(asked) == {"body.template": "is missing"}


def test_body_may_be_base64_encoded(api: Service) -> None:
    assert post(api, '{"template": "pair"}', encoded=True).status == 201


def test_invalid_base64_body_is_unreadable(api: Service) -> None:
    for body in ("no base64!", "/w=="):
        asked = event("POST", "/fleets", body=body, headers={"Idempotency-Key": "k"})
        assert api.put(asked | {"isBase64Encoded": True}).status == 400


def test_body_over_64_kib_is_refused_before_parsing(api: Service) -> None:
    most = '{"template": "pair"' + " " * (64 * 1024 - 20) + "}"

    assert post(api, most + " ").kind == "too-large"
    assert post(api, most + " ", encoded=True).status == 413
    assert post(api, "{" * 70_000).status == 413
    assert post(api, most).status == 201
    assert api.ask("GET", "/fleets", body="x" * 70_000).status == 413


@pytest.mark.parametrize(
    "said",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "multipart/form-data; boundary=x",
    ],
)
def test_body_without_a_json_content_type_is_refused(api: Service, said: str) -> None:
    refused = post(api, '{"template": "pair"}', headers={"content-type": said})

    assert (refused.status, refused.kind) == (415, "media-type")


def test_content_type_may_name_a_charset(api: Service) -> None:
    said = {"content-type": "Application/JSON; charset=utf-8"}

    assert post(api, '{"template": "pair"}', headers=said).status == 201


def test_a_route_that_takes_no_body_refuses_one(api: Service) -> None:
    api.launch(name=MINE)

    for method, path in (("DELETE", f"/fleets/{MINE}"), ("GET", "/fleets"), ("DELETE", "/pause")):
        asked = api.ask(method, path, body={"dry_run": True}, caller=ADMINISTRATOR)
        assert list(faults(asked)) == ["body"]
        assert api.ask(method, "/pause", body="", caller=ADMINISTRATOR).status == 200
    assert len(running(api)) == 2


# -------------------------------------------------------------------------------------------------------------- trouble


class Canary(Exception):  # noqa: N818
    """An unexpected error."""


def fail_with(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ThrottledError("RequestLimitExceeded"), 503, "throttled"),
        (LedgerError("the table arn:aws:dynamodb:secret does not answer"), 503, "ledger"),
        (QueueError("the queue https://sqs/secret cannot be used"), 503, "queue"),
        (RefusedError("UnauthorizedOperation"), 502, "cloud"),
        (AmbiguousError("no answer"), 502, "cloud"),
        (ProviderError("no"), 502, "cloud"),
        (Canary("secret at /var/task/curfew"), 500, "internal"),
        (ValueError("secret"), 500, "internal"),
        (RecursionError("secret"), 500, "internal"),
    ],
)
def test_upstream_failure_is_reported_as_such(
    api: Service, error: Exception, status: int, kind: str
) -> None:
    api.cloud.page = fail_with(error)  # type: ignore[method-assign]

    answer = api.ask("GET", "/instances")

    assert (answer.status, answer.kind) == (status, kind)
    assert ("Retry-After" in answer.headers) is (status == 503)
    assert "secret" not in answer.text


def test_unexpected_error_is_traced_only_in_the_log(
    api: Service, caplog: pytest.LogCaptureFixture
) -> None:
    api.cloud.page = fail_with(Canary("the canary"))  # type: ignore[method-assign]

    answer = api.ask("GET", "/instances")

    assert "canary" not in answer.text
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    assert answer.json["request_id"] == "JKJaXmPLvHcESHA="
    assert "Canary: the canary" in caplog.text
    assert "Traceback" in caplog.text


def test_internal_error_in_a_sweep_reveals_no_code_location(api: Service) -> None:
    api.cloud.find = fail_with(Canary("the canary"))  # type: ignore[method-assign]
    api.launch(name=MINE)

    plan = planned(api)
    ended = api.ask("DELETE", f"/fleets/{MINE}")

    assert plan["summary"]["status"] == "failed"
    assert "an unexpected error (see the log)" in plan["summary"]["problem"]
    assert ended.status == 502
    for text in (json.dumps(plan), ended.text):
        assert "canary" not in text
        assert ".py" not in text


def test_encoded_authorization_message_is_never_returned(api: Service) -> None:
    denied = RefusedError(
        "You are not authorized. Encoded authorization failure message: aBcD-secret_x"
    )
    api.cloud.launch = fail_with(denied)  # type: ignore[method-assign]
    api.cloud.page = fail_with(denied)  # type: ignore[method-assign]

    for answer in (
        api.launch(name=MINE),
        api.ask("GET", f"/fleets/{MINE}"),
        api.ask("GET", "/instances"),
    ):
        assert "not authorized" in answer.text
        assert "secret" not in answer.text


def test_launch_that_cannot_be_described_still_counts_as_launched(api: Service) -> None:
    launched: list[Instance] = []
    describe = api.cloud.describe

    def once(ids: Any) -> Any:
        if launched:
            raise ThrottledError("patience")
        launched.extend(describe(ids).values())
        return describe(ids)

    api.cloud.describe = once  # type: ignore[method-assign]

    made = api.launch()

    assert made.status == 201
    assert [one["seen"] for one in made.json["instances"]] == [False, False]


def test_response_that_violates_its_schema_is_an_internal_error(api: Service) -> None:
    api.add(replace(an_instance(), zone=None))  # type: ignore[arg-type]

    assert api.ask("GET", "/instances").status == 500


def test_unreachable_ledger_launches_nothing() -> None:
    ledger = MemoryLedger()
    ledger.fleets.recall = fail_with(LedgerError("deaf"))  # type: ignore[method-assign]
    api = Service(ledger=ledger)

    assert api.launch().status == 503
    assert api.orders() == []


def test_every_response_forbids_caching_and_content_sniffing(api: Service) -> None:
    for reply in (
        api.ask("GET", "/fleets"),
        api.ask("GET", "/fleets", caller=""),
        api.ask("GET", "/nowhere"),
        api.ask("GET", "/docs"),
        api.launch(count=-1),
    ):
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "asked", [{}, {"requestContext": None}, {"version": "1.0", "httpMethod": "GET"}]
)
def test_malformed_event_is_answered(asked: dict[str, Any]) -> None:
    api = Service()

    assert api.put(asked).status == 401
    assert Service(local=True).put(asked).status == 500


def test_unusable_deployment_returns_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURFEW_MODE", "act")  # without a table

    answer = http_api.handler(event("GET", "/fleets"), Context())  # type: ignore[arg-type]

    assert answer["statusCode"] == 500
    assert "CURFEW_TABLE" not in answer["body"]


def test_request_log_has_only_the_caller_and_the_result(
    api: Service, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "CANARY-s3cr3t"
    api.ask(
        "POST",
        "/fleets",
        query=f"q={secret}",
        body={"tags": {"t": secret}},
        headers={"Authorization": secret},
    )
    api.launch(tags={"token": secret})

    assert len(caplog.records) >= 2
    assert all(secret not in str(vars(record)) for record in caplog.records)


def test_process_time_zone_is_always_utc(api: Service) -> None:
    made = api.launch(until="2026-03-04T12:00:00.999+09:00").json

    assert made["expires_at"] == "2026-03-04T03:00:00Z"
    assert datetime.fromisoformat(made["created_at"]).utcoffset() == timedelta(0)
