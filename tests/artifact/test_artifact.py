"""What `make build` made is what runs in Lambda, so it has to work on its own."""

import importlib.util
import marshal
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.template.reading import ROOT, Template

pytestmark = pytest.mark.artifact

BUILD = ROOT / ".aws-sam" / "build"
FUNCTIONS = sorted(Template.read(ROOT / "template.yaml").functions)

# Imports the handler with nothing on the path but the standard library and what was built.
IMPORT = """
import importlib, sys
build, handler = sys.argv[1:]
sys.path.append(build)
module, _, name = handler.rpartition(".")
imported = importlib.import_module(module)
assert imported.__file__.startswith(build), imported.__file__
assert callable(getattr(imported, name))
"""

NOT_SHIPPED = {
    "cfnlint",
    "cryptography",
    "demo",
    "curfew_simulator",
    "hypothesis",
    "keystoneauth1",
    "moto",
    "openstack",
    "pytest",
    "requests",
    "rich",
    "tests",
    "typer",
}


@pytest.fixture(scope="module")
def built() -> Template:
    path = BUILD / "template.yaml"
    if not path.exists():
        pytest.fail("nothing is built: run `make build`")
    return Template.read(path)


def folder_of(built: Template, function: str) -> Path:
    return BUILD / str(built.functions[function]["CodeUri"])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_imports_from_what_was_built_alone(
    built: Template, function: str, tmp_path: Path
) -> None:
    import_from(folder_of(built, function), built, function, tmp_path)


def import_from(folder: Path, built: Template, function: str, tmp_path: Path) -> None:
    python = shutil.which("python3.13", path=ROOT / ".venv" / "bin")
    assert python is not None
    handler = built.functions[function]["Handler"]

    # -I: neither PYTHONPATH nor the working directory. -S: no site-packages.
    ran = subprocess.run(
        [python, "-I", "-S", "-B", "-c", IMPORT, folder, handler],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_module_has_unchecked_bytecode(built: Template, function: str) -> None:
    folder = folder_of(built, function)
    modules = sorted(folder.rglob("*.py"))
    compiled = [Path(importlib.util.cache_from_source(str(module))) for module in modules]

    assert modules
    assert sorted(folder.rglob("*.pyc")) == sorted(compiled)
    for module, bytecode in zip(modules, compiled, strict=True):
        content = bytecode.read_bytes()
        magic, flags, source = content[:4], content[4:8], content[8:16]
        assert magic == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(flags, "little") == UNCHECKED_HASH
        assert source == importlib.util.source_hash(module.read_bytes())
        file = marshal.loads(content[16:]).co_filename  # noqa: S302  we made it
        assert file == f"/var/task/{module.relative_to(folder)}"


# Source: https://peps.python.org/pep-0552/#specification
UNCHECKED_HASH = 0b01


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_bytecode_is_what_runs(built: Template, function: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_of(built, function), copy, copy_function=os.link)
    for module in copy.rglob("*.py"):
        module.unlink()
        module.write_text("raise SystemExit('the source is what runs')")

    import_from(copy, built, function, tmp_path)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_small_model_of_ec2_ships(built: Template, function: str) -> None:
    models = Path("curfew") / "aws" / "models"
    source, shipped = ROOT / "functions" / models, folder_of(built, function) / models

    files = sorted(path.relative_to(source) for path in source.rglob("*.json"))
    assert files
    assert [(shipped / file).read_bytes() for file in files] == [
        (source / file).read_bytes() for file in files
    ]


# With the layer, a provider of OpenStack is made; without it, it is said what is missing, and nothing else is.
ASK = """
import sys
sys.path[len(sys.path):] = sys.argv[1:]
from curfew.providers.openstack.clouds import Clouds
from curfew.core.errors import ConfigError
from curfew.core.target import Mode
from curfew.schemas.targets import Cloud
entry = '{clouds: {lab: {auth: {auth_url: "http://127.0.0.1:9/v3", username: a, password: b, project_name: c}}}}'
clouds = Clouds({"lab": Cloud(regions=("here",))}, lambda: entry)
assert not {"openstack", "keystoneauth1", "requests"} & sys.modules.keys()
try:
    print(clouds.provider("here", "lab", mode=Mode.REPORT).target)
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("layers", "said"), [((), "OpenStack=true"), (("OpenStackLayer",), "openstack:lab:here")]
)
def test_openstack_is_there_with_the_layer_and_only_then(
    built: Template, tmp_path: Path, layers: tuple[str, ...], said: str
) -> None:
    python = shutil.which("python3.13", path=ROOT / ".venv" / "bin")
    assert python is not None
    folders = [folder_of(built, "SweepFunction"), *(BUILD / one / "python" for one in layers)]
    ran = subprocess.run(
        [python, "-I", "-S", "-B", "-c", ASK, *folders],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in ran.stdout, ran.stderr


def test_the_layer_is_there_only_where_it_is_asked_for(built: Template) -> None:
    layer = built.body["Resources"]["OpenStackLayer"]
    assert layer["Condition"] == "HasOpenStack"
    assert (BUILD / layer["Properties"]["ContentUri"] / "python" / "openstack").is_dir()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_policies_ship(built: Template, function: str) -> None:
    shipped = folder_of(built, function) / "curfew.yaml"

    assert shipped.read_bytes() == (ROOT / "functions" / "curfew.yaml").read_bytes()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_neither_the_terminal_nor_the_hostile_cloud_nor_the_tests_ship(
    built: Template, function: str
) -> None:
    shipped = {path.name for path in folder_of(built, function).iterdir()}

    assert "curfew" in shipped
    assert shipped & NOT_SHIPPED == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_was_built_is_what_is_in_the_tree(built: Template, function: str) -> None:
    source, shipped = ROOT / "functions" / "curfew", folder_of(built, function) / "curfew"

    def modules(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.py")}

    assert modules(shipped) == modules(source)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_fits_into_lambda(built: Template, function: str) -> None:
    size = sum(path.stat().st_size for path in folder_of(built, function).rglob("*"))

    assert size < 250 * 1024 * 1024
