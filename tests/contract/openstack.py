"""OpenStack for the contract tests: recorded responses of a control plane, or a real one.

A recording has no token, no password and no address except loopback. ``--openstack record`` records again, from the
control plane of `make openstack`; ``--openstack live`` runs the tests on it without recordings.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack
import pytest
import vcr  # type: ignore[import-untyped]  # it has no types
import yaml
from openstack.exceptions import HttpException

from curfew.core.target import Target
from curfew.providers.openstack.connection import connected
from curfew.providers.openstack.provider import OpenstackProvider
from curfew.providers.openstack.tags import written

RECORDINGS = Path(__file__).parent / "recordings"
CLOUDS = Path("/tmp/openstack/conf/clouds.yaml")  # noqa: S108  the path in up.sh
TARGET = Target(provider="openstack", account="demo", region="RegionOne")
ENTRY: dict[str, Any] = {
    "auth": {
        "auth_url": "http://127.0.0.1:15000/v3",
        "username": "demo",
        "password": "none",
        "project_name": "demo",
        "user_domain_id": "default",
        "project_domain_id": "default",
    },
    "interface": "public",
    "identity_api_version": "3",
}
KEPT = frozenset(
    {"content-type", "x-openstack-request-id", "openstack-api-version", "x-subject-token"}
)
ROOM = 60  # servers: the longest test has 23


@dataclass(frozen=True, slots=True)
class Openstack:
    """The cloud, with the operations that a user would do by hand."""

    provider: OpenstackProvider
    cloud: Any
    image: str
    real: bool

    def put(self, tags: Mapping[str, str]) -> str:
        """Create a running server, and return its id."""
        texts, metadata = written({k: v for k, v in tags.items() if k != "Name"})
        server = self.cloud.compute.create_server(
            name=tags.get("Name", "unnamed"),
            image_id=self.image,
            flavor_id=self.cloud.compute.find_flavor("t1.tiny").id,
            networks="none",
            tags=texts,
            metadata=metadata,
        )
        self._until_still(str(server.id))
        return str(server.id)

    def lock(self, id_: str) -> None:
        self.cloud.compute.lock_server(id_)

    def settle(self) -> None:
        for server in list(self.cloud.compute.servers(details=True)):
            self._until_still(str(server.id))

    def _until_still(self, id_: str) -> None:
        while (seen := self.cloud.compute.get_server(id_)).task_state or seen.status == "BUILD":
            time.sleep(0.5 if self.real else 0)


@contextmanager
def recorded(request: pytest.FixtureRequest) -> Iterator[Openstack]:
    """Yield an empty project for one test."""
    how = request.config.getoption("--openstack")
    entry = ENTRY
    if how != "replay":
        entry = yaml.safe_load(CLOUDS.read_text())["clouds"]["demo"]
        _emptied()
    with nullcontext() if how == "live" else _cassette(request.node.nodeid, how):
        cloud = connected("demo", TARGET.region, acts=True, entry=entry)
        hand: Any = _connected(entry)
        provider = OpenstackProvider(target=TARGET, cloud=cloud, acts=True)
        yield Openstack(provider, hand, str(hand.image.find_image("tiny").id), how != "replay")
    if how != "replay":
        _emptied().delete_compute_quotas("demo")  # back to Nova's defaults


def _connected(entry: Mapping[str, Any]) -> Any:
    more: dict[str, Any] = {"compute_default_microversion": "2.79", **entry}
    return openstack.connect(load_yaml_config=False, load_envvars=False, **more)


def _emptied() -> Any:
    """Delete all servers of the project and raise its quota. Return the administrator's connection."""
    clouds = yaml.safe_load(CLOUDS.read_text())["clouds"]
    admin, demo = _connected(clouds["admin"]), _connected(clouds["demo"])
    admin.set_compute_quotas("demo", instances=ROOM, cores=ROOM)
    while there := list(demo.compute.servers()):
        for server in there:
            with suppress(HttpException):  # deleted since the listing: 404, or 500 at that moment
                demo.compute.unlock_server(server)
                demo.compute.delete_server(server)
        time.sleep(0.5)
    return admin


def _cassette(node: str, how: str) -> Any:
    name = re.sub(r"\W+", "-", node.rpartition("::")[2].replace("openstack", "")).strip("-")
    path = RECORDINGS / f"{name}.json"
    if how == "record":
        path.unlink(missing_ok=True)
    elif not path.exists():
        pytest.fail(f"{path.name} is not there: record it with --openstack record")
    recorder = vcr.VCR(
        serializer="json",
        record_mode="all" if how == "record" else "none",
        match_on=["method", "scheme", "host", "port", "path", "query", "body"],
        before_record_request=_request,
        before_record_response=_response,
    )
    return recorder.use_cassette(str(path))


def _request(request: Any) -> Any:
    request.headers = {}
    if request.path.endswith("/auth/tokens"):
        request.body = b"{}"  # a password
    elif request.body:  # the SDK sends the keys in random order
        request.body = json.dumps(json.loads(request.body), sort_keys=True).encode()
    return request


def _response(response: Any) -> Any:
    headers = {k: v for k, v in response["headers"].items() if k.lower() in KEPT}
    body = response["body"]["string"]
    if "X-Subject-Token" in headers:
        headers["X-Subject-Token"] = ["token"]
        said = json.loads(body)
        said["token"]["expires_at"] = "2999-01-01T00:00:00.000000Z"
        body = json.dumps(said).encode()
    return {**response, "headers": headers, "body": {"string": body}}
