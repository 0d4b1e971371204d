"""A run of pytest fails if it does not execute every collected test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Two tests with one id, as schemathesis makes them.
TWICE = """
def pytest_collection_modifyitems(items):
    items.append(items[0])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\n")
    (tmp_path / "conftest.py").write_text(f'pytest_plugins = ["tests.executed"]\n{TWICE}')
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    return tmp_path


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with xdist as its only plugin, since xdist's processes start slowly with all of them."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # noqa: TID251
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_that_leaves_out_a_test_is_not_green(folder: Path) -> None:
    ran = run(folder, "-n", "2", "--dist", "loadfile")

    assert ran.returncode == 1
    assert "2 tests were collected, and 1 executed" in ran.stdout


@pytest.mark.parametrize("options", [(), ("-n", "2", "--dist", "worksteal")])
def test_a_run_of_every_test_is_green(folder: Path, options: tuple[str, ...]) -> None:
    ran = run(folder, *options)

    assert ran.returncode == 0, ran.stdout
    assert "executed" not in ran.stdout


def test_listing_the_tests_is_not_a_run(folder: Path) -> None:
    assert run(folder, "--collect-only").returncode == 0


def test_no_test_at_all_is_an_error(folder: Path) -> None:
    assert run(folder, "-k", "nothing").returncode == pytest.ExitCode.NO_TESTS_COLLECTED
