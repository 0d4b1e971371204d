"""Check the language: no banned word in docstrings, comments, texts and docs, and no overlong test name.

python -m tools.plain_english [path ...]

The words are in plain_english.toml. Checked are docstrings and comments of Python files, names of tests, string
literals outside of tests/ and in tests/e2e (``make`` prints those), Markdown without its code, and every YAML, TOML,
shell and make file. Code between backticks is not checked. Without paths, all files that git knows are checked.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeIs

TABLE = Path(__file__).with_suffix(".toml")
LONGEST = 75  # characters of a test's name
SUFFIXES = frozenset({".py", ".md", ".yaml", ".yml", ".toml", ".sh"})
NAMES = frozenset({"Makefile", ".ci/run"})
CODE = re.compile(r"``.+?``|`[^`\n]+`")
MARKDOWN_CODE = re.compile(  # blocks, and the targets of links
    r"^[ >]*(```|~~~).*?^[ >]*\1 *$|\]\([^)\n]*\)", re.MULTILINE | re.DOTALL
)

type Text = tuple[int, str]  # with its first line


def banned_words() -> dict[re.Pattern[str], str]:
    """Return each banned pattern with what to write instead."""
    table: dict[str, str] = tomllib.loads(TABLE.read_text("utf-8"))["words"]
    return {
        re.compile(rf"(?<![a-z])(?:{word.replace(' ', r'\s+')})(?![a-z])", re.IGNORECASE): instead
        for word, instead in table.items()
    }


def problems(path: Path, banned: dict[re.Pattern[str], str]) -> Iterator[tuple[int, str]]:
    """Yield what is wrong in a file, each with its line. Raise SyntaxError if it is not valid Python."""
    source = path.read_text("utf-8")
    if path.suffix == ".py":
        tests = [node for node in ast.walk(ast.parse(source)) if _is_test(node)]
        texts = [(node.lineno, node.name.replace("_", " ")) for node in tests]
        texts += _prose(source, literals="tests" not in path.parts or "e2e" in path.parts)
        for node in tests:
            if len(node.name) > LONGEST:
                yield node.lineno, f"{node.name}: {len(node.name)} characters, {LONGEST} at most"
    else:
        texts = [(1, _blank(MARKDOWN_CODE, source) if path.suffix == ".md" else source)]
    for first, text in texts:
        prose = _blank(CODE, text)
        for word, instead in banned.items():
            for found in word.finditer(prose):
                line = first + prose.count("\n", 0, found.start())
                yield line, f'"{" ".join(found[0].split())}": write "{instead}"'


def _prose(source: str, *, literals: bool) -> Iterator[Text]:
    """Yield the comments and docstrings of a Python file, and all other string literals if asked."""
    docstrings = {
        (node.lineno, node.col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        literal = literals and token.type in {tokenize.STRING, tokenize.FSTRING_MIDDLE}
        if literal or token.type == tokenize.COMMENT or token.start in docstrings:
            yield token.start[0], token.string


def _is_test(node: ast.AST) -> TypeIs[ast.FunctionDef | ast.AsyncFunctionDef]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return node.name.startswith("test_")


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace what matches by blanks, so that lines keep their numbers."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def files(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the files to check, of the current folder or of the given files and folders in it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)
    for path in map(Path, sorted(filter(None, listing.stdout.split("\0")))):
        checked = path.suffix in SUFFIXES or path.as_posix() in NAMES
        if checked and path.is_file() and path.resolve() != TABLE:
            yield path


def main(arguments: list[str]) -> int:
    """Print each problem with its file and line. Return 1 if there is one, else 0."""
    banned = banned_words()
    found = [
        f"{path}:{line}: {problem}\n"
        for path in files(arguments)
        for line, problem in sorted(set(problems(path, banned)))
    ]
    sys.stdout.writelines(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
