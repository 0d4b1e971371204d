"""A report as rows, numbers and words, without hostile characters."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from curfew.cli.output import table_of
from curfew.core.instance import Instance
from curfew.core.plan import decide, refuse
from curfew.core.policy import Finding
from curfew.core.report import Outcome, Report, Result, Status
from curfew.core.target import Mode
from curfew.reporting import render
from curfew.reporting.render import answer, matters, metrics, plain, rows, sentence, summary
from tests.builders import HERE, NOW, a_policy, an_id, an_instance

HOSTILE = (
    "\x1b[2J\x1b[31mgone",
    "two\nlines\r\nand a\ttab",
    "\N{RIGHT-TO-LEFT OVERRIDE}txet\N{POP DIRECTIONAL FORMATTING}",
    "\N{ZERO WIDTH SPACE}\N{BYTE ORDER MARK}",
    "[bold red]look[/bold red]",
    "[link=https://evil.example]click[/link]",
    "[/]",
    "\x07\x08\x00\x7f\x9b31m",
    "\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}\x85",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "</script><script>alert(1)</script>",
    ":skull:",
)


def a_report(
    instances: Sequence[Instance] = (),
    *,
    results: Sequence[Result] = (),
    **more: Any,
) -> Report:
    """Return the report of a sweep over the instances, with these results for the first actions."""
    plan = decide(instances, a_policy(version="abc"), NOW)
    ordinary: dict[str, Any] = {
        "sweep_id": "sweep-1",
        "target": HERE,
        "policy": "nightly",
        "mode": Mode.ACT if results else Mode.REPORT,
        "status": Status.COMPLETED,
        "started_at": NOW,
        "finished_at": NOW + timedelta(seconds=2.5),
        "listed": len(instances),
        "plan": plan,
        "outcomes": tuple(
            Outcome(action=action, result=result, detail=f"it is {result}")
            for action, result in zip(plan.actions, results, strict=False)
        ),
    }
    return Report(**(ordinary | more))


def a_mixed_fleet() -> list[Instance]:
    return [
        an_instance(1, tags={"env": "dev", "Name": "web"}),
        an_instance(2, tags={"env": "dev", "curfew:keep": ""}),
        an_instance(3, tags={"env": "prod"}),
        an_instance(4),
    ]


# Rows


def test_every_candidate_has_one_row_in_the_order_of_the_ids() -> None:
    found = rows(a_report(a_mixed_fleet()[::-1]))

    assert [row["id"] for row in found] == [an_id(n) for n in (1, 2, 3, 4)]
    assert [row["verdict"] for row in found] == ["terminate", "keep", "keep", "terminate"]
    assert [row["outcome"] for row in found] == ["planned", "kept", "kept", "planned"]


def test_a_row_says_what_and_why() -> None:
    act, keep, *_ = rows(a_report(a_mixed_fleet(), results=[Result.VERIFIED]))

    assert act == {
        "id": an_id(1),
        "name": "web",
        "zone": "eu-central-1a",
        "type": "t2.micro",
        "state": "running",
        "verdict": "terminate",
        "rule": "selected",
        "reason": "is running, env=dev, 9h old",
        "outcome": "verified",
        "detail": "it is verified",
    }
    assert keep == {
        "id": an_id(2),
        "name": "",
        "zone": "eu-central-1a",
        "type": "t2.micro",
        "state": "running",
        "verdict": "keep",
        "rule": "protect-tag",
        "reason": "has the tag curfew:keep",
        "outcome": "kept",
    }


def test_an_action_that_was_not_carried_out_is_planned() -> None:
    found = rows(a_report([an_instance(1), an_instance(2)], results=[Result.FAILED]))

    assert [row["outcome"] for row in found] == ["failed", "planned"]


def test_an_outcome_without_words_has_no_detail() -> None:
    report = a_report([an_instance()], results=[Result.VERIFIED])
    silent = replace(report, outcomes=(replace(report.outcomes[0], detail=""),))

    assert "detail" not in rows(silent)[0]


def test_without_a_plan_there_is_no_row() -> None:
    assert rows(a_report(plan=None, status=Status.FAILED)) == []


def test_as_many_rows_as_are_wanted_are_the_first() -> None:
    report = a_report(a_mixed_fleet())
    assert rows(report, 2) == rows(report)[:2]
    assert rows(report, 0) == []


def test_a_row_holds_no_tag_but_the_name() -> None:
    tags = {"env": "dev", "Name": "web", "password": "hunter2", "hunter2": ""}

    assert "hunter2" not in json.dumps(rows(a_report([an_instance(tags=tags)])))


@pytest.mark.parametrize(
    ("instance", "news"),
    [
        (an_instance(), True),
        (an_instance(tags={"env": "dev", "curfew:keep": ""}), True),
        (an_instance(age=timedelta(minutes=1)), True),
        (an_instance(tags={"env": "prod"}), False),
    ],
    ids=["action", "protected", "too young", "not selected"],
)
def test_row_matters_unless_the_policy_does_not_select_it(instance: Instance, news: bool) -> None:
    (row,) = rows(a_report([instance]))

    assert matters(row) == news


def test_an_instance_that_is_only_not_old_enough_does_not_matter() -> None:
    policy = a_policy(older_than=timedelta(days=3))
    waiting, due = rows(
        a_report(plan=decide([an_instance(1), an_instance(2, age=timedelta(days=4))], policy, NOW))
    )

    assert (waiting["rule"], matters(waiting)) == ("older-than", False)
    assert (due["rule"], matters(due)) == ("older-than", True)


# Numbers


def test_a_summary_accounts_for_everything() -> None:
    results = [Result.VERIFIED, Result.FAILED]

    shown = summary(
        a_report(a_mixed_fleet(), results=results, listed=9, throttles=2, rate_limited=1.23456)
    )

    plan = decide(a_mixed_fleet(), a_policy(), NOW)
    assert shown == {
        "sweep_id": "sweep-1",
        "policy": "nightly",
        "policy_version": "abc",
        "provider": "ec2",
        "account": "123456789012",
        "region": "eu-central-1",
        "mode": "act",
        "status": "completed",
        "problem": "",
        "listed": 9,
        "candidates": 4,
        "actions": 2,
        "kept": 2,
        "verified": 1,
        "accepted": 0,
        "kept_at_recheck": 0,
        "failed": 1,
        "unknown": 0,
        "not_attempted": 0,
        "plan": plan.hash,
        "resolved_intents": [],
        "root_sweep_id": "sweep-1",
        "attempt": 0,
        "throttles": 2,
        "rate_limited_seconds": 1.235,
        "started_at": "2026-03-04T02:00:00+00:00",
        "seconds": 2.5,
    }


def test_a_summary_of_a_sweep_that_could_not_be_made_counts_nothing() -> None:
    shown = summary(a_report(plan=None, status=Status.FAILED, problem="no ledger"))

    assert (shown["candidates"], shown["actions"], shown["kept"], shown["plan"]) == (0, 0, 0, "")
    assert (shown["status"], shown["problem"]) == ("failed", "no ledger")


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from(Result), max_size=8),
    st.integers(0, 5),
    st.booleans(),
)
def test_candidates_are_acted_on_or_kept_and_every_action_has_one_result(
    results: list[Result], kept: int, refused: bool
) -> None:
    acting = [an_instance(n) for n in range(len(results))]
    staying = [an_instance(100 + n, tags={"env": "prod"}) for n in range(kept)]
    report = a_report([*acting, *staying], results=results)
    if refused and report.plan:
        finding = Finding(rule="limit-per-sweep", reason="too many")
        report = replace(report, plan=refuse(report.plan, finding), outcomes=())

    shown, counted = summary(report), metrics(report)

    assert shown["candidates"] == shown["actions"] + shown["kept"] == len(rows(report))
    assert shown["actions"] == sum(shown[str(r).replace("-", "_")] for r in Result)
    assert counted["Candidates"] == shown["candidates"]
    assert counted["Actions"] == shown["actions"]
    assert counted["Verified"] == results.count(Result.VERIFIED) * (not refused)


def test_the_metrics_are_the_eight_that_are_promised() -> None:
    results = list(Result)
    report = a_report(
        [*(an_instance(n) for n in range(len(results))), an_instance(99, tags={"env": "prod"})],
        results=results,
        listed=50,
        throttles=3,
        rate_limited=0.5,
    )

    assert metrics(report) == {
        "Listed": 50,
        "Candidates": 7,
        "Actions": 6,
        "Kept": 2,  # one by the plan and one at the recheck
        "Verified": 1,
        "Failed": 2,  # one refused and one unknown
        "Throttles": 3,
        "RateLimitedSeconds": 0.5,
    }


def test_a_sweep_that_failed_counts_as_zeros() -> None:
    counted = metrics(a_report(plan=None, status=Status.FAILED, listed=3))

    assert counted == {
        "Listed": 3,
        "Candidates": 0,
        "Actions": 0,
        "Kept": 0,
        "Verified": 0,
        "Failed": 0,
        "Throttles": 0,
        "RateLimitedSeconds": 0.0,
    }


# Answers and words


def test_an_answer_has_the_summary_and_the_rows_of_each_sweep() -> None:
    one, other = a_report(a_mixed_fleet()), a_report([], sweep_id="sweep-2")

    answered = answer([one, other])

    assert answered == {
        "sweeps": [
            {**summary(one), "rows": rows(one), "rows_left_out": 0},
            {**summary(other), "rows": [], "rows_left_out": 0},
        ]
    }
    assert json.loads(json.dumps(answered)) == answered


@pytest.mark.parametrize(("more", "left_out"), [(-1, 0), (0, 0), (1, 1), (500, 500)])
def test_a_long_answer_is_cut_and_says_by_how_much(more: int, left_out: int) -> None:
    count = render.ROWS_PER_ANSWER + more
    report = a_report([an_instance(n) for n in range(count)])

    (sweep,) = answer([report])["sweeps"]

    assert sweep["rows_left_out"] == left_out
    assert len(sweep["rows"]) + left_out == count == sweep["actions"]


def test_the_rows_of_all_sweeps_together_are_cut() -> None:
    half = render.ROWS_PER_ANSWER // 2
    one = a_report([an_instance(n) for n in range(half)])
    other = a_report([an_instance(n) for n in range(half + 3)])

    sweeps = answer([one, other, one])["sweeps"]

    assert [sweep["rows_left_out"] for sweep in sweeps] == [0, 3, half]
    assert [sweep["actions"] for sweep in sweeps] == [half, half + 3, half]


def test_a_whole_answer_of_one_region_fits_into_what_lambda_returns() -> None:
    # 256 characters are the longest name; escaped, each takes six bytes.
    name = "\N{SNOWMAN}" * 256
    count = render.ROWS_PER_ANSWER + 1
    report = a_report([an_instance(n, tags={"env": "dev", "Name": name}) for n in range(count)])

    assert len(json.dumps(answer([report]))) < 6_000_000


def test_a_whole_answer_of_every_region_fits_into_what_lambda_returns() -> None:
    report = a_report(
        [
            an_instance(n, tags={"env": "dev", "Name": "n" * 40})
            for n in range(render.ROWS_PER_ANSWER)
        ]
    )

    assert len(json.dumps(answer([report] * 17))) < 6_000_000


def test_a_sentence_tells_policy_region_status_and_numbers() -> None:
    shown = sentence(a_report(a_mixed_fleet(), results=[Result.VERIFIED, Result.UNKNOWN], listed=9))

    assert "nightly in 123456789012 eu-central-1" in shown
    assert "completed: 2 to act on, 2 kept, of 9 listed" in shown
    assert shown.endswith("; 1 verified, 1 unknown")


def test_a_sentence_ends_with_the_problem() -> None:
    shown = sentence(a_report(plan=None, status=Status.FAILED, problem="the ledger is gone"))

    assert shown.endswith("; the ledger is gone")


# Hostile data


@pytest.mark.parametrize("text", ["web-1", "Größe", "日本語", "a b", "[bold]", "\\n", "🙂", ""])
def test_an_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("a\r\tb", "a\\r\\tb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}x", "\\u202ex"),
        ("\N{LEFT-TO-RIGHT ISOLATE}x", "\\u2066x"),
        ("\N{LINE SEPARATOR}x", "\\u2028x"),
        ("\N{ZERO WIDTH JOINER}x", "\\u200dx"),
        ("\N{NO-BREAK SPACE}x", "\\xa0x"),
        ("\udc80", "\\udc80"),
    ],
)
def test_terminal_control_characters_are_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(max_size=40))
def test_whatever_is_written_the_plain_text_is_printable(text: str) -> None:
    assert plain(text).isprintable()


def printed(report: Report, **options: Any) -> str:
    """Return the table as a terminal receives it."""
    written = io.StringIO()
    Console(file=written, width=400, **options).print(table_of(rows(report)))
    return written.getvalue()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_name_is_inert_in_the_table(hostile: str) -> None:
    name = f"<{hostile}>"
    report = a_report(
        [
            an_instance(1, tags={"env": "dev", "Name": name}),
            an_instance(2, tags={"env": "dev", f"Curfew:Keep{hostile}": ""}),
        ]
    )

    table = printed(report)

    assert len(table.splitlines()) == 3
    assert plain(name) in table
    assert all(line.isprintable() for line in table.splitlines())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_name_sends_no_escape_to_a_terminal(hostile: str) -> None:
    """A real terminal receives no escape sequences except the table's own colours."""

    def orders(name: str) -> list[str]:
        instance = an_instance(tags={"env": "dev", "Name": name})
        table = printed(a_report([instance]), force_terminal=True, color_system="standard")
        return [part.partition("m")[0] for part in table.split("\x1b")[1:]]

    assert orders(hostile) == orders("harmless")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_reason_or_detail_is_inert_in_the_table(hostile: str) -> None:
    instances = [
        an_instance(1, tags={"env": "dev"}),
        an_instance(2, tags={"env": "dev", "aws:autoscaling:groupName": hostile}),
    ]
    report = a_report(instances, results=[Result.FAILED])
    report = replace(report, outcomes=(replace(report.outcomes[0], detail=f"<{hostile}>"),))

    table = printed(report)

    assert plain(f"<{hostile}>") in table
    assert f"group {plain(hostile)}, which" in table
    assert len(table.splitlines()) == 3
    assert all(line.isprintable() for line in table.splitlines())


def test_the_table_shows_first_what_goes_then_what_is_protected_then_what_waits() -> None:
    lines = printed(a_report(a_mixed_fleet())).splitlines()

    assert [line.split()[0] for line in lines[1:]] == [an_id(n) for n in (1, 4, 2, 3)]
    assert "protect-tag: has the tag curfew:keep" in lines[3]
