"""The workflow runs the same as .ci/run, and the hooks use the project's tools."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import plain_english

ROOT = Path(__file__).parents[2]


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_workflow_runs_steps_of_ci_run_in_order() -> None:
    steps = re.findall(r"^make .*$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()

    assert "make check" in steps
    assert [step["run"] for step in job["steps"] if "run" in step] == steps


def test_workflow_uses_only_actions_of_github() -> None:
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()

    used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert used == ["actions/checkout", "actions/setup-python"]


def test_workflow_may_only_read() -> None:
    assert read(".github/workflows/ci.yml")["permissions"] == {"contents": "read"}


def test_hooks_use_tools_of_environment() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]

    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")


def test_hook_of_plain_english_gets_every_file_that_make_check_reads() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    (hook,) = [hook for hook in repository["hooks"] if hook["id"] == "plain-english"]
    command = hook["entry"].removeprefix(".venv/bin/python")

    assert f"\n\t$(PYTHON){command}\n" in (ROOT / "Makefile").read_text("utf-8")
    for path in {f"a/b{suffix}" for suffix in plain_english.SUFFIXES} | plain_english.NAMES:
        assert re.search(hook["files"], path), path


@pytest.mark.parametrize("template", ["bug", "idea"])
def test_issue_template_has_unique_fields(template: str) -> None:
    form = read(f".github/ISSUE_TEMPLATE/{template}.yml")

    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert form["name"]
    assert form["description"]
    assert len(ids) == len(set(ids))


def test_dependabot_watches_folders_that_exist() -> None:
    for update in read(".github/dependabot.yml")["updates"]:
        for folder in update.get("directories", [update.get("directory")]):
            assert (ROOT / folder.lstrip("/")).is_dir(), folder
