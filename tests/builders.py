"""Build data for tests. Each builder has ordinary defaults, and takes the values that a test is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from curfew.core.instance import ActionKind, Instance, State
from curfew.core.policy import Limits, Policy, Selector, TagFilter
from curfew.core.target import Target

NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
HERE = Target(provider="ec2", account="123456789012", region="eu-central-1")
SANDBOX = TagFilter(key="env", values=("dev", "sandbox"))
NO_LIMITS = Limits(per_sweep=1_000_000, percent=100, per_day=1_000_000)


def an_id(number: int = 1) -> str:
    """Return an instance id, which depends only on the number."""
    return f"i-{number:017x}"


def an_instance(
    number: int = 1,
    *,
    age: timedelta = timedelta(hours=9),
    tags: Mapping[str, str] | None = None,
    **more: Any,
) -> Instance:
    """Return a sandbox instance that the nightly policy would terminate."""
    ordinary: dict[str, Any] = {
        "id": an_id(number),
        "target": HERE,
        "zone": "eu-central-1a",
        "state": State.RUNNING,
        "instance_type": "t2.micro",
        "started_at": NOW - age,
        "tags": {"env": "dev"} if tags is None else tags,
    }
    return Instance(**(ordinary | more))


def a_selector(**more: Any) -> Selector:
    """Return a selector for running sandboxes."""
    ordinary: dict[str, Any] = {"states": frozenset({State.RUNNING}), "tags": (SANDBOX,)}
    return Selector(**(ordinary | more))


def a_policy(**more: Any) -> Policy:
    """Return the nightly policy, without limits."""
    ordinary: dict[str, Any] = {
        "name": "nightly",
        "selector": a_selector(),
        "action": ActionKind.TERMINATE,
        "limits": NO_LIMITS,
    }
    return Policy(**(ordinary | more))
