"""The Makefile uses only programs that run."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def recipe(target: str, programs: Path, **more: str) -> str:
    """Return the commands of make for a target, with these programs first on the PATH."""
    ran = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        env={"PATH": os.pathsep.join([str(programs), *os.get_exec_path()]), **more},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def a_uv(folder: Path, script: str) -> Path:
    program = folder / "uv"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_uv_that_runs_is_taken(tmp_path: Path) -> None:
    program = a_uv(tmp_path, "echo uv 1.0")

    ran = recipe(".venv/.ready", tmp_path)

    assert f"{program} venv" in ran
    assert ".uv/bin" not in ran


@pytest.mark.parametrize(
    "script",
    [
        "echo \"pyenv: version '3.13' is not installed\" >&2; exit 1",
        "echo 'pyenv: uv: command not found' >&2; exit 127",
        "exec /nowhere/python",
    ],
)
def test_a_uv_that_does_not_run_counts_as_absent(tmp_path: Path, script: str) -> None:
    program = a_uv(tmp_path, script)

    ran = recipe(".venv/.ready", tmp_path)

    assert str(program) not in ran
    assert "--requirement requirements/uv.txt" in ran
    assert ".uv/bin/uv venv" in ran


def test_what_pyenv_is_set_to_does_not_count(tmp_path: Path) -> None:
    program = a_uv(tmp_path, 'test -z "$PYENV_VERSION"')

    assert f"{program} venv" in recipe(".venv/.ready", tmp_path, PYENV_VERSION="3.9.1")
