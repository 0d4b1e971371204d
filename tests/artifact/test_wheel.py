"""What pip installs: the wheel brings the simulated cloud beside what ships to Lambda, and its command works."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.artifact


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy, with the build backend of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("functions", "curfew_simulator"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", source)
    build = "from hatchling.build import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, folder], cwd=source, check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_brings_the_hostile_cloud_and_what_ships(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"curfew", "curfew_simulator"}


def test_the_wheel_brings_the_small_model_of_ec2(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "curfew/aws/models/ec2/2016-11-15/service-2.json" in names
    assert "curfew/aws/models/ec2/2016-11-15/paginators-1.json" in names


def test_the_command_works_from_the_wheel_in_a_new_environment(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "curfew.yaml").write_bytes((ROOT / "functions" / "curfew.yaml").read_bytes())
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    # Its dependencies are this environment's: after what the wheel brings, and without the tree.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    script = "import sys; from curfew.cli.commands import main; sys.argv[0] = 'curfew'; main()"

    ran = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-c", script, "rehearse", "--nights", "1"],
        cwd=tmp_path,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "violations: 0" in ran.stdout
