"""A model of how a fleet is launched: one operation of two instances, two workers, two pools, a cloud with a memory.

One worker may crash for good, one answer may be lost, with its effect or without, what was launched may not be to be
seen yet, the capacity of the first pool appears or disappears once, and the fleet may be terminated early once.

    step        stands for
    begin       ``launcher.continue_launch``: ``fleets.lock``
    keep        ``launcher._Launch.work``: ``fleets.lock`` again, before each attempt
    read        the same: ``fleets.attempts``, and the real ``core.launch.next_step``
    attempt     the same: ``fleets.begin_attempt``, refused if the lock is lost, the fleet is claimed or the number is
    taken break-off   ``_break_off``: ``fleets.get`` and ``fleets.advance``
    find        ``_find_by_token``: ``provider.launched``, before a call that is repeated; its looks are one
    hold        ``_attempt``: ``fleets.lock``, just before the call
    call        the same: ``provider.launch``
    find-empty  ``_find_by_token`` once more, before a doubtful call counts as empty
    record      ``_finish_attempt``: ``fleets.record``
    settle      ``work``: ``fleets.finish_attempt``, which changes an open attempt only
    advance     ``work``: ``fleets.advance``
    let-go      the same, with the launch unfinished

Left out: ``fleets.launch_spec``, which never changes; the looks after a launch (``_check_delivery``) and audit;
refusals and mismatches, which end a launch at once; the deadline, after which a worker lets go as after a lost lock.

The protocol is safe if a worker that is alive comes from each ``lock`` of its launch to the next, or to the end, in
less time than ``LOCK``. So the lock runs out for a worker that crashed and for no other. Events take this apart:

    hang before the call  the lock runs out between ``hold`` and the effect of the call that follows
    hang after the call   it does so between the answer that there is no capacity and ``settle``
    hang elsewhere        it does so at any other moment
    late effect           a call whose answer was lost has its effect when the worker has long gone on

``fences`` has changes that the code does not have, and that would do without a part of it: *keep only* never takes a
lock that was lost again in the middle of a launch, *settle under lock* refuses the "no" of a worker that lost it.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property

from curfew.core.launch import Attempt, AttemptResult, Finished, LaunchSpec, next_step
from curfew.core.lease import Phase
from tests.builders import HERE
from tests.model.ending import changed

ASKED = 2
ORDER = LaunchSpec(
    launch_id="op", target=HERE, image="ami-08111162", count=ASKED, tags={}, instance_types=("a", "b")
)  # fmt: skip
NO_WORKER = -1
UNBEGUN, DONE, DEAD = "begin", "done", "dead"
# Straight after a write of each.
CRASHES = frozenset(("keep", "read", "find", "hold", "call", "record", "settle", "find-empty"))


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker: at which step, at which attempt, and what the cloud answered it."""

    at: str = UNBEGUN
    attempt: int = -1
    doubtful: bool = False
    launched_count: int = 0
    answer: AttemptResult = AttemptResult.OPEN
    step: Phase = Phase.LAUNCHING
    planned: Attempt | None = None


@dataclass(frozen=True, kw_only=True)
class World:
    """All there is. ``born`` and ``recorded`` are by the attempt, whose number is the token."""

    workers: tuple[Worker, ...]
    capacity: tuple[int, int]
    changes: int | None
    lock: int = NO_WORKER
    lapsed: bool = False
    attempts: tuple[Attempt, ...] = ()
    launched_count: tuple[int, ...] = (0, 0, 0, 0, 0, 0)
    recorded: tuple[int, ...] = (0, 0, 0, 0, 0, 0)
    flying: int = NO_WORKER
    lost: bool = False
    crashed: bool = False
    claimed: bool = False
    step: Phase = Phase.LAUNCHING
    wrong: str = ""


