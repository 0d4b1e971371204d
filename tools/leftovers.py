"""Mutants of what mutmut leaves alone: constants, defaults, words of an enumeration, decorated functions.

mutmut puts its mutants beside the function, in one file, and so has none of what runs at import or behind a
decorator. Here the same operators change one place of a module, and a forked child imports the changed module and
runs the tests against it.
"""

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import cast

import libcst as cst
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import Mutation, MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

TIMEOUT = 300
KILLED, SURVIVED, TIMED_OUT = 1, 0, 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A module with one change: where it is, the source before and after."""

    module: str
    place: str
    before: str
    after: str


class _Visitor(MutationVisitor):
    """mutmut's own, but for decorated functions, which it would skip, and types, which never run."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef) and node.decorators:
            return False
        return isinstance(node, cst.TypeAlias) or super()._skip_node_and_children(node)


def unchanged(module: str, source: str) -> Leftover:
    """The module as it is. If it does not survive, nothing that is killed proves anything."""
    return Leftover(module=module, place="", before=source, after=source)


def leftovers(module: str, source: str) -> Iterator[Leftover]:
    """Every mutant of the module that mutmut does not make."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    tree = wrapper.visit(visitor)
    for mutation in visitor.mutations:
        if not (_is_mutmuts(mutation.contained_by_top_level_function) or _is_repeated(mutation)):
            yield Leftover(
                module=module,
                place=_place(tree, mutation),
                before=source,
                after=_changed(tree, mutation),
            )


def _is_mutmuts(function: cst.CSTNode | None) -> bool:
    return isinstance(function, cst.FunctionDef) and not function.decorators


def _is_repeated(mutation: Mutation) -> bool:
    """Whether another mutant changes the same constant already: one change of each is enough."""
    before, after = mutation.original_node, mutation.mutated_node
    if isinstance(before, cst.Assign | cst.AnnAssign):
        return isinstance(before.value, cst.SimpleString | cst.BaseNumber) or (
            isinstance(before.value, cst.Name) and before.value.value in {"True", "False"}
        )
    return (
        isinstance(before, cst.SimpleString)
        and isinstance(after, cst.SimpleString)
        and before.value.casefold() == after.value.casefold()
    )


def _changed(tree: cst.Module, mutation: Mutation) -> str:
    changed = tree.deep_replace(mutation.original_node, mutation.mutated_node)
    return cast("cst.Module", changed).code


def _place(tree: cst.Module, mutation: Mutation) -> str:
    """The names of the class and of the function around a mutation, as far as there are any."""

    def around(body: Sequence[cst.CSTNode]) -> list[str]:
        for node in body:
            if isinstance(node, cst.ClassDef | cst.FunctionDef) and _holds(node, mutation):
                return [node.name.value, *around(node.body.body)]
        return []

    return ".".join(around(tree.body))


def _holds(node: cst.CSTNode, mutation: Mutation) -> bool:
    return node is mutation.original_node or any(_holds(child, mutation) for child in node.children)


class _Changed(MetaPathFinder, Loader):
    """Imports one module from a source of our own."""

    def __init__(self, leftover: Leftover, place: Path) -> None:
        self._leftover = leftover
        self._place = place

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._leftover.module:
            return None
        return spec_from_loader(fullname, self, origin=str(self._place))

    def exec_module(self, module: ModuleType) -> None:
        code = compile(self._leftover.after, str(self._place), "exec")
        exec(code, module.__dict__)  # noqa: S102  a module's own code, with one change


def judged(
    waiting: Sequence[Leftover],
    tree: Path,
    rounds: Mapping[str, Sequence[Sequence[str]]],
    children: int,
) -> Iterator[tuple[Leftover, int]]:
    """Run the tests against each mutant, a few at a time: with what exit code they end.

    ``rounds`` has the arguments of pytest for each module, from the likeliest tests to all of them.
    """
    _warm()
    left = list(reversed(waiting))
    running: dict[int, Leftover] = {}
    while left or running:
        while left and len(running) < children:
            leftover = left.pop()
            running[_fork(leftover, tree, rounds[leftover.module])] = leftover
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        yield running.pop(pid), TIMED_OUT if code == -signal.SIGALRM else code


def _warm() -> None:
    """Import what every child would, and forget what may be changed."""
    import hypothesis  # noqa: F401, PLC0415
    import pytest  # noqa: F401, PLC0415

    import curfew.bootstrap  # noqa: PLC0415
    import curfew.providers.ec2.provider  # noqa: PLC0415
    import curfew.schemas.policy_file  # noqa: F401, PLC0415

    for name in [name for name in sys.modules if name.partition(".")[0] == "curfew"]:
        del sys.modules[name]


def _fork(leftover: Leftover, tree: Path, rounds: Sequence[Sequence[str]]) -> int:
    if pid := os.fork():
        return pid
    code = KILLED
    try:
        signal.alarm(TIMEOUT)
        os.chdir(tree)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        place = tree / (leftover.module.replace(".", "/") + ".py")
        sys.meta_path.insert(0, _Changed(leftover, place))
        import pytest  # noqa: PLC0415

        for arguments in rounds:
            if code := int(pytest.main([*arguments])):
                break
    except BaseException:  # noqa: BLE001  whatever it is, this child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)
