"""What pydantic found wrong, said for people: where it stands, which value, what to do."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

type Path = tuple[str | int, ...]


def complaints(error: ValidationError, known: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Each thing that is wrong, and where. ``known`` are the keys that a misspelt one may have meant."""
    return said(error.errors(include_url=False), known)


def said(faults: Sequence[Mapping[str, Any]], known: Collection[str]) -> Iterator[tuple[Path, str]]:
    """The same for faults in pydantic's words that somebody else has caught."""
    for wrong in faults:
        path: Path = wrong["loc"]
        if wrong["type"] == "extra_forbidden":
            close = get_close_matches(str(path[-1]), set(known) - {path[-1]}, n=1)
            yield path, "is an unknown key" + (f'; did you mean "{close[0]}"?' if close else "")
        elif wrong["type"] != "too_short" or not any(_within(path, f["loc"]) for f in faults):
            yield path, _complaint(wrong)


def _within(path: Path, other: Path) -> bool:
    """Whether the other fault is inside: a list whose items are wrong is not empty as well."""
    return len(other) > len(path) and other[: len(path)] == path


def _complaint(wrong: Mapping[str, Any]) -> str:
    match wrong["type"]:
        case "missing":
            return "is missing"
        case "string_type":
            return f"is {_shown(wrong['input'])}, not a text: put it in quotes"
        case "value_error":
            said = str(wrong["ctx"]["error"])
            value = wrong["input"]
            return said if isinstance(value, Mapping) else f"{_shown(value)} {said}"
        case "too_short":
            return "is empty"
        case "greater_than_equal":
            return f"is {wrong['input']}, less than {wrong['ctx']['ge']}"
        case "less_than_equal":
            return f"is {wrong['input']}, more than {wrong['ctx']['le']}"
        case "literal_error" | "enum":
            return f"is {_shown(wrong['input'])}, not {wrong['ctx']['expected']}"
        case "dict_type" | "model_type":
            return f"is {_shown(wrong['input'])}, not a mapping of keys to values"
        case _:
            said = str(wrong["msg"])
            return f"is {_shown(wrong['input'])}: {said[0].lower()}{said[1:]}"


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
