"""A ledger in memory of which every call is a step of the harness."""

from collections.abc import Callable
from typing import Any, cast

from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.protocols import Ledger

PARTS = ("fleets", "plans", "continuations")


class Instrumented:
    """Pass every call through, with a call before it and one after it."""

    def __init__(
        self, thing: Any, before: Callable[[str], None], after: Callable[[str], None]
    ) -> None:
        self._thing, self._before, self._after = thing, before, after
        self._parts = {
            name: Instrumented(getattr(thing, name), before, after)
            for name in PARTS
            if hasattr(thing, name)
        }

    def __getattr__(self, name: str) -> Any:
        if name in self._parts:
            return self._parts[name]
        method = getattr(self._thing, name)

        def instrumented(*given: Any, **named: Any) -> Any:
            self._before(name)
            found = method(*given, **named)
            self._after(name)
            return found

        return instrumented


def ledger_in_memory(
    step: Callable[[str], None], back: Callable[[str], None], fail: Callable[[str], None]
) -> Ledger:
    """Return a ledger of which each call is a step; ``fail`` may raise before the effect, or after it."""

    def before(name: str) -> None:
        step(name)
        fail("before")

    def after(name: str) -> None:
        back(name)
        fail("after")

    return cast("Ledger", Instrumented(MemoryLedger(), before, after))
