"""The types of values in foreign data, each with its validation and its JSON Schema."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
ACCOUNT = r"[0-9]{12}"
UNIT = r"(r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})"
REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}"
# The name of an OpenStack cloud in clouds.yaml. It begins with a letter, so it is never mistaken for an account.
CLOUD = r"[A-Za-z][A-Za-z0-9_-]{0,62}"
CLOUD_REGION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
PARAMETER = r"resolve:ssm:[\w./-]{1,1011}(:[\w.-]{1,128})?"
SUBNET = r"subnet-[0-9a-f]{8}([0-9a-f]{9})?"
GROUP = r"sg-[0-9a-f]{8}([0-9a-f]{9})?"
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
Selectable = Literal["pending", "running", "stopping", "stopped"]


class Strict(BaseModel):
    """An immutable model that rejects unknown keys."""

    # Built at first use: a cold start uses few models.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


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


def _text(value: object) -> object:
    # Pydantic would read a number, or a text of digits, as seconds since 1970.
    if isinstance(value, int | float):
        raise PydanticCustomError("string_type", "is not a text")
    if isinstance(value, str) and not DATE.match(value):
        raise ValueError("is not an instant: write one as in 2026-03-04T18:00:00Z")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range: write an instant from year 1 to year 9999") from None


def _own_key(value: str) -> str:
    if value.strip().casefold().startswith(("aws:", "curfew:")):
        raise ValueError("is a reserved key: choose one that does not begin with aws: or curfew:")
    return value


def _quoted(value: object) -> object:
    # YAML reads digits as a number, and digits with a leading zero as an octal number.
    if isinstance(value, int):
        raise ValueError("is a number here: put the account in quotes")
    return value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Matching:
    """Validates a text by a pattern; ``hint`` is the error text."""

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
type Instant = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_utc)]
type TagKey = Annotated[StrictStr, Field(min_length=1, max_length=128)]
type TagValue = Annotated[StrictStr, Field(max_length=256)]
type LaunchTags = Annotated[
    dict[Annotated[TagKey, AfterValidator(_own_key)], TagValue],
    # EC2 takes 50 tags; Curfew adds its own.
    # Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
    Field(max_length=40),
]
type Region = Annotated[
    StrictStr,
    Matching(REGION, "is not a region: one looks like eu-central-1"),
]
type Regions = Annotated[
    tuple[Region, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "pattern": f"^{REGION}$"}),
]
type AccountId = Annotated[
    StrictStr,
    BeforeValidator(_quoted),
    Matching(ACCOUNT, "is not an account: one has 12 digits"),
]
type AccountIds = Annotated[
    tuple[AccountId, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "pattern": f"^{ACCOUNT}$"}),
]
type CloudName = Annotated[
    StrictStr,
    Matching(CLOUD, "is not the name of a cloud: a letter, then letters, digits, - and _"),
]
type CloudRegion = Annotated[
    StrictStr,
    Matching(
        CLOUD_REGION,
        "is not a region of a cloud: one looks like RegionOne, as its catalogue has it",
    ),
]
type CloudRegions = Annotated[
    tuple[CloudRegion, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "pattern": f"^{CLOUD_REGION}$"}),
]
type Owner = Annotated[  # an AWS account, or an OpenStack cloud by its name
    StrictStr,
    BeforeValidator(_quoted),
    Matching(
        f"({ACCOUNT}|{CLOUD})",
        "is neither an account, which has 12 digits, nor the name of a cloud",
    ),
]
type Owners = Annotated[
    tuple[Owner, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "pattern": f"^({ACCOUNT}|{CLOUD})$"}),
]
type UnitIds = Annotated[
    tuple[
        Annotated[StrictStr, Matching(UNIT, "is not a unit: one looks like ou-abcd-12345678")], ...
    ],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "pattern": f"^{UNIT}$"}),
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
type Weekdays = Annotated[
    tuple[Weekday, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    _words({"type": "string", "enum": list(get_args(Weekday))}),
]
type TimeOfDay = Annotated[
    StrictStr, Matching(CLOCK, 'is not a time of day: write one in quotes, as in "18:00"')
]
type Name = Annotated[
    StrictStr,
    Matching(r"[a-z0-9][a-z0-9-]{0,63}", "is not a name: lower-case letters, digits and hyphens"),
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
    Matching(r"[a-z0-9-]+\.[a-z0-9-]+", "is not an instance type: one looks like t3.small"),
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
    Matching(
        rf"(ami-[0-9a-f]{{8}}([0-9a-f]{{9}})?|{PARAMETER})",
        "is not an image: write an id as in ami-08111162, or resolve:ssm: and a parameter's name",
    ),
]
type CloudWord = Annotated[StrictStr, Field(min_length=1, max_length=255)]
type CloudWords = Annotated[
    tuple[CloudWord, ...],
    BeforeValidator(_several),
    Field(min_length=1, max_length=16),
    _words({"type": "string", "minLength": 1, "maxLength": 255}),
]
type SubnetIds = Annotated[
    tuple[Annotated[StrictStr, Matching(SUBNET, "is not the id of a subnet")], ...],
    BeforeValidator(_several),
    Field(min_length=1, max_length=16),
    _words({"type": "string", "pattern": f"^{SUBNET}$"}),
]
type SecurityGroupIds = Annotated[
    tuple[Annotated[StrictStr, Matching(GROUP, "is not the id of a security group")], ...],
    BeforeValidator(_several),
    Field(min_length=1, max_length=16),
    _words({"type": "string", "pattern": f"^{GROUP}$"}),
]
