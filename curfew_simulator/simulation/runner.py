"""Many worlds, on several cores: what was run, what was seen, and every violation with its seed and its log."""

import faulthandler
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import batched
from multiprocessing import get_context
from threading import Timer

from ..checkers.checks import Violation, judged
from ..cloud.history import Change
from .generator import Generator

CHUNK = 50
LONGEST = 600  # seconds that a chunk may take; it takes about ten


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A world in which something was violated."""

    seed: int
    violations: tuple[Violation, ...]
    log: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Sum:
    """The results of several worlds."""

    worlds: int = 0
    invocations: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: "Sum") -> None:
        """Count another sum in."""
        self.worlds += other.worlds
        self.seconds += other.seconds
        for name in ("invocations", "calls", "effects", "faults", "kinds"):
            getattr(self, name).update(getattr(other, name))
        self.broken += other.broken


def one(seed: int, faults: str = "") -> tuple[Generator, tuple[Violation, ...]]:
    """Run one world from beginning to end, and return its violations."""
    generator = Generator(seed, faults)
    generator.run()
    return generator, tuple(judged(generator.history()))


def some(seeds: Iterable[int], faults: str = "") -> Sum:
    """Some worlds, one after the other. An error of the simulator itself names the seed."""
    found = Sum()
    begun = time.process_time()
    for seed in seeds:
        try:
            generator, violations = one(seed, faults)
        except Exception as error:
            error.add_note(f"in the world of seed {seed}")
            raise
        _count(found, generator)
        if violations:
            found.broken.append(Broken(seed=seed, violations=violations, log=tuple(generator.log)))
    found.seconds = time.process_time() - begun
    return found


def many(
    seeds: Iterable[int],
    *,
    faults: str = "",
    jobs: int = 2,
    report: Callable[[Sum], object] | None = None,
) -> Sum:
    """Run the same on several cores; ``report`` receives the sum so far."""
    found = Sum()
    for part in _parts(seeds, faults, jobs):
        found.add(part)
        if report:
            report(found)
    return found


def _parts(seeds: Iterable[int], faults: str, jobs: int) -> Iterator[Sum]:
    work = ((list(chunk), faults) for chunk in batched(seeds, CHUNK, strict=False))
    if jobs < 2:
        yield from (some(*part) for part in work)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        chunks = [pool.submit(_some, *part) for part in work]
        try:
            for chunk in as_completed(chunks):
                yield chunk.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _some(seeds: list[int], faults: str) -> Sum:
    limit = Timer(LONGEST, _abort, [seeds])
    limit.daemon = True
    limit.start()
    try:
        return some(seeds, faults)
    finally:
        limit.cancel()


def _abort(seeds: list[int]) -> None:
    """End a process whose worlds do not finish; the pool then reports that it is broken."""
    sys.stderr.write(f"worlds {seeds[0]} to {seeds[-1]}: not done after {LONGEST} s, but here:\n")
    faulthandler.dump_traceback()
    os._exit(1)


def _count(found: Sum, generator: Generator) -> None:
    history = generator.world.history
    found.worlds += 1
    found.invocations.update(invocation.kind for invocation in generator.harness.invocations)
    found.invocations["(killed)"] += sum(bool(i.killed) for i in generator.harness.invocations)
    found.invocations["(in the middle of another)"] += sum(
        bool(i.within) for i in generator.harness.invocations
    )
    found.invocations["(threads side by side)"] += sum(
        i.overlapped > 0 for i in generator.harness.invocations
    )
    found.calls.update(call.operation for call in history.calls)
    found.effects.update(str(e.change) for e in history.effects if e.change is not Change.WRITTEN)
    found.faults.update(generator.world.faults.injected)
    ledger = "table" if generator.harness.dynamo else "memory"
    found.kinds.update((generator.faults, str(generator.harness.mode), ledger))
