"""A server as an instance: missing, unknown and busy values become values that keep it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from curfew.core.instance import State
from curfew.core.plan import decide
from curfew.core.policy import TagFilter
from curfew.core.target import Target
from curfew.providers.openstack.filters import query
from curfew.providers.openstack.servers import instance_of
from tests.builders import NOW, a_policy, a_selector

HERE = Target(provider="openstack", account="demo", region="RegionOne")


def a_server(**more: Any) -> dict[str, Any]:
    ordinary = {
        "id": "87898d35-5044-47cc-afbe-d1e570c1bc4f",
        "name": "lab-1",
        "status": "ACTIVE",
        "task_state": None,
        "tags": ["env=dev"],
        "metadata": {},
        "is_locked": False,
        "created_at": "2026-03-01T08:00:00Z",
        "launched_at": "2026-03-01T08:00:04.000000",
        "availability_zone": "nova",
        "flavor": {"original_name": "m1.small"},
        "image": {"id": "701642a0"},
    }
    return ordinary | more


def state(**more: Any) -> State:
    return instance_of(a_server(**more), HERE).state


def kept(**more: Any) -> list[str]:
    """Return the rules that keep the server from a policy that selects it."""
    instance = instance_of(a_server(**more), HERE)
    return [kept.rule for kept in decide([instance], a_policy(), NOW).kept]


def test_everything_that_decides_is_read() -> None:
    instance = instance_of(a_server(), HERE)
    assert (instance.zone, instance.instance_type, instance.image) == (
        "nova",
        "m1.small",
        "701642a0",
    )
    assert instance.name == "lab-1"
    assert dict(instance.tags) == {"Name": "lab-1", "env": "dev"}
    assert instance.started_at == datetime(2026, 3, 1, 8, 0, 4, tzinfo=UTC)
    assert not instance.locked


@pytest.mark.parametrize(
    ("status", "task", "is_"),
    [
        ("BUILD", "spawning", State.PENDING),
        ("BUILD", "deleting", State.SHUTTING_DOWN),
        ("ACTIVE", None, State.RUNNING),
        ("ACTIVE", "deleting", State.SHUTTING_DOWN),
        ("ACTIVE", "soft-deleting", State.SHUTTING_DOWN),
        ("ACTIVE", "powering-off", State.STOPPING),
        ("ACTIVE", "image_snapshot", State.UNKNOWN),
        ("ACTIVE", "migrating", State.UNKNOWN),
        ("SHUTOFF", None, State.STOPPED),
        ("SHUTOFF", "powering-on", State.UNKNOWN),
        ("SHUTOFF", "deleting", State.SHUTTING_DOWN),
        ("SHELVED_OFFLOADED", None, State.STOPPED),
        ("DELETED", None, State.TERMINATED),
        ("SOFT_DELETED", None, State.TERMINATED),
        ("PAUSED", None, State.UNKNOWN),
        ("SUSPENDED", None, State.UNKNOWN),
        ("RESCUE", None, State.UNKNOWN),
        ("VERIFY_RESIZE", None, State.UNKNOWN),
        ("A_NEW_ONE", None, State.UNKNOWN),
        (None, None, State.UNKNOWN),
    ],
)
def test_the_task_tells_as_much_as_the_status(
    status: str | None, task: str | None, is_: State
) -> None:
    assert state(status=status, task_state=task) is is_


def test_server_without_a_host_is_stopped_and_one_broken_later_unknown() -> None:
    fault = {"code": 500, "message": "No valid host was found. "}
    instance = instance_of(a_server(status="ERROR", launched_at=None, fault=fault), HERE)
    assert instance.state is State.STOPPED
    assert instance.state_reason == "No valid host was found. "
    assert state(status="ERROR") is State.UNKNOWN
    assert state(status="ERROR", launched_at=None, task_state="migrating") is State.UNKNOWN


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"is_locked": True}, "locked"),
        ({"is_locked": None}, "locked"),
        ({"tags": ["env=dev", "curfew:keep"]}, "protect-tag"),
        ({"tags": ["env=dev", "Curfew:Keep=no"]}, "protect-tag"),
        ({"metadata": {"curfew:keep": ""}}, "protect-tag"),
        ({"metadata": {"metering.stack": "x"}}, "managed-by-service"),
        ({"tags": ["env=beta", "env=dev"]}, "ambiguous-tag"),
        ({"tags": ["env=dev", "env=beta"]}, "ambiguous-tag"),
        ({"tags": ["env=dev", "env=prod"]}, "not-selected"),
        ({"created_at": None, "launched_at": None}, "unknown-launch-time"),
    ],
)
def test_what_keeps_a_server(more: dict[str, Any], rule: str) -> None:
    assert kept(**more) == [rule]


def test_an_ordinary_server_is_not_kept() -> None:
    assert kept() == []


@pytest.mark.parametrize(
    ("selector", "narrow", "sent"),
    [
        (a_selector(tags=()), True, {"status": "ACTIVE"}),
        (a_selector(tags=(), states=frozenset({State.RUNNING, State.STOPPED})), True, {}),
        (a_selector(tags=(TagFilter(key="env", values=("dev",)),)), False, {"status": "ACTIVE"}),
        (
            a_selector(
                tags=(TagFilter(key="env", values=("dev",)), TagFilter(key="a", values=("1/2",)))
            ),
            True,
            {"status": "ACTIVE", "tags": "env=dev,a=1%2F2"},
        ),
        (
            a_selector(
                tags=(
                    TagFilter(key="env", values=("dev", "test")),
                    TagFilter(key="b", values=("1", "2")),
                )
            ),
            True,
            {"status": "ACTIVE", "any_tags": "env=dev,env=test"},
        ),
        (a_selector(tags=(TagFilter(key="env", like=("d*",)),)), True, {"status": "ACTIVE"}),
        (a_selector(tags=(TagFilter(key="n", values=("x" * 80,)),)), True, {"status": "ACTIVE"}),
    ],
)
def test_nova_query_never_excludes_a_selected_server(
    selector: Any, narrow: bool, sent: dict[str, str]
) -> None:
    assert query(selector, narrow=narrow) == sent
