"""Nova's error responses on the wire: each leads to the right outcome in a sweep, and affects nothing else.

The responses are those of a real control plane, which does not give them on demand.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from keystoneauth1.session import TCPKeepAliveAdapter
from requests import PreparedRequest, Response

from curfew.clock import Clock
from curfew.core.errors import (
    AmbiguousError,
    CapacityError,
    ProtectedError,
    RefusedError,
    ThrottledError,
)
from curfew.core.instance import State
from curfew.core.report import Report, Result, Status
from curfew.core.target import Mode, Target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.providers.base import LaunchCall
from curfew.providers.openstack.connection import connected
from curfew.providers.openstack.provider import OpenstackProvider
from curfew.sweep.context import Sweep
from curfew.sweep.executor import run_sweep
from tests.builders import NOW, a_policy
from tests.unit.test_openstack_servers import a_server

HERE = Target(provider="openstack", account="lab", region="RegionOne")
ROOT = "http://127.0.0.1:15000/v3"
NOVA = "http://127.0.0.1:18774/v2.1"
ENTRY = {
    "auth": {
        "auth_url": ROOT,
        "username": "kim",
        "password": "x",
        "project_name": "lab",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
}
CATALOGUE = [
    {
        "type": "compute",
        "name": "nova",
        "endpoints": [
            {"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": NOVA}
        ],
    }
]
ONE, TWO, THREE = (f"0000000{n}-0000-4000-8000-000000000000" for n in (1, 2, 3))


def raw(id_: str, **more: Any) -> dict[str, Any]:
    """Return a server in Nova's format."""
    said = a_server(id=id_) | {
        "locked": False,
        "created": "2026-03-01T08:00:00Z",
        "OS-EXT-STS:task_state": None,
        "OS-SRV-USG:launched_at": "2026-03-01T08:00:04.000000",
        "OS-EXT-AZ:availability_zone": "nova",
    }
    return said | more


