"""The real code, step by step: each invocation stops before each call of a port until it may go on.

Every invocation has a thread of its own, and only one of them ever runs: the one that may make its next step runs up
to the step after it, and all others wait. So any interleaving of port calls can be played.
"""

from collections.abc import Callable
from threading import Semaphore, Thread
from typing import Any

PATIENCE = 30


class _CrashError(BaseException):
    """The invocation never comes back. No ``except Exception`` may catch it."""


class ClientObserver:
    """One invocation of the real code."""

    def __init__(self, name: str, act: Callable[["ClientObserver"], object]) -> None:
        self.name = name
        self.at = ""  # the call that it waits before; empty before its begin and after its end
        self.calls: list[str] = []
        self.bend = ""  # how the next order goes wrong
        self._act = act
        self._go, self._stands = Semaphore(0), Semaphore(0)
        self._crashes = False
        self._fault: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Up to its first call."""
        self._thread.start()
        self._wait()

    def go(self) -> None:
        """Make the call that it waits before, and go on up to the next one."""
        self._go.release()
        self._wait()

    def crash(self) -> None:
        """It never makes the call that it waits before, nor anything else."""
        self._crashes = True
        self.go()
        self._thread.join(PATIENCE)

    def leave(self) -> None:
        """End every invocation that still waits."""
        if self.at:
            self.crash()

    def port(self, inner: Any, names: frozenset[str]) -> Any:
        """A port at whose calls, as far as they are named, the invocation waits."""
        return _Port(self, inner, names)

    def stand(self, call: str) -> None:
        self.at = call
        self._stands.release()
        assert self._go.acquire(timeout=PATIENCE)
        if self._crashes:
            raise _CrashError
        self.calls.append(call)

    def _wait(self) -> None:
        assert self._stands.acquire(timeout=PATIENCE), f"{self.name} is lost after {self.calls}"
        if self._fault:
            raise self._fault

    def _run(self) -> None:
        try:
            self._act(self)
        except _CrashError:
            pass
        except BaseException as error:  # noqa: BLE001  it is raised where it can be seen
            self._fault = error
        self.at = ""
        self._stands.release()


class _Port:
    def __init__(self, player: ClientObserver, inner: Any, names: frozenset[str]) -> None:
        self._player, self._inner, self._names = player, inner, names

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._inner, name)
        if name == "fleets":
            return _Port(self._player, there, self._names)
        if name not in self._names:
            return there

        def call(*args: Any, **more: Any) -> Any:
            self._player.stand(name)
            return there(*args, **more)

        return call
