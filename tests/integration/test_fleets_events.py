"""Send every file ``events/fleets_*.json`` through the real handler, with a service that has the named resources."""

import json
from pathlib import Path
from typing import Any

import pytest

from curfew.config import policy_file
from curfew.config.settings import SHIPPED_POLICIES
from curfew.ledger.records import StoredPlan
from curfew.orchestration.plans import make_plan
from tests.builders import NOW, an_instance
from tests.http import ADMINISTRATOR, OWNER, Reply, Service
from tests.template.reading import ROOT, Template

EVENTS = sorted((ROOT / "events").glob("fleets_*.json"), key=lambda path: path.name)
PLAN = "20260304T020000Z-0a1b2c3d"
# The status of each response, and a part of it.
EXPECTED: dict[str, tuple[int, str]] = {
    "fleets_docs.json": (200, '"openapi"'),
    "fleets_get.json": (200, '"phase":"launched"'),
    "fleets_instances.json": (200, '"instances":[{'),
    "fleets_launch.json": (201, '"phase":"launched"'),
    "fleets_launch_invalid.json": (422, "body.image"),
    "fleets_list.json": (200, '"fleets":[{'),
    "fleets_pause.json": (200, '"paused":true'),
    "fleets_pause_show.json": (200, '"paused":false'),
    "fleets_plan.json": (201, '"phase":"planned"'),
    "fleets_plan_apply.json": (200, '"outcome":"verified"'),
    "fleets_plan_show.json": (200, '"outcome":"planned"'),
    "fleets_renew.json": (200, '"expires_at":"2026-03-05T02:00:00Z"'),
    "fleets_resume.json": (200, '"paused":false'),
    "fleets_terminate.json": (200, '"verified":2'),
}


def seeded(*, launched: bool) -> Service:
    """Return a service with the shipped policies, a plan, and the tutorial's fleet."""
    api = Service(file=policy_file.load(SHIPPED_POLICIES))
    api.add(an_instance(50), an_instance(51, tags={"env": "dev", "owner": "kim"}))
    app = api.app
    record = StoredPlan(
        id=PLAN,
        policy="nightly",
        policy_version=api.file.version,
        target=api.cloud.target,
        asked_by=OWNER,
        made_at=NOW,
        expires_at=NOW,
    )
    api.ledger.plans.open(record)
    make_plan(app, record, deadline=None)
    if launched:
        api.put(event("fleets_launch.json"))
    return api


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / name).read_text("utf-8"))
    return found


def put(path: Path) -> Reply:
    return seeded(launched="launch" not in path.name).put(event(path.name))


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.name)
def test_every_event_leads_to_what_it_should(path: Path) -> None:
    status, words = EXPECTED[path.name]

    answer = put(path)

    assert answer.status == status, answer.text
    assert words in answer.text


def test_there_is_an_event_for_every_route() -> None:
    routes = Template.read(ROOT / "template.yaml").of_type("AWS::ApiGatewayV2::Route").values()

    assert {event(path.name)["routeKey"] for path in EVENTS} == {
        route["RouteKey"] for route in routes
    }


def test_only_administrators_use_the_pause_switch_in_the_events() -> None:
    callers = {
        path.name: event(path.name)["requestContext"]["authorizer"]["iam"]["userArn"]
        for path in EVENTS
    }

    assert {name for name, caller in callers.items() if caller == ADMINISTRATOR} == {
        "fleets_pause.json",
        "fleets_plan_apply.json",
        "fleets_resume.json",
    }
