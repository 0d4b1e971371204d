"""The life of the tutorial's pair over HTTP: what a person types after `make local` and `sam local start-api`."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.sam_local.test_sam_local import (
    ENVIRONMENT,
    ROOT,
    SILENT,
    TOOLS,
    Sandbox,
    alone,
    docker,
    sandbox,
)

pytestmark = pytest.mark.e2e

__all__ = ["alone", "docker", "sandbox"]  # fixtures

PORT = 3000  # sam's own
PAIR = {"template": "t2-pair", "name": "lab", "ttl": "2h"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Api:
    """The API as curl sees it."""

    log: Path

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = self._call(method, path, body, headers)
        if answer.status == HTTPStatus.BAD_GATEWAY and SILENT in self.log.read_text():
            return self._call(method, path, body, headers)
        return answer

    def _call(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        connection = HTTPConnection("127.0.0.1", PORT, timeout=120)
        sent = {"content-type": "application/json", **headers}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        response = connection.getresponse()
        text = response.read().decode()
        kind = response.headers.get("content-type", "")
        content = json.loads(text) if "json" in kind else text
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, content)

    def launch(self, key: str, **more: Any) -> Answer:
        return self.call("POST", "/fleets", PAIR | more, **{"Idempotency-Key": key})


@pytest.fixture
def api(sandbox: Sandbox, tmp_path: Path) -> Iterator[Api]:
    """`sam local start-api`, exactly as it is typed, against a fresh sandbox."""
    log = tmp_path / "start-api.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            ["sam", "local", "start-api"],
            cwd=ROOT,
            env=ENVIRONMENT | {"PATH": f"{TOOLS}:{ENVIRONMENT['PATH']}"},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 120
        while "Running on http" not in log.read_text():
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"sam local start-api did not get ready:\n{log.read_text()}")
            time.sleep(0.2)
        yield Api(log)
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_the_pair_lives_from_its_launch_to_its_end(api: Api, sandbox: Sandbox) -> None:
    launched = api.launch("lab-1")
    assert launched.status == 201, (launched.body, api.log.read_text())
    assert launched.body["phase"] == "launched"
    pair = {instance["id"] for instance in launched.body["instances"]}
    assert len(pair) == 2
    assert sandbox.leased("lab") == pair

    again = api.launch("lab-1")
    assert again.status == 200
    assert again.body["launch_id"] == launched.body["launch_id"]
    assert sandbox.leased("lab") == pair

    other = api.launch("lab-1", name="lab-2")
    assert other.status == 422
    assert sandbox.leased("lab-2") == set()

    listed = api.call("GET", f"/instances?state=running&tag={quote('curfew:fleet=lab')}")
    assert {instance["id"] for instance in listed.body["instances"]} == pair
    assert {instance["expires_at"] for instance in listed.body["instances"]} == {
        launched.body["expires_at"]
    }
    assert "lab" in {fleet["name"] for fleet in api.call("GET", "/fleets").body["fleets"]}

    renewed = api.call("PATCH", "/fleets/lab", {"ttl": "5h"})
    assert renewed.status == 200, renewed.body
    assert renewed.body["expires_at"] > launched.body["expires_at"]
    tags = {
        tag["Value"]
        for id_ in pair
        for tag in sandbox.instances()[id_]["Tags"]
        if tag["Key"] == "curfew:lease"
    }
    assert tags == {renewed.body["expires_at"]}
    assert api.call("PATCH", "/fleets/lab", {"ttl": "9w"}).status == 422

    before = sandbox.states()
    ended = api.call("DELETE", "/fleets/lab")
    assert ended.status == 200, ended.body
    assert sandbox.states() == before | dict.fromkeys(pair, "terminated")
    assert api.call("GET", "/fleets/lab").body["ended_at"]


def test_a_plan_is_made_read_and_applied(api: Api, sandbox: Sandbox) -> None:
    before, doomed = sandbox.states(), sandbox.doomed()

    made = api.call("POST", "/sweeps", {"policy": "nightly"})
    assert made.status == 201, (made.body, api.log.read_text())
    assert sandbox.states() == before
    read = api.call("GET", made.headers["location"])
    assert read.body["hash"] == made.body["hash"]

    applied = api.call("POST", f"/sweeps/{made.body['id']}/apply")
    assert applied.status == 200, applied.body
    assert sandbox.states() == before | dict.fromkeys(doomed, "terminated")
    assert api.call("POST", f"/sweeps/{made.body['id']}/apply").status == 409


def test_while_paused_nothing_is_ended(api: Api, sandbox: Sandbox) -> None:
    made = api.call("POST", "/sweeps", {"policy": "nightly"})
    assert api.call("PUT", "/pause", {"reason": "exam"}).status == 200
    before = sandbox.states()

    refused = api.call("POST", f"/sweeps/{made.body['id']}/apply")

    assert refused.status == 409
    assert "exam" in refused.body["detail"]
    assert sandbox.states() == before
    assert api.call("DELETE", "/pause").status == 200
    assert api.call("POST", f"/sweeps/{made.body['id']}/apply").status == 200


def test_the_page_of_the_api_is_served(api: Api) -> None:
    page = api.call("GET", "/docs")

    assert page.status == 200
    assert "text/html" in page.headers["content-type"]
    assert "Curfew" in page.body
