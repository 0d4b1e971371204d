"""The kinds of value that may stand in foreign data, each with its check and its JSON Schema."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}"
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
Selectable = Literal["pending", "running", "stopping", "stopped"]


def _duration(value: object) -> timedelta:
    found = DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError(
            "is not a duration: write a whole number and a unit, as in 90m, 8h, 3d or 2w"
        )
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("is not a time zone: write a name such as Europe/Zurich or UTC") from None
    return value


def _some_type(value: str) -> str:
    if not set(value) - set("*?."):
        raise ValueError("means every instance type: name one, or a family as in t3.*")
    return value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Matching:
    """A text of a certain form, with a hint for whoever writes another."""

    pattern: str
    hint: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValueError(self.hint)
        return value


def _words(schema: dict[str, Any]) -> WithJsonSchema:
    several = {"type": "array", "items": schema, "minItems": 1}
    return WithJsonSchema({"anyOf": [schema, several]})


type Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$"}),
]
type TagKey = Annotated[StrictStr, Field(min_length=1, max_length=128)]
type TagValue = Annotated[StrictStr, Field(max_length=256)]
type Region = Annotated[
    StrictStr,
    _Matching(REGION, "is not a region: one looks like eu-central-1"),
]
type Regions = Annotated[
    tuple[Region, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "pattern": f"^{REGION}$"}),
]
type Name = Annotated[
    StrictStr,
    _Matching(r"[a-z0-9][a-z0-9-]{0,63}", "is not a name: lower-case letters, digits and hyphens"),
]
type TagKeys = Annotated[
    tuple[TagKey, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "minLength": 1, "maxLength": 128}),
]
type TagTexts = Annotated[
    tuple[TagValue, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "maxLength": 256}),
]
type States = Annotated[
    tuple[Selectable, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "enum": list(get_args(Selectable))}),
]
type InstanceType = Annotated[
    StrictStr,
    _Matching(r"[a-z0-9-]+\.[a-z0-9-]+", "is not an instance type: one looks like t3.small"),
]
type InstanceTypes = Annotated[
    tuple[Annotated[StrictStr, Field(min_length=1), AfterValidator(_some_type)], ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "minLength": 1}),
]
type Count = Annotated[StrictInt, Field(ge=0)]
type Percent = Annotated[StrictInt, Field(ge=0, le=100)]
type TimeZone = Annotated[StrictStr, AfterValidator(_zone)]
type ImageId = Annotated[
    StrictStr,
    _Matching(
        r"ami-[0-9a-f]{8}([0-9a-f]{9})?", "is not the id of an image: one looks like ami-08111162"
    ),
]
