"""EC2's filters: all filters of a call have to match, each by any of its values. Values are patterns.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..protocols import ApiError, instant
from .machine import Machine, SpotRequest

MOST_VALUES = 200

type Values[T] = Callable[[T], Iterable[str]]


def predicate[T](
    asked: Sequence[Mapping[str, Any]],
    names: Mapping[str, Values[T]],
    tags: Callable[[T], Mapping[str, str]],
) -> Callable[[T], bool]:
    """Return a function that tells whether a thing matches all filters of a request.

    Raise ApiError for an unknown filter or for too many values.
    """
    if sum(len(one.get("Value", [])) for one in asked) > MOST_VALUES:
        said = f"The maximum number of filter values specified on a single call is {MOST_VALUES}"
        raise ApiError("FilterLimitExceeded", said)
    tests: list[tuple[Values[T], list[re.Pattern[str]]]] = []
    for one in asked:
        name = one.get("Name", "")
        patterns = [pattern(value) for value in one.get("Value", [])]
        tests.append((_values(name, names, tags), patterns))

    def matches(thing: T) -> bool:
        return all(
            any(p.fullmatch(value) for value in values(thing) for p in patterns)
            for values, patterns in tests
        )

    return matches


def _values[T](
    name: str, names: Mapping[str, Values[T]], tags: Callable[[T], Mapping[str, str]]
) -> Values[T]:
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda thing: [tags(thing)[key]] if key in tags(thing) else []
    if name == "tag-key":
        return lambda thing: tags(thing).keys()
    if name not in names:
        raise ApiError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return names[name]


@lru_cache(maxsize=4096)
def pattern(text: str) -> re.Pattern[str]:
    """Compile a filter value. ``*`` matches any text, ``?`` one character; a backslash makes either literal."""
    special = {"*": ".*", "?": "."}
    parts = re.findall(r"\\.|.", text, re.DOTALL)
    return re.compile("".join(special.get(p) or re.escape(p[-1]) for p in parts), re.DOTALL)


def _given(value: str) -> list[str]:
    return [value] if value else []


def _bool(value: object) -> list[str]:
    return [str(bool(value)).lower()]


# Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html, which documents
# more filters than these; the simulator refuses the others.
INSTANCES: Mapping[str, Values[Machine]] = {
    "availability-zone": lambda m: [m.zone],
    "block-device-mapping.volume-id": lambda m: [volume.id for volume in m.volumes],
    "client-token": lambda m: _given(m.client_token),
    "image-id": lambda m: [m.image],
    "instance-id": lambda m: [m.id],
    "instance-lifecycle": lambda m: _given(m.lifecycle),
    "instance-state-code": lambda m: [str(m.state.code)],
    "instance-state-name": lambda m: [m.state.value],
    "instance-type": lambda m: [m.type],
    "launch-time": lambda m: [instant(m.started_at)],
    "metadata-options.http-tokens": lambda m: [m.http_tokens],
    "operator.managed": lambda m: _bool(m.managed_by),
    "operator.principal": lambda m: _given(m.managed_by),
    "reservation-id": lambda m: [m.reservation],
    "root-device-type": lambda m: [m.root_device],
    "spot-instance-request-id": lambda m: _given(m.spot_request),
    "subnet-id": lambda m: _given(m.subnet),
}

# Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotInstanceRequests.html
SPOT_REQUESTS: Mapping[str, Values[SpotRequest]] = {
    "instance-id": lambda r: _given(r.instance),
    "spot-instance-request-id": lambda r: [r.id],
    "state": lambda r: [r.state.value],
    "status-code": lambda r: [r.status],
    "type": lambda r: ["persistent" if r.persistent else "one-time"],
}
