"""The response of every route to every caller. A refused caller changes nothing."""

import json
from typing import Any

import pytest

from curfew.config.settings import Settings
from curfew.core.access import Caller
from curfew.handlers.http.authentication import caller_of
from curfew.handlers.http_api import api as resolver
from tests.builders import an_instance
from tests.http import ADMINISTRATOR, OWNER, STRANGER, Service, event
from tests.template.reading import ROOT, Template

CALLERS = {"none": "", "stranger": STRANGER, "owner": OWNER, "administrator": ADMINISTRATOR}
BODIES: dict[str, Any] = {
    "POST /fleets": {"template": "pair"},
    "PATCH /fleets/{name}": {"ttl": "1h"},
    "POST /sweeps": {"policy": "nightly"},
    "PUT /pause": {"reason": "exam"},
}
# The status for an unauthenticated caller, a stranger, the owner of the fleet and the plan, and an administrator.
EXPECTED = {
    "GET /instances": (401, 200, 200, 200),
    "POST /fleets": (401, 201, 201, 201),
    "GET /fleets": (401, 200, 200, 200),
    "GET /fleets/{name}": (401, 200, 200, 200),
    "PATCH /fleets/{name}": (401, 403, 200, 200),
    "DELETE /fleets/{name}": (401, 403, 200, 200),
    "POST /sweeps": (401, 201, 201, 201),
    "GET /sweeps/{id}": (401, 200, 200, 200),
    "POST /sweeps/{id}/apply": (401, 403, 403, 200),
    "GET /pause": (401, 200, 200, 200),
    "PUT /pause": (401, 403, 403, 200),
    "DELETE /pause": (401, 403, 403, 200),
    "GET /docs": (401, 200, 200, 200),
}
CELLS = [
    (route, caller, status)
    for route, statuses in EXPECTED.items()
    for caller, status in zip(CALLERS, statuses, strict=True)
]


def seeded() -> tuple[Service, str]:
    """Return a service with the owner's fleet and plan, and the id of the plan."""
    api = Service()
    api.add(an_instance())
    api.launch(name="mine")
    plan = api.ask("POST", "/sweeps", body={"policy": "nightly"}).json["id"]
    return api, plan


def ask(api: Service, plan: str, route: str, caller: str, **more: Any) -> int:
    method, path = route.split()
    path = path.replace("{name}", "mine").replace("{id}", plan)
    headers = {"Idempotency-Key": "other"} if route == "POST /fleets" else {}
    body = BODIES.get(route)
    return api.ask(method, path, body=body, headers=headers, caller=caller, **more).status


def trace(api: Service, plan: str) -> list[Any]:
    """Return everything in the clouds and the ledger that a request can change."""
    ledger = api.ledger
    fleets = ledger.fleets.page(limit=1_000, ended=True).items
    target = api.cloud.target
    return [
        [list(cloud.calls) for cloud in api.clouds.values()],
        [dict(cloud.instances) for cloud in api.clouds.values()],
        fleets,
        [ledger.fleets.attempts(fleet.launch_id) for fleet in fleets],
        [ledger.fleets.members(fleet.launch_id) for fleet in fleets],
        list(ledger.entries(target)),
        ledger.paused(),
        ledger.plans.get(plan),
        ledger.watermark(target, "nightly"),
        list(api.enqueued),
    ]


def test_the_routes_are_those_of_the_template_the_document_and_this_table() -> None:
    template = Template.read(ROOT / "template.yaml").of_type("AWS::ApiGatewayV2::Route")
    document = json.loads((ROOT / "docs/openapi.json").read_text("utf-8"))
    routes = {
        f"{route.method} {route.openapi_path}"
        for route in resolver._static_routes + resolver._dynamic_routes
    }

    assert routes == set(EXPECTED)
    assert routes == {route["RouteKey"] for route in template.values()}
    assert routes == {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }


@pytest.mark.parametrize(("route", "caller", "status"), CELLS)
def test_every_route_by_every_caller(route: str, caller: str, status: int) -> None:
    api, plan = seeded()
    before = trace(api, plan)

    assert ask(api, plan, route, CALLERS[caller]) == status

    if status in {401, 403} or route.startswith("GET "):
        assert trace(api, plan) == before
    else:
        changes_nothing = route in {"DELETE /pause", "POST /sweeps"}  # it is not thrown; a plan
        assert (trace(api, plan) == before) is changes_nothing


