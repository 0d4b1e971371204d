"""The history of a world: every call that it received and every change, for the checkers to read."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Change(StrEnum):
    """The kinds of changes to a resource."""

    LAUNCHED = "launched"
    STARTED = "started"
    STOPPED = "stopped"
    TERMINATED = "terminated"
    SPOT_CANCELLED = "spot-cancelled"
    TAGGED = "tagged"
    UNTAGGED = "untagged"
    MODIFIED = "modified"
    WRITTEN = "written"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One change of one resource. ``before`` is the resource before the change.

    ``call`` is the number of the call that made the change, or 0 for a change without a call: an Auto Scaling group
    that replaced a member, a Spot request that launched again.
    """

    change: Change
    id: str
    account: str
    region: str
    at: datetime
    before: Any = None
    call: int = 0


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call as the world received it. ``code`` is the error's, empty on success; ``faults`` are the call's faults.

    ``account`` is empty for a call that a hook interrupted before it reached the service.
    """

    number: int
    nth: int
    service: str
    operation: str
    ids: tuple[str, ...]
    account: str
    region: str
    caller: str
    access_key: str
    at: datetime
    effect: bool = False
    code: str = ""
    faults: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(slots=True)
class CloudHistory:
    """All calls and all effects, in order. ``current`` is the number of the call in progress, 0 for none."""

    calls: list[CallRecord] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    current: int = 0
    _counts: Counter[str] = field(default_factory=Counter)

    def arrived(self, operation: str) -> int:
        """Count a call, and return its number among the calls of its operation, from 1."""
        self._counts[operation] += 1
        return self._counts[operation]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Attribute the effects inside the block to no call, even while one is in progress."""
        current, self.current = self.current, 0
        yield
        self.current = current

    def record(
        self, change: Change, id_: str, *, account: str, region: str, at: datetime, before: Any
    ) -> None:
        """Record an effect of the current call."""
        effect = Effect(
            change=change, id=id_, account=account, region=region, at=at, before=before,
            call=self.current,
        )  # fmt: skip
        self.effects.append(effect)

    def of(self, change: Change) -> Counter[str]:
        """Return how often each id had this change, by a call or without one."""
        return Counter(effect.id for effect in self.effects if effect.change is change)

    def made(self, *operations: str) -> list[CallRecord]:
        """Return the calls of the given operations."""
        return [call for call in self.calls if call.operation in operations]

    def called(self) -> set[tuple[str, str]]:
        """Return each service and operation that was called."""
        return {(call.service, call.operation) for call in self.calls}

    def by_calls(self, change: Change) -> Iterator[Effect]:
        """Yield the effects of one kind that a call made."""
        return (e for e in self.effects if e.change is change and e.call)
