"""The outcome of a rehearsal, for the report."""

from collections import Counter
from dataclasses import dataclass
from typing import Self

from ..cloud.history import Change
from .night import Night
from .promises import PROMISES, Violation, judged
from .runner import Rehearsal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A rehearsal that is over. What was terminated and stopped is what the cloud saw, by policy."""

    rehearsal: Rehearsal
    violations: list[Violation]
    terminated: Counter[str]
    stopped: Counter[str]

    @classmethod
    def of(cls, rehearsal: Rehearsal) -> Self:
        """Judge a rehearsal, and count."""
        history = rehearsal.history()
        gone, stopped = (
            {
                effect.id: by.about["policy"]
                for effect in history.effects(change)
                if (by := history.made_by.get(effect.call))
            }
            for change in (Change.TERMINATED, Change.STOPPED)
        )
        return cls(
            rehearsal=rehearsal,
            violations=judged(history),
            terminated=Counter(gone.values()),
            stopped=Counter(stopped.values()),
        )

    @property
    def nights(self) -> list[Night]:
        """The nights, in order."""
        return self.rehearsal.nights

    @property
    def promises(self) -> dict[str, int]:
        """Each promise that was looked at, and how often it was broken."""
        broken = Counter(violation.promise for violation in self.violations)
        return {words: broken[words] for words in PROMISES}

    @property
    def calls(self) -> int:
        """How many calls the nights had."""
        return sum(night.calls for night in self.nights)

    @property
    def faults(self) -> Counter[str]:
        """How many faults the cloud had, by kind."""
        return sum((night.faults for night in self.nights), Counter[str]())

    @property
    def wronged(self) -> set[str]:
        """The instances that ended and had to be kept."""
        return {violation.instance for violation in self.violations if violation.instance}

    @property
    def verdict(self) -> str:
        """The outcome in one line, for people."""
        went = [(self.terminated, "terminated"), (self.stopped, "stopped")]
        counts = [f"{some.total()} {word}" for some, word in went if some or word == "terminated"]
        nights = f"{len(self.nights)} night{'s' * (len(self.nights) != 1)}"
        parts = [nights, f"{self.rehearsal.population} instances", *counts]
        return ", ".join([*parts, f"{len(self.wronged)} that should have been kept"])

    def statuses(self, policy: str) -> Counter[str]:
        """How the sweeps of a policy ended."""
        sweeps = [s for night in self.nights for s in night.sweeps if s.policy == policy]
        ends = Counter(str(summary["status"]) for s in sweeps for summary in s.summaries)
        return ends + Counter("broken off" for s in sweeps if not s.summaries)
