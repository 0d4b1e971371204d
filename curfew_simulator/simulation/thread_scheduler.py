"""Concurrent threads with one seed and one world: real threads, of which a random one runs at a time.

Which thread runs is drawn before each call of the cloud or of the ledger, and nowhere else. Between its calls no
other sees what a thread does, so that every order in which the cloud could see their calls is possible.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from threading import Condition, local
from typing import Self

from curfew.concurrency import run_in_threads
from curfew.sweep import run_state

from ..patching import patching
from .process import KilledError

STUCK = 60  # seconds of the real time


class ThreadScheduler:
    """The threads of one invocation, so many at a time. If one is killed, all are: they are one process."""

    def __init__(self, most: int, rng: Random) -> None:
        self.overlapped = 0  # how often another went on than the one before
        self._most, self._rng = most, rng
        self._changed = Condition()
        self._mine = local()
        self._open: list[int] = []
        self._coming: Iterator[int] = iter(())
        self._current = -1
        self._gone = False

    def __call__(self, tasks: Sequence[Callable[[], None]]) -> None:
        """What the application runs its pieces with."""
        numbers = range(len(tasks))
        self._open, self._coming = list(numbers[: self._most]), iter(numbers[self._most :])
        if self._open:
            self._current = self._rng.choice(self._open)
        run_in_threads(self._most)([partial(self._go, n, piece) for n, piece in enumerate(tasks)])

    def switch(self) -> None:
        """Choose the next thread at random; return when this one runs again."""
        if (mine := getattr(self._mine, "thread", None)) is None:
            return  # before there are threads, or after
        with self._changed:
            self._draw()
            self._wait(mine)

    def _go(self, mine: int, task: Callable[[], None]) -> None:
        with self._changed:
            self._wait(mine)
        self._mine.thread = mine
        try:
            task()
        except BaseException:
            self._gone = True
            raise
        finally:
            self._mine.thread = None
            with self._changed:
                self._open.remove(mine)
                self._open += [n for n in (next(self._coming, None),) if n is not None]
                self._draw()

    def _draw(self) -> None:
        if self._open:
            before, self._current = self._current, self._rng.choice(self._open)
            self.overlapped += before in self._open and before != self._current
        self._changed.notify_all()

    def _wait(self, mine: int) -> None:
        if not self._changed.wait_for(lambda: self._gone or self._current == mine, STUCK):
            raise RuntimeError(
                f"thread {mine} waits for thread {self._current}, which does not go on"
            )
        if self._gone:
            raise KilledError("killed with another thread")


class Lock:
    """What threads exclude each other with, where only one runs at a time: one that finds it taken lets others run."""

    def __init__(self, scheduler: ThreadScheduler) -> None:
        self._scheduler, self._taken = scheduler, False

    def __enter__(self) -> Self:
        while self._taken:
            self._scheduler.switch()
        self._taken = True
        return self

    def __exit__(self, *_: object) -> None:
        self._taken = False


@contextmanager
def scheduling(scheduler: ThreadScheduler) -> Iterator[None]:
    """Runs that begin inside have locks that know of the turns."""
    with patching() as put:
        put(run_state, "Lock", partial(Lock, scheduler))
        yield
