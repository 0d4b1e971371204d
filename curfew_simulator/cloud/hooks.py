"""What a test does at a call: change the world just before it, or break off the caller just after its effect."""

from collections.abc import Callable

from .history import CallRecord

type Hook = Callable[[CallRecord], object]


class Hooks:
    """Each hook is called with the call as the journal has it. What it raises goes through to the caller."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], list[Hook]] = {}
        self._after: dict[tuple[str, int], list[Hook]] = {}
        self._every: list[Hook] = []

    def before(self, operation: str, do: Hook, *, on: int = 1) -> None:
        """Just before the ``on``-th call of an operation."""
        self._before.setdefault((operation, on), []).append(do)

    def after(self, operation: str, do: Hook, *, on: int = 1) -> None:
        """Just after its effect, before its answer."""
        self._after.setdefault((operation, on), []).append(do)

    def every(self, do: Hook) -> None:
        """Before every call of every service."""
        self._every.append(do)

    def arrives(self, call: CallRecord) -> None:
        """A call has come."""
        for do in (*self._every, *self._before.get((call.operation, call.nth), ())):
            do(call)

    def leaves(self, call: CallRecord) -> None:
        """A call has had its effect."""
        for do in self._after.get((call.operation, call.nth), ()):
            do(call)