class Nova:
    """The part of Keystone and Nova that a sweep calls. The first of ``rules`` with a response answers a request."""

    def __init__(self, *servers: dict[str, Any]) -> None:
        self.servers = {one["id"]: one for one in servers}
        self.rules: list[Callable[[str, str], tuple[int, Any] | None]] = []
        self.roles = ["member"]
        self.tokens = 0
        self.sent: list[tuple[str, str]] = []

    def send(self, request: PreparedRequest) -> Response:
        """Respond in place of the network, below the guard."""
        method, url = str(request.method), urlsplit(str(request.url))
        path = url.path.removeprefix("/v2.1")
        if path == "/v3/auth/tokens":
            self.tokens += 1
            return self._token(request)
        if path in {"/v3", "/v3/"} and method == "GET":
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": ROOT}]}
            return _answer(request, 200, {"version": version})
        if path in {"", "/"}:
            version = {
                "id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1",
                "links": [{"rel": "self", "href": NOVA}],
            }  # fmt: skip
            return _answer(request, 200, {"version": version})
        self.sent.append((method, path))
        for rule in self.rules:
            if (said := rule(method, path + (f"?{url.query}" if url.query else ""))) is not None:
                return _answer(request, *said)
        return _answer(request, *self._ordinary(method, path, url.query))

    def _ordinary(self, method: str, path: str, query: str) -> tuple[int, Any]:
        id_ = path.rpartition("/")[2]
        if path == "/servers/detail":
            status = parse_qs(query).get("status")
            shown = [s for s in self.servers.values() if not status or s["status"] in status]
            return 200, {"servers": shown}
        if id_ not in self.servers:
            return 404, {
                "itemNotFound": {"code": 404, "message": f"Instance {id_} could not be found."}
            }
        if method == "DELETE":
            del self.servers[id_]
            return 204, None
        return 200, {"server": self.servers[id_]}

    def _token(self, request: PreparedRequest) -> Response:
        token = {
            "methods": ["password"], "expires_at": "2999-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00Z",
            "user": {"id": "u", "name": "kim", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p", "name": "lab", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": name, "name": name} for name in self.roles], "catalog": CATALOGUE,
        }  # fmt: skip
        return _answer(
            request, 201, {"token": token}, **{"X-Subject-Token": f"token-{self.tokens}"}
        )

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Return the requests that would change something."""
        return [one for one in self.sent if one[0] != "GET"]


def _answer(request: PreparedRequest, status: int, body: Any, **headers: str) -> Response:
    answer = Response()
    answer.status_code = status
    answer.request, answer.url = request, str(request.url)
    answer.headers.update(
        {"Content-Type": "application/json", "x-openstack-request-id": "req-1", **headers}
    )
    answer._content = b"" if body is None else json.dumps(body).encode()
    return answer


@pytest.fixture
def nova(monkeypatch: pytest.MonkeyPatch) -> Nova:
    made = Nova(raw(ONE), raw(TWO), raw(THREE))
    monkeypatch.setattr(TCPKeepAliveAdapter, "send", lambda _self, request, **_: made.send(request))
    return made


def provider(*, acts: bool = True, **more: Any) -> OpenstackProvider:
    cloud = connected("lab", "RegionOne", acts=acts, entry=ENTRY)
    return OpenstackProvider(target=HERE, cloud=cloud, acts=acts, **more)


def swept(mode: Mode = Mode.ACT, **more: Any) -> Report:
    return run_sweep(
        Sweep(
            id="s-1",
            policy=a_policy(),
            provider=provider(acts=mode is Mode.ACT, **more),
            ledger=MemoryLedger(),
            clock=Clock(
                now=lambda: NOW, sleep=lambda _: None, deadline=NOW + timedelta(minutes=10)
            ),
            timezone=ZoneInfo("UTC"),
        ),
        mode,
    )


def results(report: Report) -> dict[str, Result]:
    return {one.action.instance.id: one.result for one in report.outcomes}


def on(
    method: str, end: str, status: int, body: Any, *, times: int = 99
) -> Callable[[str, str], Any]:
    """Return a rule that responds to the first ``times`` requests of a kind."""
    left = [times]

    def rule(asked: str, path: str) -> tuple[int, Any] | None:
        if asked == method and path.endswith(end) and left[0]:
            left[0] -= 1
            return status, body
        return None

    return rule


CONFLICT = {"conflictingRequest": {"code": 409, "message": f"Instance {TWO} is locked"}}
DENIED = {
    "forbidden": {
        "code": 403,
        "message": "Policy doesn't allow os_compute_api:servers:delete to be performed.",
    }
}
BROKEN = {"computeFault": {"code": 500, "message": "Unexpected API Error."}}
QUOTA = {
    "forbidden": {
        "code": 403,
        "message": "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances",
    }
}
NO_TOKEN = {
    "error": {
        "code": 401,
        "title": "Unauthorized",
        "message": "The request you have made requires auth.",
    }
}


def test_every_server_is_terminated_and_verified(nova: Nova) -> None:
    report = swept()
    assert results(report) == dict.fromkeys((ONE, TWO, THREE), Result.VERIFIED), report
    assert nova.changes == [("DELETE", f"/servers/{id_}") for id_ in (ONE, TWO, THREE)]


def test_server_locked_after_recheck_is_kept_and_the_others_go(nova: Nova) -> None:
    nova.rules.append(on("DELETE", TWO, 409, CONFLICT))
    report = swept()
    assert results(report) == {ONE: Result.VERIFIED, TWO: Result.KEPT, THREE: Result.VERIFIED}
    assert "is locked" in next(o.detail for o in report.outcomes if o.action.instance.id == TWO)
    assert list(nova.servers) == [TWO]


def test_forbidden_action_is_reported_once_and_stops_the_run(nova: Nova) -> None:
    for id_ in (ONE, TWO, THREE):
        nova.rules.append(on("DELETE", id_, 403, DENIED))
    report = swept()
    assert results(report) == {
        ONE: Result.FAILED,
        TWO: Result.NOT_ATTEMPTED,
        THREE: Result.NOT_ATTEMPTED,
    }
    assert "403: Policy doesn't allow" in report.problem
    assert "req-1" in report.problem
    assert len(nova.changes) == 1
    assert len(nova.servers) == 3


def pages(*, last: tuple[int, Any]) -> Callable[[str, str], Any]:
    """Return a rule with a first page that has a link, and the response to that link."""
    link = {"rel": "next", "href": f"{NOVA}/servers/detail?marker={TWO}"}

    def rule(method: str, path: str) -> tuple[int, Any] | None:
        if not path.startswith("/servers/detail"):
            return None
        return (
            last if "marker=" in path else (200, {"servers": [raw(TWO)], "servers_links": [link]})
        )

    return rule


def test_failed_page_makes_the_listing_incomplete_and_terminates_nothing(nova: Nova) -> None:
    nova.rules.append(pages(last=(500, BROKEN)))
    report = swept()
    assert report.status is Status.INCOMPLETE
    assert "failed after 1 servers: 500" in report.problem
    assert nova.changes == []


def test_every_page_is_followed(nova: Nova) -> None:
    nova.rules.append(pages(last=(200, {"servers": [raw(ONE), raw(THREE)]})))
    found = [i.id for i in provider().find(a_policy().selector, narrow=False)]
    assert found == [TWO, ONE, THREE]
    assert len(nova.sent) == 2  # and Curfew guesses no further page


def test_a_token_that_expires_midway_is_renewed_and_nothing_is_done_twice(nova: Nova) -> None:
    nova.rules.append(on("DELETE", TWO, 401, NO_TOKEN, times=1))
    report = swept()
    assert results(report) == dict.fromkeys((ONE, TWO, THREE), Result.VERIFIED)
    assert nova.tokens == 2
    assert [path for _, path in nova.changes].count(f"/servers/{TWO}") == 2  # one refused, one done


def test_a_token_that_cannot_be_renewed_stops_the_sweep(nova: Nova) -> None:
    nova.rules += [on("GET", f"/servers/{TWO}", 401, NO_TOKEN), on("DELETE", TWO, 401, NO_TOKEN)]
    report = swept()
    assert report.failed
    assert Result.VERIFIED not in {r for id_, r in results(report).items() if id_ != ONE}
    assert {TWO, THREE} <= set(nova.servers)


def test_500_to_a_call_is_resolved_by_describing(nova: Nova) -> None:
    nova.rules.append(on("DELETE", TWO, 500, BROKEN, times=1))
    report = swept()
    assert results(report) == dict.fromkeys((ONE, TWO, THREE), Result.VERIFIED)


def test_server_in_deletion_is_not_verified_before_it_is_gone(nova: Nova) -> None:
    nova.servers = {ONE: raw(ONE)}

    def never_ends(method: str, path: str) -> tuple[int, Any] | None:
        if method != "DELETE":
            return None
        nova.servers[ONE]["OS-EXT-STS:task_state"] = "deleting"
        return 204, None

    nova.rules.append(never_ends)
    report = swept()
    assert results(report) == {ONE: Result.ACCEPTED}
    assert len(nova.changes) == 1


def test_administrator_acts_only_where_configured(nova: Nova) -> None:
    nova.roles = ["member", "admin"]
    report = swept()
    assert Result.VERIFIED not in results(report).values()
    assert "act_as_administrator" in report.problem
    assert nova.changes == []
    assert set(results(swept(administrator_may=True)).values()) == {Result.VERIFIED}


def test_report_mode_has_no_acting_client_and_the_guard_blocks_calls(nova: Nova) -> None:
    assert swept(Mode.REPORT).status is Status.COMPLETED
    looking = provider(acts=False)
    with pytest.raises(RefusedError, match="report mode"):
        looking.terminate([ONE], by="test")
    with pytest.raises(RefusedError, match=r"DELETE /v2.1/servers/.* in report mode"):
        looking._compute.delete_server(ONE)
    assert nova.changes == []


@pytest.mark.parametrize(
    "action", ["lock_server", "unlock_server", "reboot_server", "suspend_server"]
)
def test_call_outside_the_allow_list_is_not_sent(nova: Nova, action: str) -> None:
    more = {"reboot_type": "HARD"} if action == "reboot_server" else {}
    with pytest.raises(RefusedError, match="not among the allowed requests"):
        getattr(provider()._compute, action)(ONE, **more)
    assert nova.changes == []


def test_a_force_or_two_actions_at_once_are_not_sent(nova: Nova) -> None:
    bodies: list[Any] = [{"forceDelete": None}, {"os-stop": None, "unlock": None}, [], None]
    for body in bodies:
        with pytest.raises(RefusedError):
            provider()._compute.post(f"/servers/{ONE}/action", json=body)
    assert nova.changes == []


LAUNCH = LaunchCall(image="i", instance_type="m1", count=2, tags={"env": "dev"}, token="t" * 64)
FLAVOUR = {"flavor": {"id": "1", "name": "m1"}}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, QUOTA, RefusedError),
        (403, DENIED, RefusedError),
        (429, {"overLimit": {"code": 429, "message": "slow down"}}, ThrottledError),
        (500, BROKEN, AmbiguousError),
        (503, BROKEN, AmbiguousError),
        (
            500,
            {"computeFault": {"code": 500, "message": "No valid host was found. "}},
            CapacityError,
        ),
    ],
)
def test_launch_refusal_maps_to_its_error_class(
    nova: Nova, status: int, body: Any, error: type[Exception]
) -> None:
    nova.servers = {}
    nova.rules += [on("GET", "/flavors/m1", 200, FLAVOUR), on("POST", "/servers", status, body)]
    with pytest.raises(error) as refused:
        provider().launch(LAUNCH, by="test")
    assert type(refused.value) is error
    assert len(nova.changes) == 1


def test_launch_without_visible_servers_is_ambiguous(nova: Nova) -> None:
    nova.servers = {}
    nova.rules += [
        on("GET", "/flavors/m1", 200, FLAVOUR),
        on("POST", "/servers", 202, {"server": {"id": ONE}}),
    ]
    with pytest.raises(AmbiguousError):
        provider().launch(LAUNCH, by="test")


def test_server_with_the_token_is_not_launched_again(nova: Nova) -> None:
    nova.servers = {ONE: raw(ONE, tags=["env=dev", f"curfew:token={'t' * 40}"]), TWO: raw(TWO)}
    (launched,) = provider().launch(LAUNCH, by="test")
    assert (launched.id, launched.state) == (ONE, State.RUNNING)
    assert nova.changes == []


def test_locked_server_gets_no_delete_call(nova: Nova) -> None:
    nova.servers[ONE]["locked"] = True
    with pytest.raises(ProtectedError):
        provider(administrator_may=True).terminate([ONE], by="test")
    assert nova.changes == []