@cache
def _upcoming(attempts: tuple[Attempt, ...]) -> Attempt | Finished:
    return next_step(ORDER, attempts)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The model. ``capacity`` is what the pools have, ``changes`` what the first one will have once it changes."""

    capacity: tuple[int, int] = (0, 2)
    changes: int | None = 2
    names: tuple[str, ...] = ("the first", "the second")
    without: frozenset[str] = frozenset()
    fences: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset(("lost", "blind", "crash", "claim", "capacity"))
    calm: dict[World, World] = field(default_factory=dict, init=False, compare=False, repr=False)

    @cached_property
    def start(self) -> World:
        """No worker has begun. One more worker waits for the calm at the end."""
        workers = tuple(Worker() for _ in (*self.names, "the last"))
        return World(workers=workers, capacity=self.capacity, changes=self.changes)

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Whatever can happen now."""
        for k, name in enumerate(self.names):
            worker = world.workers[k]
            if worker.at in (DONE, DEAD):
                continue
            for did, after in self.step(world, k):
                yield f"{name}: {did}", after
            if "crash" in self.events and not world.crashed and worker.at in CRASHES:
                crashed = changed(world, crashed=True)
                yield f"{name}: crashes before {worker.at}", _at(crashed, k, Worker(at=DEAD))
        held = world.lock != NO_WORKER and not world.lapsed
        if held and self._may_hang(world.workers[world.lock]):
            yield "the lock runs out", changed(world, lapsed=True)
        if "capacity" in self.events and world.changes is not None:
            capacity = (world.changes, world.capacity[1])
            word = f"the first pool has room for {world.changes}"
            yield word, changed(world, capacity=capacity, changes=None)
        if "claim" in self.events and not world.claimed and not world.step.finished:
            yield "the owner gives the fleet up", changed(world, claimed=True)
        if world.flying != NO_WORKER:
            after = changed(world, flying=NO_WORKER)
            if self._room(world, world.flying):
                after, _ = self._launch_effect(after, world.flying)
            yield "the call whose answer was lost arrives", after

    def _may_hang(self, worker: Worker) -> bool:
        """Whether the worker may be as slow here as the lock is long, if it is there at all."""
        if worker.at in (DONE, DEAD):
            return True
        if worker.at == "call":
            return "hang before the call" in self.events
        if worker.at == "find-empty" or (worker.at == "settle" and not worker.launched_count):
            return "hang after the call" in self.events
        return "hang elsewhere" in self.events

    def step(self, world: World, k: int) -> Iterator[tuple[str, World]]:
        """What the worker does next, in every way that it may go."""
        worker = world.workers[k]
        match worker.at:
            case "begin" | "keep" | "hold":
                yield self._hold(world, k)
            case "read":
                yield self._read(world, k)
            case "attempt":
                yield self._attempt(world, k)
            case "break-off":
                mine = world.claimed and self._mine(world, k)
                had = sum(attempt.launched for attempt in world.attempts)
                phase = Phase.PARTIAL if had else Phase.FAILED
                after = changed(world, step=phase, lock=NO_WORKER, lapsed=False) if mine else world
                yield "breaks off", _at(after, k, Worker(at=DONE))
            case "find" | "find-empty":
                yield from self._find(world, k)
            case "call":
                yield from self._call(world, k)
            case "record":
                then = "keep" if "record first" in self.without else "settle"
                yield (
                    f"records {worker.launched_count}",
                    _at(self._recorded(world, k), k, self._on(worker, then)),
                )
            case "settle":
                yield self._settle(world, k)
            case "advance" | "let-go":
                phase = worker.step if worker.at == "advance" else Phase.LAUNCHING
                mine = self._mine(world, k)
                after = changed(world, step=phase, lock=NO_WORKER, lapsed=False) if mine else world
                yield f"lets go: the launch is {phase}", _at(after, k, Worker(at=DONE))
            case _:
                raise AssertionError(worker.at)

    def _mine(self, world: World, k: int) -> bool:
        return world.lock == k or "lock" in self.without

    def _on(self, worker: Worker, at: str) -> Worker:
        return Worker(at=at) if at == "keep" else changed(worker, at=at)

    def _hold(self, world: World, k: int) -> tuple[str, World]:
        worker = world.workers[k]
        onward = {"begin": "keep", "keep": "read", "hold": "call"}[worker.at]
        mine = world.lock == k
        takes = worker.at == "begin" or "keep only" not in self.fences
        free = (
            mine or "lock" in self.without or (takes and (world.lapsed or world.lock == NO_WORKER))
        )
        if free and not world.step.finished:
            return "takes or keeps the lock", _at(
                changed(world, lock=k, lapsed=False), k, self._on(worker, onward)
            )
        after = Worker(at=DONE if worker.at == "begin" else "let-go")
        return "finds the lock lost", _at(world, k, after)

    def _read(self, world: World, k: int) -> tuple[str, World]:
        worker = world.workers[k]
        following = _upcoming(world.attempts)
        said = f"reads {len(world.attempts)} attempts"
        if isinstance(following, Finished):
            return f"{said}: no more to do", _at(
                world, k, Worker(at="advance", step=following.phase)
            )
        if following in world.attempts:
            place = following.number - 1
            if "open attempt first" in self.without:
                after = Worker(at="settle", attempt=place, answer=AttemptResult.EMPTY)
                return f"{said}: takes the open one for empty", _at(world, k, after)
            after = Worker(at="find", attempt=place, doubtful=True)
            return f"{said}: the last is open", _at(world, k, after)
        after = changed(worker, at="attempt", planned=following)
        return f"{said}: {following.count} more of pool {following.pool + 1}", _at(world, k, after)

    def _attempt(self, world: World, k: int) -> tuple[str, World]:
        worker = world.workers[k]
        planned = worker.planned
        assert planned is not None
        taken = len(world.attempts) >= planned.number
        blocked = world.claimed and "claim blocks attempts" not in self.without
        lapsed = world.lapsed and "lock" not in self.without
        if not self._mine(world, k) or lapsed or blocked or (taken and "lock" not in self.without):
            return "may not write its attempt", _at(world, k, Worker(at="break-off"))
        calling = Worker(at=self._held(), attempt=planned.number - 1)
        if "attempt first" in self.without:
            return "keeps its attempt to itself", _at(world, k, changed(calling, planned=planned))
        after = changed(world, attempts=(*world.attempts[: planned.number - 1], planned))
        if world.claimed:
            after = changed(after, wrong="given up: an attempt begins after the fleet was given up")
        return f"writes attempt {planned.number}", _at(after, k, calling)

    def _held(self) -> str:
        return "call" if "lock before the call" in self.without else "hold"

    def _find(self, world: World, k: int) -> Iterator[tuple[str, World]]:
        worker = world.workers[k]
        seen = 0 if "token" in self.without else world.launched_count[worker.attempt]
        if seen:
            after = changed(
                worker, at=self._first(), launched_count=seen, answer=AttemptResult.LAUNCHED
            )
            yield f"finds {seen} by the token", _at(world, k, after)
        if not seen or ("blind" in self.events and k < len(self.names)):
            if worker.at == "find":
                after = changed(worker, at=self._held())
            else:
                after = changed(worker, at="settle", answer=AttemptResult.EMPTY)
            yield "finds nothing by the token", _at(world, k, after)

    def _first(self) -> str:
        return "settle" if "record first" in self.without else "record"

    def _room(self, world: World, attempt: int) -> bool:
        known = world.launched_count[attempt] and "token" not in self.without
        return bool(known or world.capacity[self._asked(world, attempt).pool])

    def _asked(self, world: World, attempt: int) -> Attempt:
        if attempt < len(world.attempts):
            return world.attempts[attempt]
        planned = _upcoming(world.attempts[:attempt])
        assert isinstance(planned, Attempt)
        return planned

    def _launch_effect(self, world: World, attempt: int) -> tuple[World, int]:
        """The cloud launches what there is room for, once for a token."""
        asked, known = self._asked(world, attempt), world.launched_count[attempt]
        if known and "token" not in self.without:
            return world, known
        had = min(asked.count, world.capacity[asked.pool])
        capacity = list(world.capacity)
        capacity[asked.pool] -= had
        launched = (
            *world.launched_count[:attempt],
            known + had,
            *world.launched_count[attempt + 1 :],
        )
        wrong = world.wrong
        if sum(launched) > ASKED:
            wrong = wrong or f"S15: {sum(launched)} are launched, and {ASKED} were asked for"
        return changed(world, capacity=tuple(capacity), launched_count=launched, wrong=wrong), had

    def _call(self, world: World, k: int) -> Iterator[tuple[str, World]]:
        worker = world.workers[k]
        asked = self._asked(world, worker.attempt)
        word = f"asks pool {asked.pool + 1} for {asked.count}"
        doubtful = changed(worker, at="find", doubtful=True)
        if self._room(world, worker.attempt):
            after, had = self._launch_effect(world, worker.attempt)
            answered = changed(
                worker, at=self._first(), launched_count=had, answer=AttemptResult.LAUNCHED
            )
            yield f"{word}, and has {had}", _at(after, k, answered)
            if "lost" in self.events and not world.lost:
                yield f"{word}; the answer is lost", _at(changed(after, lost=True), k, doubtful)
        else:
            at = "find-empty" if worker.doubtful else "settle"
            answered = changed(worker, at=at, answer=AttemptResult.EMPTY)
            yield f"{word}, and there is no capacity", _at(world, k, answered)
        if "lost" in self.events and not world.lost:
            yield f"{word}; the call is lost", _at(changed(world, lost=True), k, doubtful)
        if "late effect" in self.events and not world.lost:
            flying = changed(world, lost=True, flying=worker.attempt)
            yield f"{word}; the call is under way for long", _at(flying, k, doubtful)

    def _recorded(self, world: World, k: int) -> World:
        worker = world.workers[k]
        at = worker.attempt
        recorded = (
            world.recorded[at] + worker.launched_count
            if "token" in self.without
            else worker.launched_count
        )
        recorded = min(recorded, world.launched_count[at])
        return changed(world, recorded=(*world.recorded[:at], recorded, *world.recorded[at + 1 :]))

    def _settle(self, world: World, k: int) -> tuple[str, World]:
        worker = world.workers[k]
        attempts = list(world.attempts)
        if worker.attempt == len(attempts):  # only without "attempt first"
            attempts.append(self._asked(world, worker.attempt))
        there = attempts[worker.attempt]
        fenced = (
            "settle under lock" in self.fences and not worker.launched_count and world.lock != k
        )
        if there.result is AttemptResult.OPEN and not fenced:
            attempts[worker.attempt] = changed_attempt(there, worker.answer, worker.launched_count)
        after = changed(world, attempts=tuple(attempts))
        then = "record" if "record first" in self.without and worker.launched_count else "keep"
        return f"settles attempt {worker.attempt + 1}: {worker.answer}", _at(
            after, k, self._on(worker, then)
        )

    # What it all comes to.

    def wrong(self, world: World) -> str:
        return world.wrong

    def end(self, world: World) -> Iterator[Hashable]:
        """If no worker is at work, one more worker in the calm after everything, and what is there then."""
        if any(worker.at not in (UNBEGUN, DONE, DEAD) for worker in world.workers):
            return
        if world.flying != NO_WORKER:
            return
        after = self.calmed(world)
        had = sum(after.launched_count)
        if after.wrong:
            yield after.wrong
        elif not after.step.finished:
            yield "liveness: the launch has no end"
        elif after.launched_count != after.recorded:
            yield f"S16: {had} are launched, and {sum(after.recorded)} are recorded"
        elif sum(attempt.launched for attempt in after.attempts) != had:
            yield f"S16: {had} are launched, and the attempts say otherwise"
        elif after.step is Phase.LAUNCHED and had != ASKED:
            yield "S16: the launch is said to be whole, and is not"
        else:
            yield after.step, had

    def calmed(self, world: World) -> World:
        """Nothing goes wrong any more, the lock has run out, and one more worker comes."""
        done = tuple(w if w.at == DEAD else Worker(at=DONE) for w in world.workers[:-1])
        world = changed(world, workers=(*done, Worker()), lost=True, lapsed=world.lock != NO_WORKER)
        if world not in self.calm:
            after, k = world, len(self.names)
            while after.workers[k].at != DONE:
                _, after = next(self.step(after, k))
            self.calm[world] = after
        return self.calm[world]


@cache
def changed_attempt(attempt: Attempt, result: AttemptResult, launched: int) -> Attempt:
    """The attempt as it is settled."""
    return Attempt(
        number=attempt.number,
        pool=attempt.pool,
        count=attempt.count,
        result=result,
        launched=launched,
    )


def _at(world: World, k: int, worker: Worker) -> World:
    return changed(world, workers=(*world.workers[:k], worker, *world.workers[k + 1 :]))
