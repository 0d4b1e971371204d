"""Hooks of a test at a call: change the world just before it, or interrupt the caller just after its effect."""

from collections.abc import Callable

from .history import CallRecord

type Hook = Callable[[CallRecord], object]


class Hooks:
    """The hooks of a world. Each receives the call's record. An exception of a hook reaches the caller."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], list[Hook]] = {}
        self._after: dict[tuple[str, int], list[Hook]] = {}
        self._every: list[Hook] = []

    def before(self, operation: str, do: Hook, *, on: int = 1) -> None:
        """Run ``do`` just before the ``on``-th call of an operation."""
        self._before.setdefault((operation, on), []).append(do)

    def after(self, operation: str, do: Hook, *, on: int = 1) -> None:
        """Run ``do`` after the effect of the ``on``-th call of an operation, before its response."""
        self._after.setdefault((operation, on), []).append(do)

    def every(self, do: Hook) -> None:
        """Run ``do`` before every call of every service."""
        self._every.append(do)

    def arrives(self, call: CallRecord) -> None:
        """Run the hooks that precede a call."""
        for do in (*self._every, *self._before.get((call.operation, call.nth), ())):
            do(call)

    def leaves(self, call: CallRecord) -> None:
        """Run the hooks that follow the effect of a call."""
        for do in self._after.get((call.operation, call.nth), ()):
            do(call)
