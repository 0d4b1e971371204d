"""Finds commands of optional extras by their entry points, so that what ships to Lambda does not import them."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import cast

from ..core.errors import ConfigError

GROUP = "curfew.commands"


def command(name: str) -> Callable[..., int]:
    """Return the command that an extra registers. Raises ConfigError if the extra is not installed."""
    for entry_point in entry_points(group=GROUP, name=name):
        try:
            return cast("Callable[..., int]", entry_point.load())
        except ModuleNotFoundError:  # registered, but removed since
            break
    raise ConfigError(
        f"`curfew {name}` is not installed: run pip install '.[{name}]' in a checkout of Curfew"
    )
