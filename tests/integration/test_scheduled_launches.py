"""Send every launch in events/ through its real handler, on moto."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from curfew import bootstrap
from curfew.config.settings import SHIPPED_POLICIES
from curfew.core.errors import (
    ConfigError,
    ConflictError,
    LaunchFailedError,
    RequestError,
    StaleTriggerError,
)
from curfew.handlers.launch import handler, spec_of
from curfew.schemas.messages import LaunchRequest
from demo import world
from demo.__main__ import Context

EVENTS = Path(__file__).parents[2] / "events"
MORNING = "launch_morning.json"
EXPECTED: dict[str, int | tuple[type[Exception], str]] = {
    MORNING: 2,
    "launch_scheduled.json": (StaleTriggerError, "2026-03-04T07:00:00"),
    "launch_invalid_image.json": (RequestError, "image is an unknown key"),
}
SCHEDULED = json.loads((EVENTS / "launch_scheduled.json").read_text())


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide an empty account and a stack in act mode."""
    monkeypatch.setenv("CURFEW_MODE", "act")
    monkeypatch.setenv("CURFEW_TABLE", world.TABLE)
    with mock_aws():
        world.make_table()
        yield


def event(name: str = MORNING, **more: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / name).read_text())
    return loaded | more


def punctual(**more: Any) -> dict[str, Any]:
    scheduled: dict[str, Any] = SCHEDULED
    return scheduled | {"scheduled_at": datetime.now(UTC).isoformat()} | more  # noqa: TID251


def running() -> list[dict[str, str]]:
    """Return the tags of each running instance."""
    answer = boto3.client("ec2", world.REGION).describe_instances()
    return [
        {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        for reservation in answer["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] == "running"
    ]


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("name", sorted(path.name for path in EVENTS.glob("launch_*.json")))
def test_every_event_leads_to_what_it_should(name: str) -> None:
    expected = EXPECTED[name]

    if isinstance(expected, int):
        answer = handler(event(name), Context())
        assert answer["phase"] == "launched"
        assert len(running()) == expected
    else:
        error, words = expected
        with pytest.raises(error, match=words):
            handler(event(name), Context())
        assert running() == []


@pytest.mark.usefixtures("cloud")
def test_schedule_delivered_twice_launches_once() -> None:
    twice = punctual()

    first, second = handler(twice, Context()), handler(twice, Context())

    assert first == second
    assert len(running()) == 2


@pytest.mark.usefixtures("cloud")
def test_next_occurrence_of_a_schedule_is_another_fleet() -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)  # noqa: TID251

    first = handler(punctual(), Context())
    second = handler(punctual(scheduled_at=later.isoformat()), Context())

    assert first["name"] != second["name"]
    assert len(running()) == 4


@pytest.mark.usefixtures("cloud")
def test_scheduled_fleet_is_owned_by_its_schedule_unless_one_is_named() -> None:
    handler(punctual(), Context())
    owners = {tags["curfew:owner"] for tags in running()}
    assert owners == {SCHEDULED["schedule"]}

    answer = handler(event(owner="kim", key="another", fleet="lab"), Context())

    assert answer["owner"] == "kim"


@pytest.mark.usefixtures("cloud")
def test_report_mode_says_what_it_would_launch_without_any_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CURFEW_MODE", "report")

    answer = handler(event(), Context())

    assert answer["mode"] == "report"
    assert answer["fleet"].startswith("morning-")
    assert running() == []


@pytest.mark.usefixtures("cloud")
def test_without_a_ledger_nothing_is_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CURFEW_TABLE")

    with pytest.raises(ConfigError, match="CURFEW_TABLE"):
        handler(event(), Context())

    assert running() == []


@pytest.mark.usefixtures("cloud")
def test_name_of_a_running_fleet_is_refused() -> None:
    at = datetime.now(UTC)  # noqa: TID251
    handler(punctual(scheduled_at=at.isoformat()), Context())

    with pytest.raises(ConflictError, match="name"):
        handler(
            punctual(scheduled_at=at.isoformat(), schedule=SCHEDULED["schedule"] + "-2"), Context()
        )

    assert len(running()) == 2


@pytest.mark.usefixtures("cloud")
def test_launch_without_any_instance_fails_the_invocation() -> None:
    client = bootstrap.app().provider(world.REGION)._act  # type: ignore[attr-defined]

    def refuse(**_: Any) -> None:
        raise client.exceptions.ClientError(
            {"Error": {"Code": "VcpuLimitExceeded", "Message": "no more"}}, "RunInstances"
        )

    client.meta.events.register("before-send.ec2.RunInstances", refuse)

    with pytest.raises(LaunchFailedError, match=r"failed: 0 of 2 launched: .*VcpuLimitExceeded"):
        handler(event(), Context())


@pytest.mark.usefixtures("cloud")
def test_until_uses_the_time_zone_of_the_policy_file() -> None:
    at = datetime(2026, 7, 1, 6, 0, tzinfo=UTC)  # eight in Zurich

    spec = spec_of(bootstrap.app(), LaunchRequest.parse(SCHEDULED), at)

    assert spec.expires_at == datetime(2026, 7, 1, 16, 0, tzinfo=UTC)
    assert spec.name == "morning-20260701-0800"


@pytest.mark.usefixtures("cloud")
def test_a_scheduled_launch_may_not_protect_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policies = tmp_path / "curfew.yaml"
    shipped = SHIPPED_POLICIES.read_text()
    policies.write_text(shipped.replace("tags: [curfew:keep]", "tags: [precious]"))
    monkeypatch.setenv("CURFEW_POLICIES", str(policies))

    with pytest.raises(RequestError, match="would protect the fleet"):
        handler(event(tags={"Precious": "yes"}), Context())

    assert running() == []


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"key": None}, "either schedule with scheduled_at, or a key"),
        ({"schedule": "s"}, "belong together"),
        ({"ttl": "8h"}, "either ttl or until"),
        ({"until": "25:00"}, "not a time of day"),
        ({"count": 0}, "count is 0"),
        ({"count": 21}, "may have 1 to 20"),
        ({"count": "2"}, "count"),
        ({"template": "t3-pair"}, 'no fleet "t3-pair"'),
        ({"region": "eu-atlantis-1"}, '"eu-atlantis-1"'),
        ({"until": None, "ttl": "8d"}, "the template allows 7d"),
        ({"tags": {"Curfew:Keep": "yes"}}, "reserved key"),
        ({"tags": {"aws:x": "y"}}, "reserved key"),
        ({"fleet": "Morning"}, "not a name"),
    ],
)
def test_invalid_event_is_refused_before_any_call(more: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        handler(event(**more), Context())

    assert running() == []
