"""Logs and metrics: they have every important verdict, and no tags."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.clock import Clock
from curfew.config.policy_file import load
from curfew.config.settings import SHIPPED_POLICIES
from curfew.core.instance import Attributes, Instance
from curfew.core.policy import Limits, Policy, TagFilter
from curfew.core.report import Report, Result
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.providers.memory import MemoryProvider
from curfew.reporting.telemetry import logger, publish
from curfew.sweep.context import Sweep
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from tests.builders import HERE, NOW, a_policy, a_selector, an_id, an_instance

CANARY = "hunter2-canary"


@dataclass(frozen=True)
class Said:
    """The log and metrics of a published report."""

    log: str
    metrics: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.split("\n") if line]

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "verdict" in line]

    @property
    def sweeps(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "sweep" in line]


type Publish = Callable[[Report], Said]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Publish:
    """Return a function that publishes a report and returns its log and metrics."""
    written = io.StringIO()
    # The logger keeps the stdout of its creation.
    monkeypatch.setattr(logger.registered_handler, "stream", written)

    def said(report: Report) -> Said:
        publish(report)
        return Said(log=written.getvalue(), metrics=capsys.readouterr().out)

    return said


def a_sweep(
    instances: Sequence[Instance],
    policy: Policy | None = None,
    *,
    attributes: Mapping[str, Attributes] | None = None,
) -> Sweep:
    provider = MemoryProvider(instances, target=HERE, attributes=attributes)
    return Sweep(
        id="sweep-1",
        policy=policy or a_policy(),
        provider=provider,
        ledger=MemoryLedger(),
        clock=Clock(now=lambda: NOW, sleep=lambda _seconds: None),
        timezone=load(SHIPPED_POLICIES).timezone,
    )


def planned(instances: Sequence[Instance], policy: Policy | None = None, **more: Any) -> Report:
    return plan(a_sweep(instances, policy, **more))


def acted(instances: Sequence[Instance], policy: Policy | None = None) -> Report:
    sweep = a_sweep(instances, policy)
    return act(sweep, plan(sweep))


# The log


def test_each_action_has_one_line(published: Publish) -> None:
    said = published(planned([an_instance(1), an_instance(2)]))

    assert [line["verdict"]["id"] for line in said.verdicts] == [an_id(1), an_id(2)]
    assert {line["verdict"]["verdict"] for line in said.verdicts} == {"terminate"}
    for line in said.verdicts:
        assert line["message"].startswith(f"terminate {line['verdict']['id']}: ")
        assert line["message"].endswith("is running, env=dev, 9h old")


def test_each_candidate_that_is_protected_has_one_line(published: Publish) -> None:
    locked = Attributes(termination_protected=True, stop_protected=False)

    said = published(
        planned(
            [
                an_instance(1, tags={"env": "dev", "curfew:keep": ""}),
                an_instance(2, age=timedelta(minutes=1)),
                an_instance(3),
            ],
            attributes={an_id(3): locked},
        )
    )

    assert [(line["verdict"]["id"], line["verdict"]["rule"]) for line in said.verdicts] == [
        (an_id(1), "protect-tag"),
        (an_id(2), "min-age"),
        (an_id(3), "termination-protection"),
    ]
    assert all(line["message"].startswith("keep i-") for line in said.verdicts)


def test_each_candidate_that_a_limit_keeps_has_one_line(published: Publish) -> None:
    limits = Limits(per_sweep=1, percent=100, per_day=9)

    said = published(planned([an_instance(1), an_instance(2)], a_policy(limits=limits)))

    assert [(line["verdict"]["id"], line["verdict"]["rule"]) for line in said.verdicts] == [
        (an_id(1), "limit-per-sweep"),
        (an_id(2), "limit-per-sweep"),
    ]


def test_instance_that_is_only_too_young_has_no_line(published: Publish) -> None:
    policy = a_policy(older_than=timedelta(days=3))

    said = published(planned([an_instance(1), an_instance(2, age=timedelta(days=4))], policy))

    assert [line["verdict"]["id"] for line in said.verdicts] == [an_id(2)]
    assert said.sweeps[0]["sweep"]["kept"] == 1


def test_instance_that_is_no_candidate_has_no_line(published: Publish) -> None:
    said = published(planned([an_instance(tags={"env": "prod"})]))

    assert said.verdicts == []
    assert said.sweeps[0]["sweep"]["listed"] == 1


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_sweep_has_one_line_of_its_own_and_it_is_the_last(published: Publish, count: int) -> None:
    said = published(acted([an_instance(n) for n in range(count)]))

    assert len(said.lines) == count + 1
    assert "sweep" in said.lines[-1]
    assert said.lines[-1]["sweep"]["verified"] == count
    assert len(said.sweeps) == 1


def test_every_line_has_the_id_of_the_sweep(published: Publish) -> None:
    said = published(acted([an_instance(1), an_instance(2, age=timedelta(0))]))

    assert len(said.lines) == 3
    assert {line["sweep_id"] for line in said.lines} == {"sweep-1"}


def test_every_verdict_has_its_policy_and_region(published: Publish) -> None:
    (line,) = published(planned([an_instance()])).verdicts

    assert (line["policy"], line["region"]) == ("nightly", "eu-central-1")


def test_what_became_of_an_action_is_in_its_line(published: Publish) -> None:
    (line,) = published(acted([an_instance()])).verdicts

    assert line["verdict"]["outcome"] == "verified"
    assert line["level"] == "INFO"


@pytest.mark.parametrize("result", list(Result))
def test_only_what_went_wrong_is_an_error(published: Publish, result: Result) -> None:
    report = acted([an_instance()])
    (outcome,) = report.outcomes
    changed = replace(report, outcomes=(replace(outcome, result=result),))

    (line,) = published(changed).verdicts

    assert (line["level"] == "ERROR") == (result in {Result.FAILED, Result.UNKNOWN})


def test_a_failed_sweep_is_an_error_with_its_problem(published: Publish) -> None:
    sweep = a_sweep([an_instance()], a_policy(limits=Limits(per_sweep=0)))

    (line,) = published(act(sweep, plan(sweep))).sweeps

    assert line["level"] == "ERROR"
    assert line["sweep"]["status"] == "refused"
    assert "a sweep may have 0" in line["message"]


# Nothing of the tags


def test_no_tag_but_the_name_is_ever_logged(published: Publish) -> None:
    secret = {"env": "dev", "password": CANARY, f"token-{CANARY}": "x", "Name": "web"}
    instances = [
        an_instance(1, tags=secret),
        an_instance(2, tags={**secret, "curfew:keep": CANARY}),
        an_instance(3, tags={**secret, "aws:eks:cluster-name": CANARY}),
        an_instance(4, tags={**secret, "env": CANARY}),
        an_instance(5, tags={**secret, "ENV": CANARY}),
        an_instance(6, tags={**secret, "owner": CANARY}, age=timedelta(0)),
    ]
    policy = a_policy(selector=a_selector(with_tags=("password",)))

    said = published(acted(instances, policy))

    assert len(said.verdicts) == 5
    assert {line["verdict"]["name"] for line in said.verdicts} == {"web"}
    assert CANARY not in said.log
    assert CANARY not in said.metrics


def test_a_value_that_a_policy_names_is_logged_as_the_reason(published: Publish) -> None:
    """This is the only exception: a value that matched exactly is in the policy itself."""
    (line,) = published(planned([an_instance(tags={"env": "sandbox"})])).verdicts

    assert "env=sandbox" in line["message"]


def test_a_value_that_only_a_pattern_matched_is_not_logged(published: Publish) -> None:
    policy = a_policy(selector=a_selector(tags=(TagFilter(key="note", like=("*",)),)))

    said = published(planned([an_instance(tags={"note": CANARY})], policy))

    assert len(said.verdicts) == 1
    assert CANARY not in said.log


@pytest.mark.parametrize("hostile", ["a\nb", '"}\n{"level":"ERROR"}', "\x1b[2J", "\r\n", "\x00"])
def test_a_hostile_name_stays_within_its_line(published: Publish, hostile: str) -> None:
    said = published(planned([an_instance(tags={"env": "dev", "Name": hostile})]))

    assert len(said.lines) == 2
    assert said.verdicts[0]["verdict"]["name"] == hostile
    assert "\x1b" not in said.log
    assert "\r" not in said.log


# The metrics


def first(said: Said) -> dict[str, Any]:
    """Return the metrics by policy and region; the other blob is for alarms."""
    blob: dict[str, Any] = json.loads(said.metrics.split("\n")[0])
    return blob


def test_the_metrics_are_one_blob_by_policy_and_region_only(published: Publish) -> None:
    said = published(acted([an_instance(1), an_instance(2, age=timedelta(0))]))

    blob, alarms = [json.loads(line) for line in said.metrics.split("\n") if line]
    assert alarms["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["policy"]]
    assert (alarms["policy"], alarms["Completed"], alarms["Troubled"]) == ("nightly", [1.0], [0.0])
    (about,) = blob["_aws"]["CloudWatchMetrics"]
    assert about["Namespace"] == "Curfew"
    assert [sorted(dimensions) for dimensions in about["Dimensions"]] == [["policy", "region"]]
    assert (blob["policy"], blob["region"]) == ("nightly", "eu-central-1")
    counts = ("Listed", "Candidates", "Actions", "Kept", "Verified", "Failed", "Throttles")
    assert {metric["Name"]: metric["Unit"] for metric in about["Metrics"]} == {
        **dict.fromkeys(counts, "Count"),
        "RateLimitedSeconds": "Seconds",
    }
    assert {name: blob[name] for name in ("Listed", "Candidates", "Actions", "Kept")} == {
        "Listed": [2.0],
        "Candidates": [2.0],
        "Actions": [1.0],
        "Kept": [1.0],
    }
    assert (blob["Verified"], blob["Failed"]) == ([1.0], [0.0])
    assert set(blob) == {
        "_aws",
        "policy",
        "region",
        *counts,
        "RateLimitedSeconds",
    }


def test_the_metrics_of_one_sweep_do_not_leak_into_the_next(published: Publish) -> None:
    published(planned([an_instance(1), an_instance(2)]))

    blob = first(published(planned([an_instance(1)], a_policy(name="weekly"))))

    assert blob["policy"] == "weekly"
    assert blob["Actions"] == [1.0]


def test_the_ends_of_all_fleets_are_counted_together(published: Publish) -> None:
    blob = first(published(planned([an_instance(1)], a_policy(name="fleet:lab"))))

    assert blob["policy"] == "fleet"


def test_a_sweep_without_anything_is_counted_too(published: Publish) -> None:
    blob = first(published(planned([])))

    assert (blob["Listed"], blob["Failed"]) == ([0.0], [0.0])
