"""``python -m tests.model``: explores everything, and says how much that was and what is known to be broken."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.model.explorer import Exploration
from tests.model.scenarios import (  # fmt: skip
    ENDINGS,
    FENCED,
    GUARDS,
    HANGING,
    HANGS,
    KNOWN,
    LAUNCH_GUARDS,
    LAUNCHES,
    ending,
    launch,
)


def table(
    title: str,
    models: Mapping[str, Any],
    exploring: Callable[[Any], Exploration[Any]],
    *,
    verbose: bool = False,
) -> None:
    """One line a model; and with ``verbose`` the shortest trace to a violation."""
    say(f"\n{title}")
    states = transitions = 0
    began = time.process_time()
    for name, model in models.items():
        found = exploring(model)
        states, transitions = states + found.states, transitions + found.transitions
        wrong = found.violation
        ending = f"{wrong.wrong} ({len(wrong.trace)} steps)" if wrong else "nothing is wrong"
        say(f"  {found.states:9,} states {found.transitions:10,} transitions  {name}: {ending}")
        if verbose and wrong:
            say("\n".join(f"    {line}" for line in str(wrong).splitlines()[1:]))
    say(
        f"  {states:9,} states {transitions:10,} transitions in {time.process_time() - began:.0f} s of one core"
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    table("Ending a fleet", ENDINGS, ending)
    table("Launching a fleet", LAUNCHES, launch)
    table("Launching with two more fences, and hangs", {"but before the call": FENCED}, launch)
    without = {f"without {guarded.guard}": guarded.removed for guarded in LAUNCH_GUARDS}
    table("Launching without a guard", without, launch)
    table("Launching without an assumption", HANGS, launch, verbose=True)
    guards = {f"without {guarded.guard}": guarded.removed for guarded in GUARDS}
    table("Ending without a guard", {**guards, "with a hang that is too long": HANGING}, ending)
    table("Known to be broken", KNOWN, ending, verbose=True)
