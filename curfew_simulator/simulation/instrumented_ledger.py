"""A ledger in memory of which every call is a step: somebody is told before it and after it."""

from collections.abc import Callable
from typing import Any

PARTS = ("fleets", "plans")


class Watched:
    """Stands in front of a thing and lets everything through."""

    def __init__(
        self, thing: Any, before: Callable[[str], None], after: Callable[[str], None]
    ) -> None:
        self._thing, self._before, self._after = thing, before, after
        self._parts = {
            name: Watched(getattr(thing, name), before, after)
            for name in PARTS
            if hasattr(thing, name)
        }

    def __getattr__(self, name: str) -> Any:
        if name in self._parts:
            return self._parts[name]
        method = getattr(self._thing, name)

        def watched(*given: Any, **named: Any) -> Any:
            self._before(name)
            found = method(*given, **named)
            self._after(name)
            return found

        return watched
