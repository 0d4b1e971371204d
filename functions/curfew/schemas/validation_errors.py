"""Describes pydantic's validation errors for people: where, which value, what to do."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

type Path = tuple[str | int, ...]


def validation_errors(error: ValidationError, known: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Yield the path and the description of each error. ``known`` are the keys that an unknown key may stand for."""
    return describe_errors(error.errors(include_url=False), known)


def describe_errors(
    faults: Sequence[Mapping[str, Any]], known: Collection[str]
) -> Iterator[tuple[Path, str]]:
    """Yield the same for errors in pydantic's format."""
    for wrong in faults:
        path: Path = wrong["loc"]
        if wrong["type"] == "extra_forbidden":
            close = get_close_matches(str(path[-1]), set(known) - {path[-1]}, n=1)
            yield path, "is an unknown key" + (f'; did you mean "{close[0]}"?' if close else "")
        elif wrong["type"] != "too_short" or not any(_within(path, f["loc"]) for f in faults):
            yield path, _describe_error(wrong)


def _within(path: Path, other: Path) -> bool:
    """Return whether the other error is inside: a list with invalid items is not reported as empty, too."""
    return len(other) > len(path) and other[: len(path)] == path


def _describe_error(wrong: Mapping[str, Any]) -> str:
    match wrong["type"]:
        case "missing":
            return "is missing"
        case "string_type":
            return f"is {_shown(wrong['input'])}, not a text: put it in quotes"
        case "value_error":
            text = str(wrong["ctx"]["error"])
            value = wrong["input"]
            return text if isinstance(value, Mapping) else f"{_shown(value)} {text}"
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
            text = str(wrong["msg"])
            return f"is {_shown(wrong['input'])}: {text[0].lower()}{text[1:]}"


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
