"""What changes a ledger in memory is done by one thread at a time."""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, Protocol


class Lockable(Protocol):
    """Whatever has a lock for itself. It may be taken again by whoever has it."""

    @property
    def alone(self) -> RLock:
        """The lock."""


def alone[S: Lockable, **P, R](
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """A method that reads and then writes, with nobody between."""

    @wraps(method)
    def locked(self: S, /, *args: P.args, **more: P.kwargs) -> R:
        with self.alone:
            return method(self, *args, **more)

    return locked
