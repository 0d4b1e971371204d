"""Which models are explored, and which of the code's promises are known to be broken.

Everything at once is explored for two sweeps. With the third invocation, which comes of a trigger that is delivered
twice, what else happens is taken two or three at a time, to stay within a minute.
"""

from dataclasses import dataclass, replace

from tests.model.ending import BOTH, Ending, World
from tests.model.explorer import Exploration, explore
from tests.model.launch import Launch
from tests.model.launch import World as LaunchWorld

# What the code does not keep in some corner; each has a scenario of its own in KNOWN.
BROKEN = frozenset(("hollow", "credit", "outcomes"))
TWO = Ending(names=("the first", "the second"), ids=(0, 1), times=(1, 2), tolerated=BROKEN)
APART = (0b01, 0b10)
PLENTY = 6  # a day's budget for three plans of two


def twice(*events: str) -> Ending:
    """Two sweeps, of which the first is delivered once more."""
    return Ending(limit=PLENTY, events=frozenset(events), tolerated=BROKEN)


SECOND_TWICE = replace(
    twice("trouble"), names=("the first", "the second", "the second again"), times=(1, 2, 2)
)

ENDINGS = {
    "two sweeps, everything": TWO,
    "two sweeps, everything, a batch for each instance": replace(TWO, zones=APART),
    "two sweeps, everything, a budget for one": replace(TWO, limit=2),
    "one twice, renewal, crash, tag": twice("renew", "crash", "tag"),
    "one twice, renewal, pause": twice("renew", "pause"),
    "one twice, renewal, trouble": twice("renew", "trouble"),
    "one twice, crash, pause": twice("crash", "pause"),
    "one twice, crash, trouble": twice("crash", "trouble"),
    "one twice, renewal, crash, a batch for each instance": replace(
        twice("renew", "crash"), zones=APART
    ),
    "the second twice, renewal, crash": replace(SECOND_TWICE, events=frozenset(("renew", "crash"))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A guard, the model to take it out of, and the promise that is broken then."""

    guard: str
    breaks: str
    model: Ending = TWO

    @property
    def removed(self) -> Ending:
        """The model without it."""
        return replace(self.model, without=frozenset((self.guard,)))


GUARDS = [
    Guarded(guard="claim", breaks="S26"),
    Guarded(guard="claim asks for expiry", breaks="S26"),
    Guarded(guard="claim blocks renewals", breaks="S26"),
    Guarded(guard="claim excludes sweeps", breaks="S25"),
    Guarded(guard="claim runs out", breaks="liveness"),
    Guarded(guard="unclaim", breaks="S25"),
    Guarded(guard="look", breaks="S2"),
    Guarded(guard="second look", breaks="S2"),
    Guarded(guard="intents", breaks="S3"),
    Guarded(guard="settling", breaks="S3"),
    Guarded(guard="budget", breaks="S4", model=replace(TWO, limit=2)),
    Guarded(guard="pause", breaks="S14"),
    Guarded(guard="verify", breaks="verified"),
    Guarded(
        guard="watermark",
        breaks="S13",
        model=replace(TWO, times=(1, 1)),
    ),
]

# The claim runs out while its holder only hangs: what the protocol rests on, and no safeguard can replace.
HANGING = replace(TWO, events=TWO.events | {"hang"})

# Two invocations under one id: what the protocol rests on is that ids are never shared.
SHARED = Ending(
    names=("the message", "the message again"), ids=(0, 0), times=(0, 0), limit=PLENTY,
    events=frozenset(("renew", "pause")), tolerated=BROKEN | {"S25"},
)  # fmt: skip

KNOWN = {
    "two sweeps settle the same intent": replace(
        twice("crash"), tolerated=BROKEN - {"outcomes"}
    ),
    "two sweeps take the credit for one end": replace(TWO, tolerated=BROKEN - {"credit"}),
    "a lease is renewed of which nothing is left": replace(TWO, tolerated=BROKEN - {"hollow"}),
}  # fmt: skip

LAUNCHES = {
    "room comes in the first pool": Launch(capacity=(0, 2), changes=2),
    "room goes from the first pool": Launch(capacity=(2, 2), changes=0),
    "the first pool has a part, and then more": Launch(capacity=(1, 2), changes=2),
    "each pool has a part, and the first none later": Launch(capacity=(1, 1), changes=0),
    "there is no room, and then some": Launch(capacity=(0, 0), changes=1),
}
FENCED = replace(
    LAUNCHES["room comes in the first pool"],
    fences=frozenset(("keep only", "settle under lock")),
    events=Launch().events | {"hang after the call", "hang elsewhere"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchGuarded:
    """A guard of the launch, and the promise that is broken without it."""

    guard: str
    breaks: str
    model: Launch = LAUNCHES["room comes in the first pool"]

    @property
    def removed(self) -> Launch:
        """The model without it."""
        return replace(self.model, without=frozenset((self.guard,)))


LAUNCH_GUARDS = [
    LaunchGuarded(guard="lock", breaks="S16"),
    LaunchGuarded(guard="token", breaks="S15"),
    LaunchGuarded(guard="open attempt first", breaks="S15"),
    LaunchGuarded(guard="attempt first", breaks="S16"),
    LaunchGuarded(guard="record first", breaks="S16"),
    LaunchGuarded(guard="claim blocks attempts", breaks="given up"),
    # With locks that run out only for the dead, a worker that began to hold one holds it still.
    LaunchGuarded(guard="lock before the call", breaks="S15", model=FENCED),
]
HANGS = {
    hang: replace(LAUNCHES["room comes in the first pool"], events=Launch().events | {hang})
    for hang in ("hang before the call", "hang after the call", "hang elsewhere", "late effect")
}


def ending(model: Ending) -> Exploration[World]:
    """Everything that the model of the ending can come to."""
    return explore(model.start, steps=model.steps, wrong=model.wrong, end=model.end)


def launch(model: Launch) -> Exploration[LaunchWorld]:
    """Everything that the model of the launch can come to."""
    return explore(model.start, steps=model.steps, wrong=model.wrong, end=model.end)


__all__ = ["BOTH", "Ending", "Launch"]
