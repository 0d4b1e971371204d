"""The check of the language fails for a banned word in each place that a reader sees, and for no other reason."""

import subprocess
from pathlib import Path

import pytest

from tools import plain_english

BANNED = plain_english.banned_words()


def found(path: Path, text: str) -> list[tuple[int, str]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return list(plain_english.problems(path, BANNED))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", '"""Says\nwhom it means."""\n', 2),
        ("a.py", 'def f():\n    """Whom?"""\n', 2),
        ("a.py", "x = 1\n# whom it means\n", 2),
        ("a.py", "x = 1  # whom it means\n", 1),
        ("a.py", 'raise ValueError("whom")\n', 1),
        ("a.py", 'x = f"{1} whom"\n', 1),
        ("a.py", 'x = """\n\nwhom"""\n', 3),
        ("tests/test_a.py", "def test_whom_it_means():\n    pass\n", 1),
        ("tests/test_a.py", "class TestA:\n    async def test_whom(self):\n        pass\n", 2),
        ("tests/test_a.py", '"""Whom?"""\n', 1),
        ("a.md", "# Title\n\nWhom it means\n", 3),
        ("template.yaml", "Description: whom it means\n", 1),
        ("a.toml", "# whom it means\n", 1),
        ("Makefile", "help: ## whom it means\n", 1),
        (".ci/run", "# whom it means\n", 1),
    ],
)
def test_check_finds_banned_word(tmp_path: Path, name: str, text: str, line: int) -> None:
    ((at, problem),) = found(tmp_path / name, text)
    assert at == line
    assert problem.lower().startswith('"whom": write "name who it is')


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "whom = 1\n"),
        ("a.py", "# `whom` and ``whom`` are code\n"),
        ("tests/test_a.py", 'def test_it():\n    assert f() == "whom"\n'),
        ("a.md", "Run `whom`, or see [this](whom.md).\n\n```text\nwhom\n```\n\n~~~\nwhom\n~~~\n"),
    ],
)
def test_check_ignores_code(tmp_path: Path, name: str, text: str) -> None:
    assert found(tmp_path / name, text) == []


def test_every_banned_word_of_table_is_found(tmp_path: Path) -> None:
    words = (
        "whom whoever whomever whosoever nobody nobody's somebody anybody told born birth spared "
        "anew stands stand stood lane lanes wish errand loan lender relay remembered abreast deeds "
        "belts atlas hop complaint plots story props desk twin rim paced hasten witness"
    )
    for word in words.split():
        assert found(tmp_path / "a.md", f"It has {word} in it.\n"), word
    for phrase in ("put off", "handed on", "carry\non", "give up", "give-up", "frozen list"):
        assert found(tmp_path / "a.md", f"It has {phrase} in it.\n"), phrase


@pytest.mark.parametrize(
    "text",
    [
        "It stands for a call, stands in for EC2, and stands alone: stand-alone, standing, standard.",
        "A plane, an island, wishful, a relation, understand, understood, a shop, a planet, a belted one.",
        "operation, step, run, order, pace, frozen, list, remember, hand, carry, complain, tell, spare",
    ],
)
def test_ordinary_words_are_not_banned(tmp_path: Path, text: str) -> None:
    assert found(tmp_path / "a.md", text) == []


def test_test_name_has_at_most_75_characters(tmp_path: Path) -> None:
    longest = "test_" + 70 * "a"
    path = tmp_path / "tests" / "test_a.py"
    assert found(path, f"def {longest}():\n    pass\n") == []
    assert found(path, f"\ndef {longest}a():\n    pass\n") == [
        (2, f"{longest}a: 76 characters, 75 at most")
    ]


def test_main_prints_path_and_line_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    for name, text in {
        "good.md": "Fine\n",
        "in/bad.py": "# Fine\n# told\n",
        "bad.txt": "told",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert plain_english.main(["good.md"]) == 0
    assert capsys.readouterr().out == ""
    assert plain_english.main([]) == 1
    assert plain_english.main(["in"]) == 1
    line = 'in/bad.py:2: "told": write "informed, reported, passed, shown"\n'
    assert capsys.readouterr().out == 2 * line
