"""Loads ``curfew.yaml``. Errors name file, line and key."""

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import ValidationError

from ..core.errors import ConfigError, RequestError
from ..core.policy import Policy
from ..core.schedule import Schedule
from ..schemas.policy_file import KEYS, File
from ..schemas.templates import CloudFleetEntry, FleetEntry
from ..schemas.validation_errors import validation_errors

# Before base64 encoding. Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
USER_DATA_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """A valid policy file. ``version`` is the fingerprint of its bytes."""

    path: Path
    version: str
    content: File
    root: yaml.Node | None = field(default=None, repr=False, compare=False)

    @property
    def timezone(self) -> ZoneInfo:
        """The time zone of days and times of day."""
        return ZoneInfo(self.content.timezone)

    def place(self, *keys: str) -> str:
        """Return file, line and key, for a message."""
        return f"{self.path}:{_line(self.root, keys)}: {'.'.join(keys)}"

    def policy(self, name: str) -> Policy:
        """Return a policy by name. Raises RequestError if there is none."""
        if name not in self.content.policies:
            raise RequestError(_unknown("policy", name, self.path, list(self.content.policies)))
        return self.content.policy(name, self.version)

    def schedules(self) -> tuple[Schedule, ...]:
        """Return the schedules, in the order of the file."""
        return tuple(one.schedule(name) for name, one in self.content.schedules.items())

    def fleet(self, name: str) -> FleetEntry | CloudFleetEntry:
        """Return a fleet template by name. Raises RequestError if there is none."""
        if name not in self.content.fleets:
            raise RequestError(_unknown("fleet", name, self.path, list(self.content.fleets)))
        return self.content.fleets[name]

    def user_data(self, fleet: str) -> str:
        """Return the text of a template's user-data file, empty without one. Raises ConfigError."""
        name = self.content.fleets[fleet].user_data
        if not name:
            return ""
        path, place = self.path.parent / name, self.place("fleets", fleet, "user_data")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ConfigError(f'{place} is "{name}": name a file beside the policy file')
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{place}: {path} cannot be read as a text: {error}") from None
        if len(text.encode()) > USER_DATA_BYTES:
            raise ConfigError(f"{place}: {path} has more than {USER_DATA_BYTES} bytes")
        return text


def load(path: Path) -> PolicyFile:
    """Load and validate a policy file. Raises ConfigError with every error found, one per line."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = _Strictly(text).get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_position(error, text)}: {_plainly(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    try:
        content = File.model_validate(data)
    except ValidationError as error:
        faults = [
            f"{path}:{_line(root, where)}: {'.'.join(map(str, where)) or 'the file'} {problem}"
            for where, problem in validation_errors(error, KEYS)
        ]
        raise ConfigError("\n".join(faults)) from None
    version = hashlib.sha256(text).hexdigest()[:12]
    policies = PolicyFile(path=path, version=version, content=content, root=root)
    for name in content.fleets:
        policies.user_data(name)
    return policies


class _Strictly(yaml.SafeLoader):
    """Rejects duplicate keys, of which PyYAML silently uses the last, and names the line of every error."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError):
            raise yaml.MarkedYAMLError(
                problem="this cannot be read as a value: put it in quotes",
                problem_mark=node.start_mark,
            ) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is a text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value} is a duplicate", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _line(root: yaml.Node | None, where: tuple[str | int, ...]) -> int:
    """Return the line of the deepest part of the path that exists in the file."""
    line = 1
    node = root
    for step in where:
        for key, value in _children(node):
            if key.value == str(step) if isinstance(key, yaml.Node) else key == step:
                line = (key if isinstance(key, yaml.Node) else value).start_mark.line + 1
                node = value
                break
    return line


def _children(node: yaml.Node | None) -> Iterator[tuple[yaml.Node | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


def _position(error: yaml.YAMLError, text: bytes) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f":{text.count(b'\n', 0, error.position) + 1}"
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _plainly(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return "is not UTF-8 text, or has a character that YAML forbids"
    return getattr(error, "problem", None) or str(error)


def _unknown(what: str, name: str, path: Path, known: list[str]) -> str:
    return f'there is no {what} "{name}" in {path}; it has: {", ".join(known) or "none"}'
