"""What the distribution brings beside what ships to Lambda: found by its name, and never imported."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import cast

from ..core.errors import ConfigError

GROUP = "curfew.commands"


def command(name: str) -> Callable[..., int]:
    """The command that an extra registered under this name. Raises ConfigError if the extra is not installed."""
    for found in entry_points(group=GROUP, name=name):
        try:
            return cast("Callable[..., int]", found.load())
        except ModuleNotFoundError:  # registered once, and taken away since
            break
    raise ConfigError(
        f"`curfew {name}` is not installed: run pip install '.[{name}]' in a checkout of Curfew"
    )
