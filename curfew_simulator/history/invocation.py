"""One invocation of one function, as its platform sees it: what it was asked, what it called, how it ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from curfew.config.policy_file import PolicyFile

from ..cloud.history import CallRecord


@dataclass(slots=True)
class Message:
    """A message on a queue, with how often it was received. ``kind`` is work, a ``message``, or a ``target``."""

    id: str
    body: str
    kind: str = "message"
    received: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Invocation:
    """``about`` says what it is for, ``within`` in the middle of which other one it came.

    ``first`` and ``last`` are moments: all steps of all invocations of a world are numbered through. ``reached_at`` is
    when it came to its last step, before whatever happened in the middle. ``overlapped`` is how often another of its
    threads went on than the one before. ``there`` has the instances of each region when it began, where the region's
    own record cannot say it: a rehearsal adds instances between its nights as if they had been there before.
    ``continuations`` are the ids of the continuations for which it sent a message.
    """

    number: int
    kind: str
    who: str
    about: Mapping[str, Any]
    begun_at: datetime
    skew: timedelta
    cut_off: datetime
    policies: PolicyFile
    first: int
    there: Mapping[str, frozenset[str]] | None = None
    within: int = 0
    last: int = 0
    ended_at: datetime | None = None
    steps: int = 0
    reached_at: datetime | None = None
    overlapped: int = 0
    calls: list[CallRecord] = field(default_factory=list)
    reports: list[Mapping[str, Any]] = field(default_factory=list)
    continuations: list[str] = field(default_factory=list)
    answer: Mapping[str, Any] | None = None
    error: str = ""
    killed: str = ""

    @property
    def status(self) -> int:
        """The status of an answer over HTTP; 0 for none."""
        return int(self.answer.get("statusCode", 0)) if self.answer else 0

    @property
    def body(self) -> Any:
        """What an answer over HTTP says."""
        return json.loads(self.answer["body"]) if self.answer and self.status else {}

    @property
    def good(self) -> bool:
        """Whether the caller had the answer that it is done."""
        return not (self.killed or self.error) and self.status < 300

    def __str__(self) -> str:
        said = self.killed or self.error or (f"{self.status}" if self.status else "ended")
        swept = "; ".join(_outcome(report) for report in self.reports)
        return f"#{self.number} {self.kind} {_short(self.about)}by {self.who}: {said}" + (
            f" [{swept}]" if swept else ""
        )


def _short(about: Mapping[str, Any]) -> str:
    return "".join(f"{key}={value} " for key, value in about.items() if value)


def _outcome(report: Mapping[str, Any]) -> str:
    counts = (
        "actions",
        "kept",
        "verified",
        "accepted",
        "kept_at_recheck",
        "failed",
        "unknown",
        "not_attempted",
    )
    numbers = ", ".join(f"{report[name]} {name}" for name in counts if report[name])
    return f"{report['policy']} {report['status']}: {numbers}" + (
        f": {report['problem']}" if report["problem"] else ""
    )
