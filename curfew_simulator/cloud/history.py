"""What happened in a world: every call that was seen and every change that was made, for invariants to look at."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Change(StrEnum):
    """What can become of a thing in a world."""

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
    """One change of one thing. ``before`` is how the thing was when it happened.

    ``call`` is the number of the call that made it, or 0 for what the world did on its own: an Auto Scaling group
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
    """One call as the world saw it. ``code`` is empty if it was answered well; ``faults`` are how it was bent.

    ``account`` is empty for a call that a hook broke off before it reached the service.
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
    """All calls and all effects, in order."""

    calls: list[CallRecord] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    current: int = 0
    _counts: Counter[str] = field(default_factory=Counter)

    def arrived(self, operation: str) -> int:
        """Count a call, and return which one of its operation it is, from 1."""
        self._counts[operation] += 1
        return self._counts[operation]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Count what happens inside to no call, even in the middle of one."""
        current, self.current = self.current, 0
        yield
        self.current = current

    def record(
        self, change: Change, id_: str, *, account: str, region: str, at: datetime, before: Any
    ) -> None:
        """Write an effect down, as one of the current call."""
        effect = Effect(
            change=change, id=id_, account=account, region=region, at=at, before=before,
            call=self.current,
        )  # fmt: skip
        self.effects.append(effect)

    def of(self, change: Change) -> Counter[str]:
        """How often each thing was changed so, by a call or by the world: the multiset of effects."""
        return Counter(effect.id for effect in self.effects if effect.change is change)

    def made(self, *operations: str) -> list[CallRecord]:
        """The calls of some operations."""
        return [call for call in self.calls if call.operation in operations]

    def called(self) -> set[tuple[str, str]]:
        """Which operations of which services were called at all."""
        return {(call.service, call.operation) for call in self.calls}

    def by_calls(self, change: Change) -> Iterator[Effect]:
        """The effects of one kind that calls made."""
        return (e for e in self.effects if e.change is change and e.call)
