"""*request*: foreign data comes in here and nowhere else: events and the policy file.

An unknown key is an error, an empty selector is an error, and neither is ever read as "everything".
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from .complaints import complaints
from .core.errors import RequestError
from .core.model import ActionKind, Mode, State
from .core.policy import ALWAYS_PROTECTED, Limits, Policy, Protection, Selector, TagFilter
from .fields import (
    Count,
    Duration,
    ImageId,
    InstanceType,
    InstanceTypes,
    Name,
    Percent,
    Regions,
    States,
    TagKey,
    TagKeys,
    TagTexts,
    TagValue,
    TimeZone,
)

# What holds where the file says nothing is the core's to say.
PROTECTION = Protection()
LIMITS = Limits()


class Strict(BaseModel):
    """Refuses what it does not know, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TagValues(Strict):
    """The values of a tag that match: a text, a list of texts, or patterns under ``like``."""

    values: TagTexts = ()
    like: TagTexts = ()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.values and not self.like:
            raise ValueError("needs a value, a list of values, or like: with a pattern")
        return self


def _tag_values(value: object) -> object:
    if isinstance(value, dict):
        return value
    if isinstance(value, str | list):
        return {"values": value}
    raise PydanticCustomError("string_type", "is not a text")


class _ShortOrLong:
    """Tells the JSON Schema that a text or a list may stand for the whole."""

    @staticmethod
    def __get_pydantic_json_schema__(
        core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "maxLength": 256}
        return {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}, handler(core)]}


type TagMatch = Annotated[TagValues, BeforeValidator(_tag_values), _ShortOrLong]


class Select(Strict):
    """What a policy looks for. All conditions must hold."""

    states: States
    tags: dict[TagKey, TagMatch] = Field(default_factory=dict)
    with_tags: TagKeys = ()
    without_tags: TagKeys = ()
    instance_types: InstanceTypes = ()
    regions: Regions = ()

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if not (self.tags or self.with_tags or self.without_tags or self.instance_types):
            raise ValueError(
                "would select every instance: add tags, with_tags, without_tags or instance_types"
            )
        return self

    def selector(self) -> Selector:
        """The same in the core's words."""
        return Selector(
            states=frozenset(State(state) for state in self.states),
            tags=tuple(
                TagFilter(key=key, values=match.values, like=match.like)
                for key, match in self.tags.items()
            ),
            with_tags=self.with_tags,
            without_tags=self.without_tags,
            instance_types=self.instance_types,
            regions=self.regions,
        )


class Protect(Strict):
    """What is exempt, on top of the rules that always hold."""

    tags: TagKeys = PROTECTION.tags
    min_age: Duration = PROTECTION.min_age

    def protection(self) -> Protection:
        """The same in the core's words; the tag that always protects is always among them."""
        return Protection(
            tags=tuple(dict.fromkeys((ALWAYS_PROTECTED, *self.tags))), min_age=self.min_age
        )


class SweepLimits(Strict):
    """A policy's own limits, in place of the file's."""

    per_sweep: Count | None = None
    percent: Percent | None = None


class FileLimits(Strict):
    """The most that may go at once; zero means none."""

    per_sweep: Count = LIMITS.per_sweep
    percent: Percent = LIMITS.percent
    per_day: Count = LIMITS.per_day

    def limits(self, own: SweepLimits) -> Limits:
        """These limits with a policy's own in front."""
        return Limits(
            per_sweep=self.per_sweep if own.per_sweep is None else own.per_sweep,
            percent=self.percent if own.percent is None else own.percent,
            per_day=self.per_day,
        )


class PolicyEntry(Strict):
    """One policy of the file."""

    select: Select
    action: Literal["terminate", "stop"]
    older_than: Duration | None = None
    limits: SweepLimits = SweepLimits()

    @model_validator(mode="after")
    def _stoppable(self) -> Self:
        if self.action == "stop" and set(self.select.states) != {"running"}:
            raise ValueError("action stop needs states: [running]: nothing else can be stopped")
        return self


class FleetCount(Strict):
    """How many instances a launch makes."""

    default: Annotated[StrictInt, Field(ge=1)] = 1
    max: Annotated[StrictInt, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.default > self.max:
            raise ValueError(f"default is {self.default}, more than max, which is {self.max}")
        return self


class FleetEntry(Strict):
    """A template to launch from: nobody who launches chooses an image."""

    image: ImageId
    instance_types: Annotated[tuple[InstanceType, ...], Field(min_length=1)]
    count: FleetCount = FleetCount()
    tags: dict[TagKey, TagValue] = Field(default_factory=dict)


class File(Strict):
    """The whole of ``curfew.yaml``."""

    timezone: TimeZone = "UTC"
    protect: Protect = Protect()
    limits: FileLimits = FileLimits()
    policies: Annotated[dict[Name, PolicyEntry], Field(min_length=1)]
    fleets: dict[Name, FleetEntry] = Field(default_factory=dict)

    def policy(self, name: str, version: str) -> Policy:
        """A policy in the core's words."""
        entry = self.policies[name]
        return Policy(
            name=name,
            selector=entry.select.selector(),
            action=ActionKind(entry.action),
            older_than=entry.older_than,
            protection=self.protect.protection(),
            limits=self.limits.limits(entry.limits),
            version=version,
        )


def _text(value: object) -> object:
    if isinstance(value, int | float):  # which pydantic would take for seconds since 1970
        raise PydanticCustomError("string_type", "is not a text")
    return value


KEYS = frozenset(
    key
    for model in (File, Protect, FileLimits, PolicyEntry, Select, TagValues, FleetEntry, FleetCount)
    for key in model.model_fields
)


class SweepRequest(Strict):
    """What starts a sweep. ``schedule`` and ``scheduled_at`` come from EventBridge Scheduler."""

    policy: StrictStr
    regions: Regions = ()
    mode: Mode | None = None
    schedule: StrictStr = ""
    scheduled_at: Annotated[AwareDatetime, BeforeValidator(_text)] | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.schedule) != bool(self.scheduled_at):
            raise ValueError("has schedule or scheduled_at alone: they belong together")
        return self

    @classmethod
    def parse(cls, event: object) -> Self:
        """Read an event. Raises RequestError, which names each value that is wrong."""
        try:
            return cls.model_validate(event)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, path)) or 'it'} {problem}"
                for path, problem in complaints(error, cls.model_fields)
            )
            raise RequestError(f"the request for a sweep is not valid: {wrong}") from None
