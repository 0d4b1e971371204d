"""*request*: validates the ``select`` of a policy."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from ..core.instance import State
from ..core.policy import Selector, TagFilter
from .fields import InstanceTypes, Regions, Selectable, States, Strict, TagKey, TagKeys, TagTexts


class TagValues(Strict):
    """The values of a tag that match: a text, a list of texts, or patterns in ``like``."""

    values: TagTexts = ()
    like: TagTexts = ()

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
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
    """Adds the short forms, a text or a list, to the JSON Schema."""

    @staticmethod
    def __get_pydantic_json_schema__(
        core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "maxLength": 256}
        return {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}, handler(core)]}


type TagMatch = Annotated[TagValues, BeforeValidator(_tag_values), _ShortOrLong]


class Select(Strict):
    """Which instances a policy selects. All conditions must hold."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["states"]}, {"required": ["lease"]}]}
    )

    states: States = ()
    lease: Literal["expired"] | None = None
    tags: dict[TagKey, TagMatch] = Field(default_factory=dict)
    with_tags: TagKeys = ()
    without_tags: TagKeys = ()
    instance_types: InstanceTypes = ()
    regions: Regions = ()

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if not self.states and not self.lease:
            raise ValueError("needs states, for example states: [running]")
        if not (
            self.lease or self.tags or self.with_tags or self.without_tags or self.instance_types
        ):
            raise ValueError(
                "would select every instance: add tags, with_tags, without_tags, instance_types or lease"
            )
        return self

    def selector(self) -> Selector:
        """Return the core's Selector."""
        return Selector(
            # A lease ends in whatever state the instance is.
            states=frozenset(State(state) for state in self.states or get_args(Selectable)),
            tags=tuple(
                TagFilter(key=key, values=match.values, like=match.like)
                for key, match in self.tags.items()
            ),
            with_tags=self.with_tags,
            without_tags=self.without_tags,
            instance_types=self.instance_types,
            regions=self.regions,
            expired=self.lease == "expired",
        )
