"""The mutation gate: every mutant of the core and of act is killed by a test, or explained.

python -m tools.mutants [--children N] [pattern ...]

mutmut changes the code in functions, ``tools.leftovers`` the rest. Each survivor has to be listed in
tests/mutants.toml with the reason why no test can tell it from the original, and what is listed has to survive.
An explanation is known by its module, its place and the lines that change, so that it outlives edits elsewhere.
With patterns of names (``curfew.core.plan*``), only these are made, and no explanation is missed.
"""

import argparse
import fnmatch
import os
import shutil
import subprocess
import sys
import textwrap
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREE = ROOT / ".cache" / "mutants"
LIST = ROOT / "tests" / "mutants.toml"
LINKS = {"curfew": "functions/curfew", "tests": "tests", "pyproject.toml": "pyproject.toml"}
KILLED = frozenset({"killed", "timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change, known by where it is and the lines that it changes."""

    module: str
    place: str
    change: str

    def __str__(self) -> str:
        head = f'[[mutant]]\nmodule = "{self.module}"\nplace = "{self.place}"\n'
        return f"{head}change = '''\n{self.change}'''\nreason = \"\"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant, in mutmut's words: killed, timeout, survived, no tests, suspicious, segfault …."""

    mutant: Mutant
    status: str


def explained(text: str) -> dict[Mutant, str]:
    """The list of the mutants that are no fault, each with its reason. Raises ValueError for one without."""
    reasons: dict[Mutant, str] = {}
    for entry in tomllib.loads(text).get("mutant", []):
        mutant = Mutant(module=entry["module"], place=entry["place"], change=entry["change"])
        if not entry.get("reason", "").strip():
            raise ValueError(f"no reason is given for\n{mutant}")
        if mutant in reasons:
            raise ValueError(f"explained twice:\n{mutant}")
        reasons[mutant] = entry["reason"]
    return reasons


def judge(
    verdicts: Sequence[Verdict], reasons: dict[Mutant, str], *, whole: bool
) -> tuple[list[Verdict], list[Mutant]]:
    """Return the survivors without an explanation, and the explanations that fit no survivor any more."""
    alive = [verdict for verdict in verdicts if verdict.status not in KILLED]
    unexplained = [verdict for verdict in alive if verdict.mutant not in reasons]
    survived = {verdict.mutant for verdict in alive}
    return unexplained, [mutant for mutant in reasons if whole and mutant not in survived]


def report_of(verdicts: Sequence[Verdict], unexplained: Sequence[Verdict]) -> str:
    """The count, for people."""
    counts = Counter(verdict.status for verdict in verdicts)
    alive = sum(count for status, count in counts.items() if status not in KILLED)
    killed = f"{counts['killed']} killed, {counts['timeout']} timed out"
    return f"{len(verdicts)} mutants: {killed}, {alive - len(unexplained)} explained, {len(unexplained)} unexplained"


def changed_lines(before: Iterable[str], after: Iterable[str]) -> str:
    """The lines that go and those that come, without the lines around them and their indentation."""
    lines = list(unified_diff([*before], [*after], lineterm="", n=0))[2:]
    kept = [line for line in lines if not line.startswith("@@")]
    signs = [line[0] for line in kept]
    texts = textwrap.dedent("\n".join(line[1:] for line in kept)).split("\n")
    return "".join(
        f"{sign} {text}".rstrip() + "\n" for sign, text in zip(signs, texts, strict=True)
    )


def mutmuts(children: int, patterns: Sequence[str]) -> Iterator[Verdict]:
    """Run mutmut, and read what it found."""
    mutmut = Path(sys.executable).with_name("mutmut")
    subprocess.run(
        [mutmut, "run", "--max-children", str(children), *patterns], cwd=TREE, check=True
    )
    os.chdir(TREE)  # mutmut has no other way to find its files
    from mutmut.mutation.data import SourceFileMutationData  # noqa: PLC0415
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # noqa: PLC0415
    from mutmut.stats import status_by_exit_code  # noqa: PLC0415
    from mutmut.utils.file_utils import walk_mutatable_files  # noqa: PLC0415
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key  # noqa: PLC0415

    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                continue
            function, class_ = orig_function_and_class_names_from_key(name)
            lines = get_diff_for_mutant(name, path=path).split("\n")[2:]
            mutant = Mutant(
                module=module_of(path),
                place=".".join(filter(None, (class_, function))),
                change=changed_lines(
                    [line[1:] for line in lines if line[:1] in (" ", "-")],
                    [line[1:] for line in lines if line[:1] in (" ", "+")],
                ),
            )
            yield Verdict(mutant=mutant, status=status_by_exit_code[code])


def leftovers(children: int, patterns: Sequence[str]) -> Iterator[Verdict]:
    """Make and judge what mutmut leaves alone."""
    from mutmut.stats import status_by_exit_code  # noqa: PLC0415
    from mutmut.utils.file_utils import walk_mutatable_files  # noqa: PLC0415

    from tools import leftovers as made  # noqa: PLC0415

    sources = {module_of(path): path.read_text("utf-8") for path in walk_mutatable_files()}
    chosen = {
        module: source
        for module, source in sources.items()
        if not patterns or any(fnmatch.fnmatch(module, pattern) for pattern in patterns)
    }
    rounds = {module: rounds_of(module) for module in chosen}
    for same in (made.unchanged(module, source) for module, source in chosen.items()):
        for _, code in made.judged([same], TREE, {same.module: rounds[same.module][:1]}, 1):
            if code != made.SURVIVED:
                raise SystemExit(f"the tests fail on {same.module} as it is: nothing is proved")
    waiting = [
        leftover for module, source in chosen.items() for leftover in made.leftovers(module, source)
    ]
    for count, (leftover, code) in enumerate(made.judged(waiting, TREE, rounds, children), 1):
        sys.stdout.write(f"\r{count}/{len(waiting)} leftovers")
        sys.stdout.flush()
        change = changed_lines(leftover.before.split("\n"), leftover.after.split("\n"))
        mutant = Mutant(module=leftover.module, place=leftover.place, change=change)
        # 2 and 4: the tests could not even be collected, for the import of what was changed failed.
        status = "killed" if code in (2, 4) else status_by_exit_code[code]
        yield Verdict(mutant=mutant, status=status)
    sys.stdout.write("\n")


def rounds_of(module: str) -> list[list[str]]:
    """What pytest is to be called with, one after another: the sooner a test fails, the better."""
    from mutmut.configuration import config  # noqa: PLC0415

    settings = config()
    selection = settings.pytest_add_cli_args_test_selection
    names = ("test_stable_values", f"test_{module.rpartition('.')[2]}")
    nearest = [[tests for tests in selection if name in tests] for name in names]
    arguments = [
        *settings.pytest_add_cli_args,
        # hypothesis is imported before pytest could rewrite its assertions
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    return [["-x", "-q", *tests, *arguments] for tests in (*nearest, selection) if tests]


def module_of(path: Path) -> str:
    """The module that a file of the tree holds."""
    return ".".join(path.with_suffix("").parts)


def lay_out() -> None:
    """An empty tree, in which a module's path is its name, as mutmut wants it."""
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    for name, target in LINKS.items():
        (TREE / name).symlink_to(ROOT / target)


def main(arguments: Sequence[str]) -> int:
    """Make the mutants, judge them, compare with the list; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1)
    parser.add_argument("patterns", nargs="*")
    chosen = parser.parse_args(arguments)
    reasons = explained(LIST.read_text("utf-8"))
    began = time.monotonic()
    lay_out()
    verdicts = [
        *mutmuts(chosen.children, chosen.patterns),
        *leftovers(chosen.children, chosen.patterns),
    ]
    unexplained, idle = judge(verdicts, reasons, whole=not chosen.patterns)
    for verdict in unexplained:
        sys.stdout.write(f"\n# {verdict.status}, and not explained\n{verdict.mutant}")
    for mutant in idle:
        sys.stdout.write(f"\n# explained, and no survivor any more\n{mutant}")
    minutes = (time.monotonic() - began) / 60
    sys.stdout.write(f"\n{report_of(verdicts, unexplained)}, in {minutes:.0f} minutes\n")
    return 1 if unexplained or idle else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
