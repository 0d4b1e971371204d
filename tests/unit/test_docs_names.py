"""The documents name what exists: each path, module, class, function and field in code font is in the tree."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from curfew.aws.allowed_calls import CLIENT_SCOPES
from curfew.core import errors
from curfew.core.report import Result
from curfew.schemas.policy_file import KEYS

ROOT = Path(__file__).parents[2]
# The changelog also names what was removed.
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")} - {ROOT / "CHANGELOG.md"})
CODE_FOLDERS = ("functions", "curfew_simulator", "demo", "tools", "benchmarks", "tests")
FOLDERS = (*CODE_FOLDERS, "events", "layers", "docs", "requirements", ".ci", ".github")
WORDY = ("template.yaml", "spoke.yaml", "pyproject.toml", "docs/openapi.json")

# A text in code font is checked as a name only if it matches one of these.
FILE = re.compile(r"[\w*-][\w.*-]*(/[\w.*-]+)*\.(py|md|toml|txt|yaml|json|svg)")
FOLDER = re.compile(r"[\w-]+/([\w-]+(/|$))*")
DOTTED = re.compile(r"(?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)(\(.*\))?")
FIELD = re.compile(r"\.[a-z_]+")  # in a row of fields: it has the prefix of the one before
CALL = re.compile(r"(?P<name>[A-Za-z_]\w*)\(.*\)")
WORD = re.compile(
    r"[A-Z]\w*[a-z]\w*"  # CamelCase
    r"|_?[a-z][a-z0-9]*(_[a-z0-9]+)+|_[a-z]+"  # snake_case
    r"|(?!AWS_)[A-Z][A-Z0-9]*(_[A-Z0-9]+)+"  # CONSTANT_CASE; the SDK reads variables that begin with AWS_
)
FENCED = re.compile(r"^[ >]*(```|~~~).*?^[ >]*\1 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")

# Names of other projects that are not in the tree.
FOREIGN = {
    "clouds.yaml",  # openstacksdk's
    "correlation_id",  # Powertools' field of a log line
    "mock_aws",  # moto's decorator
    "Errors",  # a metric of AWS Lambda
    *("cron", "rate"),  # EventBridge's expressions
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names that a document may use.

    ``words`` are all identifiers and strings; ``fields`` those of the log and the file.
    """

    paths: frozenset[str]
    modules: Mapping[tuple[str, ...], frozenset[str]]
    classes: Mapping[str, frozenset[str]]
    callables: frozenset[str]
    words: frozenset[str]
    fields: frozenset[str]
    packages: frozenset[str]

    def problem(self, text: str) -> str:
        """Return why a text in code font names nothing, or an empty text if it does, or is no name of the code."""
        if text in FOREIGN:
            return ""
        if FILE.fullmatch(text):
            return "" if self._has_path(text) else "no such file"
        if FOLDER.fullmatch(text):
            known = self._has_path(text.rstrip("/")) or not self._is_path(text)
            return "" if known else "no such folder"
        if text in self.words:
            return ""
        if dotted := DOTTED.fullmatch(text):
            return "" if self._resolves(dotted["name"]) else "no such member"
        if call := CALL.fullmatch(text):
            return "" if call["name"] in self.callables | FOREIGN else "no such function"
        return "no such name" if WORD.fullmatch(text) else ""

    def _has_path(self, text: str) -> bool:
        return any(fnmatch(path, text) or fnmatch(path, f"*/{text}") for path in self.paths)

    def _is_path(self, text: str) -> bool:
        """Return whether a text with a slash is a path: it begins with a top folder, or ends with a slash."""
        return text.endswith("/") or text.partition("/")[0] in FOLDERS

    def _resolves(self, name: str) -> bool:
        parts = name.split(".")
        if name in self.fields or self.fields.issuperset(parts):
            return True
        # A lower-case word before the dot may be a variable of a class, in an example.
        for class_ in (parts[0], parts[0].title().replace("_", "")):
            if class_ in self.classes:
                return self._has_member(class_, parts[1:])
        places = range(len(parts), 0, -1)
        if any(self._in_module(parts[:length], parts[length:]) for length in places):
            return True
        ours = {part for module in self.modules for part in module}
        return parts[0] in self.packages and parts[0] not in ours

    def _in_module(self, suffix: Sequence[str], rest: Sequence[str]) -> bool:
        """Return whether a module with this suffix has the rest: nothing, one of its names, or a member of a class."""
        for module, own in self.modules.items():
            if module[-len(suffix) :] != tuple(suffix):
                continue
            if not rest or (rest[0] in own and (len(rest) == 1 or self._has_member(*rest[:2]))):
                return True
        return False

    def _has_member(self, class_: str, rest: Sequence[str] | str) -> bool:
        first = rest if isinstance(rest, str) else rest[0]
        return first in self.classes.get(class_, ())


@cache
def names() -> Names:
    """Return the names of this repository."""
    files = [file for top in FOLDERS for file in (ROOT / top).rglob("*") if file.is_file()]
    files += [file for file in ROOT.iterdir() if file.is_file()]
    paths = {file.relative_to(ROOT) for file in files if "__pycache__" not in file.parts}
    trees = {
        path: ast.parse((ROOT / path).read_text("utf-8"))
        for path in paths
        if path.suffix == ".py" and path.parts[0] in CODE_FOLDERS and path != Path(__file__).relative_to(ROOT)
    }  # fmt: skip
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    classes: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            classes.setdefault(node.name, set()).update(members(node))
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    words = {word for node in nodes for word in words_of(node)}
    for name in WORDY:
        words.update(re.findall(r"\w+", (ROOT / name).read_text("utf-8")))
    words.update(call.operation for one in CLIENT_SCOPES for call in (*one.reads, *one.changes))
    render = trees[Path("functions/curfew/reporting/render.py")]
    return Names(
        paths=frozenset({p.as_posix() for path in paths for p in (path, *path.parents)}),
        modules={
            path.with_suffix("").parts: frozenset(name for node in tree.body for name in defines(node))
            for path, tree in trees.items()
        } | {path.parent.parts: frozenset() for path in trees},
        classes={name: frozenset(found) for name, found in classes.items()},
        callables=frozenset(node.name for node in nodes if isinstance(node, defined)),
        words=frozenset(words),
        fields=frozenset(KEYS | set(log_fields(render))),
        packages=frozenset(sys.stdlib_module_names | packages_distributions().keys()),
    )  # fmt: skip


