"""Serializes the changes of a ledger in memory: one thread at a time."""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, Protocol


class Lockable(Protocol):
    """An object with a lock of its own, which the thread that holds it may acquire again."""

    @property
    def mutex(self) -> RLock:
        """The lock."""


def synchronized[S: Lockable, **P, R](
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """Make a method hold the object's lock while it runs."""

    @wraps(method)
    def locked(self: S, /, *args: P.args, **more: P.kwargs) -> R:
        with self.mutex:
            return method(self, *args, **more)

    return locked