@pytest.mark.parametrize("route", sorted(EXPECTED))
def test_request_cannot_authenticate_itself_by_its_contents(route: str) -> None:
    api, plan = seeded()
    before = trace(api, plan)
    method, path = route.split()
    asked = event(
        method,
        path.replace("{name}", "mine").replace("{id}", plan),
        body=BODIES.get(route),
        headers={
            "Idempotency-Key": "other",
            "Authorization": f"Bearer {ADMINISTRATOR}",
            "X-Amzn-Iam-User-Arn": ADMINISTRATOR,
            "X-Forwarded-User": ADMINISTRATOR,
        },
        caller="",
    )
    asked["requestContext"]["identity"] = {"userArn": ADMINISTRATOR}  # the format of a REST API

    assert api.put(asked).status == 401
    assert trace(api, plan) == before


def test_stranger_cannot_distinguish_a_missing_plan_from_a_hidden_one() -> None:
    """Only administrators learn whether a plan exists; others get the same response in both cases."""
    api, plan = seeded()

    for path in (f"/sweeps/{plan}/apply", "/sweeps/none/apply"):
        assert api.ask("POST", path, caller=STRANGER).status == 403


# ----------------------------------------------------------------------------------------------------------- who it is

ISSUER = "https://id.example.com"
ROLE = "arn:aws:iam::123456789012:role/team/Operations"


def known(authorizer: Any, *administrators: str, local: bool = False) -> Caller | None:
    settings = Settings(administrators=frozenset(administrators), local=local)
    return caller_of({"requestContext": {"authorizer": authorizer}}, settings)


def jwt(**claims: Any) -> dict[str, Any]:
    return {"jwt": {"claims": claims, "scopes": None}}


def test_iam_principal_is_identified_by_its_arn() -> None:
    assert known({"iam": {"userArn": OWNER}}) == Caller(id=OWNER)
    assert known({"iam": {"userArn": ADMINISTRATOR}}, ROLE) == Caller(
        id=ADMINISTRATOR, administrator=True
    )


def test_token_is_identified_by_issuer_and_subject() -> None:
    assert known(jwt(iss=ISSUER, sub="kim")) == Caller(id=f"{ISSUER}#kim")
    for named in ("kim", f"{ISSUER}#kim"):
        caller = known(jwt(iss=ISSUER, sub="kim"), named)
        assert caller == Caller(id=f"{ISSUER}#kim", administrator=True)
    other = known(jwt(iss="https://other.example.com", sub="kim"), f"{ISSUER}#kim")
    assert other == Caller(id="https://other.example.com#kim")


def test_token_subject_never_passes_for_an_iam_principal() -> None:
    for subject in (ADMINISTRATOR, ROLE):
        caller = known(jwt(iss=ISSUER, sub=subject), ADMINISTRATOR, ROLE)
        assert caller == Caller(id=f"{ISSUER}#{subject}", administrator=False)


@pytest.mark.parametrize(
    "authorizer",
    [
        None,
        {},
        [],
        "kim",
        {"iam": None},
        {"iam": {}},
        {"iam": {"userArn": ""}},
        {"iam": {"userArn": None}},
        {"iam": {"userArn": ["x"]}},
        {"iam": {"accountId": "123456789012"}},
        {"jwt": None},
        {"jwt": {"claims": None}},
        {"jwt": {"claims": {"sub": "kim"}}},
        {"jwt": {"claims": {"iss": ISSUER}}},
        {"jwt": {"claims": {"iss": ISSUER, "sub": 7}}},
        {"lambda": {"sub": "kim"}},
    ],
)
def test_unauthenticated_request_has_no_caller(authorizer: Any) -> None:
    assert known(authorizer, ADMINISTRATOR) is None


def test_unauthenticated_request_has_a_caller_only_under_sam_local() -> None:
    assert known(None, local=True) == Caller(id="local", administrator=True)
    assert known({"iam": {"userArn": OWNER}}, local=True) == Caller(id=OWNER)
    assert caller_of({}, Settings()) is None
