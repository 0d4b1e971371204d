"""Generate responses of EC2 from the SDK's own model: some with every member, some random.

say(shape, "DescribeInstancesResponse")              # everything once
Chance(random).say(shape, "DescribeInstancesResponse")
"""

from random import Random
from typing import Any
from xml.sax.saxutils import escape

from curfew_simulator.cloud.protocols import NAMESPACES

TEXTS = (
    "", " ", "dev", "true", "pending", "running", "zombie", "aws:autoscaling:groupName", "a&b<c>\"d'", "ü→🌙", "]]>",
    "</item>", "<state>", "line\nbreak", "tab\there", "0", "i-0123456789abcdef0", "curfew:keep", "\u00a0", "{x}item",
)  # fmt: skip
TIMES = ("2026-03-04T05:06:07.000Z", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07.123Z")
BOOLEANS = ("true", "false", "TRUE", "1", "")
NUMBERS = ("0", "16", "-1", "80")


class Everything:
    """Generates every member once, every list with two items, and distinct values."""

    def __init__(self) -> None:
        self._said = 0

    def say(self, shape: Any, name: str) -> str:
        """Return the response for a shape, as XML."""
        inside = f'<{name} xmlns="{NAMESPACES["ec2"]}">{self._inside(shape)}</{name}>'
        return f'<?xml version="1.0" encoding="UTF-8"?>{inside}'

    def wants(self, shape: Any, member: str) -> bool:
        """Return whether the response has the member."""
        return True

    def count(self) -> int:
        """Return the number of items for a list."""
        return 2

    def value(self, kind: str) -> str:
        """Return a value for a type of the model."""
        self._said += 1
        if kind == "timestamp":
            return f"2026-03-04T05:06:{self._said % 60:02}.000Z"
        if kind == "boolean":
            return "true"
        return (
            str(self._said) if kind in {"integer", "long", "double", "float"} else f"v{self._said}"
        )

    def _inside(self, shape: Any) -> str:
        if shape.type_name == "structure":
            return "".join(
                self._element(part, part.serialization.get("name", member))
                for member, part in shape.members.items()
                if self.wants(shape, member)
            )
        if shape.type_name == "list":
            name = shape.member.serialization.get("name", "item")
            return "".join(self._element(shape.member, name) for _ in range(self.count()))
        return escape(self.value(shape.type_name))

    def _element(self, shape: Any, name: str) -> str:
        return f"<{name}>{self._inside(shape)}</{name}>"


class Rng(Everything):
    """Generates random members, lists of random length, and values similar to those that Curfew reads."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._share = random.choice((0.2, 0.5, 0.9))

    def wants(self, shape: Any, member: str) -> bool:
        return self._random.random() < self._share

    def count(self) -> int:
        return self._random.choice((0, 0, 1, 1, 2, 3))

    def value(self, kind: str) -> str:
        known = {"timestamp": TIMES, "boolean": BOOLEANS, "string": TEXTS}
        return self._random.choice(known.get(kind, NUMBERS))
