"""Send every file in events/ through its real handler, on moto."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import EndpointConnectionError

from curfew import bootstrap
from curfew.core.errors import ConfigError, RequestError, StaleTriggerError, SweepFailedError
from curfew.handlers.sweep import handler
from curfew.ledger.records import Pause
from demo import world
from demo.__main__ import Context
from tests.demo_world import demo_world

EVENTS = Path(__file__).parents[2] / "events"
# Other tests cover the requests of the HTTP API, fleets_*.json, and the launches.
SWEEPS = sorted(
    path.name for path in EVENTS.iterdir() if not path.name.startswith(("fleets_", "launch_"))
)
NIGHTLY = "nightly.json"

# The result of each event: the number of terminated instances, or the error and a text in it.
EXPECTED: dict[str, int | tuple[type[Exception], str]] = {
    "nightly.json": 5,
    "nightly_report.json": 0,
    "nightly_regions.json": 5,
    "nightly_scheduled.json": (StaleTriggerError, "2026-03-04T01:00:00"),
    "nightly_invalid_policy.json": (RequestError, 'no policy "nigthly"'),
    "nightly_invalid_key.json": (RequestError, 'region is an unknown key; did you mean "regions"'),
    "nightly_invalid_region.json": (RequestError, '"eu-atlantis-1"'),
    "leases.json": 2,
    "tick.json": 2,  # by the leases; at night the nightly policy terminates the same two and three more
}


@pytest.fixture(scope="module")
def ensure_fleets() -> Iterator[Callable[[], None]]:
    with demo_world() as ensure:
        yield ensure


@pytest.fixture
def cloud(ensure_fleets: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide the demo's fleets and a stack in act mode."""
    ensure_fleets()
    monkeypatch.setenv("CURFEW_MODE", "act")
    monkeypatch.setenv("CURFEW_TABLE", world.TABLE)


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / name).read_text())
    return loaded


def states() -> dict[str, str]:
    pages = boto3.client("ec2", world.REGION).get_paginator("describe_instances").paginate()
    return {
        instance["InstanceId"]: instance["State"]["Name"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }


def gone(before: dict[str, str]) -> set[str]:
    now = states()
    return {id_ for id_ in before if before[id_] != now[id_]}


def is_night() -> bool:
    app = bootstrap.app()
    nightly = next(one for one in app.policies.schedules() if one.name == "nightly")
    return nightly.latest(app.policies.timezone, app.now()) is not None


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("name", SWEEPS)
def test_every_event_leads_to_what_it_should(name: str) -> None:
    before = states()
    expected = EXPECTED[name]

    if isinstance(expected, int):
        if name == "tick.json" and is_night():
            expected = EXPECTED["nightly.json"]
        handler(event(name), Context())
        assert len(gone(before)) == expected
    else:
        error, words = expected
        with pytest.raises(error, match=words):
            handler(event(name), Context())
        assert gone(before) == set()


@pytest.mark.usefixtures("cloud")
def test_scheduled_event_is_swept_once_however_often_it_is_delivered() -> None:
    before = states()
    punctual = event("nightly_scheduled.json") | {"scheduled_at": datetime.now(UTC).isoformat()}  # noqa: TID251

    first = handler(punctual, Context())
    second = handler(punctual, Context())

    assert first["sweeps"][0]["status"] == "completed"
    assert second["sweeps"][0]["status"] == "duplicate"
    assert len(gone(before)) == 5


@pytest.mark.usefixtures("cloud")
def test_without_a_mode_a_stack_only_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CURFEW_MODE")
    before = states()

    answer = handler(event(NIGHTLY), Context())

    assert answer["sweeps"][0]["mode"] == "report"
    assert answer["sweeps"][0]["actions"] == 5
    assert gone(before) == set()
    with pytest.raises(RequestError, match="report mode"):
        handler(event(NIGHTLY) | {"mode": "act"}, Context())


@pytest.mark.usefixtures("cloud")
def test_acting_without_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CURFEW_TABLE")
    before = states()

    with pytest.raises(ConfigError, match="CURFEW_TABLE"):
        handler(event(NIGHTLY), Context())

    assert gone(before) == set()


@pytest.mark.usefixtures("cloud")
def test_missing_table_fails_the_invocation_and_terminates_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CURFEW_TABLE", "elsewhere")
    before = states()

    with pytest.raises(SweepFailedError, match='"elsewhere"'):
        handler(event(NIGHTLY), Context())

    assert gone(before) == set()


@pytest.mark.usefixtures("cloud")
def test_a_broken_policy_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "curfew.yaml"
    broken.write_text("policies:\n  nightly:\n    selects: {}\n    action: terminate\n")
    monkeypatch.setenv("CURFEW_POLICIES", str(broken))
    before = states()

    with pytest.raises(ConfigError, match=r'curfew.yaml:3: .*selects .*did you mean "select"'):
        handler(event(NIGHTLY), Context())

    assert gone(before) == set()


@pytest.mark.usefixtures("cloud")
def test_paused_invocation_succeeds_and_terminates_nothing() -> None:
    app = bootstrap.app()
    app.ledger.pause(Pause(since=app.now(), by="kim", reason="exam"))
    before = states()

    answer = handler(event(NIGHTLY), Context())

    assert answer["sweeps"][0]["status"] == "paused"
    assert gone(before) == set()


@pytest.mark.usefixtures("cloud")
def test_invocation_nearly_out_of_time_does_nothing_and_fails() -> None:
    class Hurried(Context):
        @staticmethod
        def get_remaining_time_in_millis() -> int:
            return int(timedelta(seconds=20).total_seconds() * 1_000)

    before = states()
    context: LambdaContext = Hurried()

    with pytest.raises(SweepFailedError, match="5 not attempted"):
        handler(event(NIGHTLY), context)

    assert gone(before) == set()


@pytest.mark.usefixtures("cloud")
def test_one_region_that_fails_changes_nothing_in_another() -> None:
    before = states()
    app = bootstrap.app()
    broken = app.provider("eu-west-1")

    client = broken._read  # type: ignore[attr-defined]
    client.meta.events.register("before-send.ec2.DescribeInstances", _refuse)

    with pytest.raises(
        SweepFailedError, match="nightly in 123456789012 eu-west-1, act mode: incomplete"
    ):
        handler(event("nightly_regions.json") | {"regions": ["eu-west-1", world.REGION]}, Context())

    assert len(gone(before)) == 5


def _refuse(**_: object) -> None:
    raise EndpointConnectionError(endpoint_url="https://ec2.eu-west-1")