def members(class_: ast.ClassDef) -> Iterator[str]:
    for node in class_.body:
        yield from defines(node)
    for inner in ast.walk(class_):
        match inner:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def defines(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.TypeAlias(name=ast.Name(id=name)):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def words_of(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node defines, or the string that it is. A docstring is never as short as a name."""
    if isinstance(node, ast.stmt):
        yield from defines(node)
    match node:
        case ast.arg(arg=name) | ast.keyword(arg=str(name)):
            yield name
        case ast.Attribute(attr=name, ctx=ast.Store()):
            yield name
        case ast.Constant(value=str() as text):
            yield text


def log_fields(render: ast.Module) -> Iterator[str]:
    """Yield the fields of the two kinds of log lines: the keys that the functions return which make them."""
    for function in render.body:
        match function:
            case ast.FunctionDef(name="summary" | "row" as name):
                prefix = "sweep" if name == "summary" else "verdict"
                for node in ast.walk(function):
                    if isinstance(node, ast.Dict):
                        keys = [key for key in node.keys if isinstance(key, ast.Constant)]
                        yield from (f"{prefix}.{key.value!s}" for key in keys)
    yield from (f"sweep.{str(result).replace('-', '_')}" for result in Result)


def problems(text: str) -> list[str]:
    """Return what a document names that does not exist."""
    found = []
    prefix = ""
    for one in dict.fromkeys(CODE.findall(FENCED.sub("", text))):
        full = f"{prefix}{one}" if FIELD.fullmatch(one) else one
        prefix = full.rpartition(".")[0] if DOTTED.fullmatch(full) else ""
        if why := names().problem(full):
            found.append(f"{full}: {why}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_names_only_what_exists(page: Path) -> None:
    assert problems(page.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "name",
    [
        "sweep/no_such_module.py",
        "core/plans.yaml",
        "handlers/no_such_folder/",
        "tests/no_such_folder",
        "no_such_module.call",
        "core.no_such_module",
        "core.plan.no_such_function",
        "no_such_function()",
        "no_such_function(sweep, mode)",
        "NoSuchClass",
        "Provider.no_such_method",
        "App.no_such_field",
        "no_such_function",
        "_no_such_method",
        "NO_SUCH_CONSTANT",
        "sweep.no_such_field",
    ],
)
def test_invented_name_is_found(name: str) -> None:
    assert len(problems(f"Here `{name}` is named, and `core/plan.py`.")) == 1


@pytest.mark.parametrize(
    "name",
    [
        "sweep/planner.py",
        "docs/decisions/",
        "tests/unit/test_*.py",
        "core.plan.judge",
        "judge(instance, policy, now)",
        "Provider.terminate",
        "ZoneWorker",
        "DescribeInstances",
        "SweepFunction",
        "datetime.now",
        "unittest.mock.patch",
        "targets.clouds",
        "sweep.kept_at_recheck",
        "TERMINATE",
        "AWS/Lambda",
        "terminate-requested",
        "make demo",
        "rate(5 minutes)",
        "/aws/lambda/<stack>-sweep",
    ],
)
def test_real_name_and_text_of_another_form_are_not_found(name: str) -> None:
    assert problems(f"Here `{name}` is named.") == []


def test_field_of_a_log_line_is_checked_with_the_prefix_before_it() -> None:
    assert problems("`sweep.status`, `.problem`, `.invented`") == ["sweep.invented: no such member"]


def tree_of(text: str) -> dict[str, str]:
    """Return each class of a drawn error tree with its parent."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in re.findall(r"^[│├└─ ]*\w+Error\b", text, re.MULTILINE):
        name = re.search(r"\w+$", line)
        assert name
        depth = name.start() // 4
        above[depth:] = [name[0]]
        parents[name[0]] = above[depth - 1] if depth else ""
    return parents


def test_error_tree_of_the_glossary_is_the_tree_of_the_classes() -> None:
    drawn = (ROOT / "docs/glossary.md").read_text("utf-8").partition("\n## Errors\n")[2]
    classes = {
        name: found.__bases__[0].__name__ if found is not errors.CurfewError else ""
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.CurfewError)
    }

    assert tree_of(drawn) == classes


def folders_of(text: str) -> set[str]:
    """Return the folders of a drawn tree, each with its path: a name with a slash at its end, indented by two."""
    found: set[str] = set()
    above: list[str] = []
    for indent, name in re.findall(r"^( *)([\w./-]+)/(?= |$)", text, re.MULTILINE):
        above[len(indent) // 2 :] = [name]
        found.add("/".join(above))
    return found


def test_tree_of_the_architecture_has_every_package_and_no_other_folder() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    (drawn,) = re.findall(r"```text\n(template\.yaml.*?)```", page, re.DOTALL)
    packages = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("functions/curfew", "curfew_simulator")
        for path in (ROOT / top).rglob("__init__.py")
    }

    assert packages <= folders_of(drawn)
    assert all((ROOT / folder).is_dir() for folder in folders_of(drawn))
