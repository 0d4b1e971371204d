"""A model of how sweeps end a fleet: every step is one atomic call of the real code, in the real order.

Two sweeps come for the same expired fleet of two instances, and one of them is delivered twice. One invocation may
crash for good, one order may go wrong, the owner renews once, a tag protects one instance once, and
the pause switch is thrown and released once, each at any moment. Curfew has no marks with grace yet: the mark of the
protocol is the claim.

    step             stands for
    list             ``sweep.plan``: ``provider.find``, and ``decide`` on what it shows
    leases           ``planner.select_by_lease``: ``fleets.leases``; what is not expired is not meant
    watermark        ``sweep._swept_already``: ``ledger.watermark``
    pause            ``sweep.act``: ``ledger.paused``
    open             ``recovery.resolve_open_intents``: ``ledger.open_intents``
    look-open        the same: ``provider.describe``
    settle           the same: ``ledger.append``
    reserve          ``sweep._within_the_day``: ``ledger.reserve``
    batch            ``zone_worker.process_batch``: ``run_state.may_continue`` reads ``ledger.paused``
    look             ``zone_worker._recheck``: ``provider.describe``, and ``decide`` on what it shows
    look-leases      the same: ``fleets.leases``
    claim            ``zone_worker._claim``: ``fleets.claim`` with ``expired``, once for the fleet
    intents          ``zone_worker._write_intents``: ``ledger.append``
    pause-intents    ``zone_worker.process_batch``: ``run_state.may_continue`` once more
    pause-order      ``zone_worker._send_all``: ``run_state.may_continue`` just before the call
    order            ``zone_worker._send``: ``provider.terminate``; after trouble ``_after_trouble`` looks again
    verify           ``execute.verify``: ``provider.describe``
    outcomes         ``execute.close``: ``ledger.append``
    end              ``execution._release_claims``: ``fleets.end``
    unclaim          the same: ``fleets.unclaim``
    complete         ``sweep.act``: ``ledger.complete``

Left out, because nothing here changes what they read or reads what they change: ``ledger.record_first_seen``,
``provider.protections`` (the protect tag stands for every protection), ``provider.release`` (nothing is persistent
Spot), and the clock. Of the looks of ``verify`` there is one. An invocation that crashes before its first write is
one that never came, so that a crash is only tried after a write.

Time is one step, *late*: 20 minutes after a crash, the claim of the invocation has run out and its intents are stale.
It needs the crash and nothing else, while the clock also has to outlast everybody who was there at the claim; so the
model knows more than the clock allows, and the protocol asks only that the holder of a claim is gone when it runs out.
The event *hang* takes this away: the claim runs out while its holder is just before its order. (Anywhere else, the age
of the plan stops a sweep that hung for so long; ``run_state.may_continue`` looks at it.)
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

BOTH = 0b11
TAGGED = 0b01
UNBEGUN, DONE, DEAD = "list", "done", "dead"
OVER = frozenset((DONE, DEAD))
# Straight after a write of each. Between two writes all moments are the same for a crash.
CRASHES = frozenset(
    ("reserve", "batch", "look", "intents", "pause-intents", "verify", "outcomes", "end", "unclaim", "complete")
)  # fmt: skip
BEFORE_WATERMARK = frozenset((UNBEGUN, "leases", "watermark"))
BEFORE_RESERVE = frozenset(("pause", "open", "look-open", "settle", "reserve"))
NO_SWEEP = -1
EXPIRED, RENEWED, ANSWERED_NO = range(3)
ON, OFF_AGAIN = 1, 2
LATE = "20 minutes pass"
HANG = "20 minutes pass, and whoever holds the claim only hangs"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One invocation: at which step it is, and what it knows. Sets of instances are bits.

    ``spare`` and ``braked`` are the truth at the moment of its last look, for the checks alone: the protocol does not
    know them.
    """

    at: str = UNBEGUN
    plan: int = 0
    batch: int = -1
    due: int = 0
    holds: bool | None = None
    touched: int = 0
    accepted: int = 0
    verified: int = 0
    intended: int = 0
    stale: int = 0
    good: bool = True
    halted: bool = False
    spare: int = 0
    braked: bool = False
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class World:
    """All there is. ``written`` has the intents and the outcomes, ``claim`` the id of the sweep that holds it."""

    runs: tuple[Run, ...]
    written: tuple[tuple[int, int], ...]
    running: int = BOTH
    tagged: int = 0
    lease: int = EXPIRED
    paused: int = 0
    claim: int = NO_SWEEP
    crashed: int = NO_SWEEP
    late: bool = False
    trouble: bool = False
    spent: int = 0
    ended: int = 0
    credited: int = 0
    swept: int = 0
    latest: int = 0
    wrong: str = ""


def changed[T](there: T, **changes: Any) -> T:
    """``dataclasses.replace``, four times as fast: most of the time of an exploration goes into it."""
    new = object.__new__(type(there))
    new.__dict__.update(there.__dict__, **changes)
    return new


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The model. ``ids`` and ``times`` are of each invocation, in the order of ``names``; ``zones`` are the batches.

    ``without`` takes guards out, ``events`` is what may happen beside the sweeps, ``tolerated`` are the properties that
    are not checked.
    """

    names: tuple[str, ...] = ("the first", "the second", "the first again")
    ids: tuple[int, ...] = (0, 1, 2)
    times: tuple[int, ...] = (1, 2, 1)
    zones: tuple[int, ...] = (BOTH,)
    limit: int = 4
    without: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset(("renew", "tag", "pause", "crash", "trouble"))
    tolerated: frozenset[str] = frozenset()
    reduced: bool = True
    calm: dict[World, World] = field(default_factory=dict, init=False, compare=False, repr=False)

    @cached_property
    def start(self) -> World:
        """No invocation has begun. One more invocation waits for the calm at the end."""
        runs = tuple(Run() for _ in (*self.ids, NO_SWEEP))
        return World(runs=runs, written=((0, 0),) * (2 * (max(self.ids) + 2)))

    # What happens next.

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Whatever can happen now, each as the state that it leads to without what no step asks for again."""
        for step, after in self._steps(world):
            yield step, self._essence(after)

    def _essence(self, world: World) -> World:
        at = {run.at for run in world.runs[:-1]}
        early = bool(at & BEFORE_WATERMARK)
        return changed(
            world,
            written=tuple((i, o) if i > o else (0, 0) for i, o in world.written),
            tagged=world.tagged & world.running,
            ended=world.ended if world.lease == EXPIRED else 0,
            swept=world.swept if early else 0,
            latest=world.latest if early else 0,
            spent=world.spent if early or at & BEFORE_RESERVE else 0,
            credited=0 if "credit" in self.tolerated else world.credited,
        )

    def _steps(self, world: World) -> Iterator[tuple[str, World]]:
        at_work = [k for k in range(len(self.names)) if world.runs[k].at not in OVER]
        alone = [k for k in at_work if self.reduced and self._alone(world, k)]
        for k in alone[:1] or at_work:
            for did, after in self.step(world, k):
                yield f"{self.names[k]}: {did}", after
            if world.crashed == NO_SWEEP and world.runs[k].at in CRASHES and "crash" in self.events:
                step = f"{self.names[k]}: crashes before {world.runs[k].at}"
                yield step, self.crash(world, k)
        if not alone:
            yield from self._beside(world)

    def _alone(self, world: World, k: int) -> bool:
        """Whether no other step can ever change what this step reads, nor read what it changes.

        Then it does the same whenever it is done, and it is enough to try it now.
        """
        run = world.runs[k]
        match run.at:
            case "pause" | "batch" | "pause-intents" | "pause-order":
                return world.paused == OFF_AGAIN or "pause" not in self.events
            case "leases" | "look-leases":
                return world.lease != EXPIRED or "renew" not in self.events
            case "open":
                return "crash" not in self.events or (world.late and not self._stale(world))
            case "look":
                return not (run.due or run.plan & self.zones[run.batch]) & world.running
            case "reserve":
                return self.limit >= 2 * len(self.names)
            case "intents" | "outcomes":
                return (
                    "hang" not in self.events
                )  # another only reads them when their writer is dead
            case "verify":
                return not run.accepted & world.running
            case "complete":
                others = (other.at for j, other in enumerate(world.runs[:-1]) if j != k)
                return BEFORE_WATERMARK.isdisjoint(others)
        return False

    def _beside(self, world: World) -> Iterator[tuple[str, World]]:
        if "renew" in self.events and world.lease == EXPIRED:
            yield self.renewal(world)
        if "tag" in self.events and world.running & TAGGED and not world.tagged:
            yield (
                "an operator sets the protect tag on the first instance",
                changed(world, tagged=TAGGED),
            )
        if "pause" in self.events and world.paused < OFF_AGAIN:
            word = "released" if world.paused else "thrown"
            yield f"the pause switch is {word}", changed(world, paused=world.paused + 1)
        if not world.late and world.crashed != NO_SWEEP:
            yield LATE, self.lateness(world)
        if "hang" in self.events and not world.late and any(r.at == "order" for r in world.runs):
            after = changed(world, late=True, claim=NO_SWEEP)
            yield HANG, after

    def crash(self, world: World, k: int) -> World:
        return _at(changed(world, crashed=k), k, Run(at=DEAD))

    def lateness(self, world: World) -> World:
        mine = world.crashed != NO_SWEEP and world.claim == self.id(world.crashed)
        frees = mine and "claim runs out" not in self.without
        return changed(world, late=True, claim=NO_SWEEP if frees else world.claim)

    def renewal(self, world: World) -> tuple[str, World]:
        """``fleets.renew``: one write, on the condition that no claim runs and that the fleet has not ended."""
        claimed = world.claim != NO_SWEEP and "claim blocks renewals" not in self.without
        if claimed or world.ended == BOTH:
            return "the owner renews, and is told no", changed(world, lease=ANSWERED_NO)
        after = changed(world, lease=RENEWED)
        if not world.running:
            after = self.blame(after, "hollow", "a renewal is answered yes, and nothing is left")
        return "the owner renews, and is told yes", after

    def id(self, k: int) -> int:
        return self.ids[k] if k < len(self.ids) else max(self.ids) + 1

    def step(  # noqa: PLR0912, PLR0915  one case for each step
        self, world: World, k: int
    ) -> Iterator[tuple[str, World]]:
        """What the invocation does next, in every way that it may go."""
        run = world.runs[k]
        match run.at:
            case "list":
                over = bool(self._time(k)) and world.latest >= self._time(k)
                plan = world.running & ~world.tagged
                yield (
                    f"lists {_who(plan)}",
                    _at(world, k, changed(run, at="leases", plan=plan, over=over)),
                )
            case "leases":
                plan = 0 if world.lease == RENEWED else run.plan
                at = "watermark" if self._time(k) else "pause"
                yield (
                    f"reads the leases, and plans to end {_who(plan)}",
                    _at(world, k, changed(run, at=at, plan=plan)),
                )
            case "watermark":
                swept = 0 < self._time(k) <= world.swept and "watermark" not in self.without
                said = "its time has been swept" if swept else "its time is new"
                onward = Run(at=DONE) if swept else changed(run, at="pause")
                yield f"reads the watermark: {said}", _at(world, k, onward)
            case "pause":
                paused = self._pause(world)
                onward = Run(at=DONE) if paused else changed(run, at="open")
                yield f"reads the pause switch: {_on(paused)}", _at(world, k, onward)
            case "open":
                stale = self._stale(world)
                went = changed(run, at="look-open", stale=stale) if stale else self._begin(run)
                yield f"reads the open intents: {stale.bit_count()} are stale", _at(world, k, went)
            case "look-open":
                seen = world.running
                yield (
                    f"looks at them: {_who(seen)} still run",
                    _at(world, k, changed(run, at="settle", due=seen)),
                )
            case "settle":
                yield "settles them", self._resolve(world, k)
            case "reserve":
                yield self._reserve(world, k)
            case "batch" | "pause-intents" | "pause-order":
                yield self._may_go_on(world, k)
            case "look":
                yield self._look(world, k)
            case "look-leases":
                yield self._look_at_leases(world, k)
            case "claim":
                yield self._claim(world, k)
            case "intents":
                intended = run.intended | run.due
                after = self._write(world, k, run.due, intents=1)
                yield (
                    f"writes intents for {_who(run.due)}",
                    _at(after, k, changed(run, at="pause-intents", intended=intended)),
                )
            case "order":
                yield from self._order(world, k)
            case "verify":
                ended = run.accepted if "verify" in self.without else run.accepted & ~world.running
                onward = self._close(changed(run, verified=ended))
                yield f"looks, and has seen {_who(ended)} end", _at(world, k, onward)
            case "outcomes":
                yield "writes the outcomes", self._outcomes(world, k)
            case "end":
                after = changed(world, ended=world.ended | run.verified)
                yield (
                    f"tells the register that {_who(run.verified)} ended",
                    _at(after, k, self._last(run)),
                )
            case "unclaim":
                mine = world.claim == self.id(k) and "unclaim" not in self.without
                after = changed(world, claim=NO_SWEEP if mine else world.claim)
                yield "lets go of the fleet", _at(after, k, _over(run))
            case "complete":
                time = self._time(k)
                after = changed(world, swept=max(time, world.swept), latest=max(time, world.latest))
                yield "writes the watermark", _at(after, k, Run(at=DONE))
            case _:
                raise AssertionError(run.at)

    # The steps that are longer.

    def _reserve(self, world: World, k: int) -> tuple[str, World]:
        run = world.runs[k]
        spent = world.spent + run.plan.bit_count()
        if spent > self.limit and "budget" not in self.without:
            return "finds the day's budget spent", _at(world, k, Run(at=DONE))
        after = changed(world, spent=spent)
        if spent > self.limit:
            after = self.blame(after, "S4", "more is reserved than the day may lose")
        return "reserves its plan in the day's budget", _at(after, k, self._next(run))

    def _may_go_on(self, world: World, k: int) -> tuple[str, World]:
        run = world.runs[k]
        paused, braked = self._pause(world), world.paused == ON
        onward = {"batch": "look", "pause-intents": "pause-order", "pause-order": "order"}[run.at]
        if run.at == "batch" and "look" in self.without:
            due = run.plan & self.zones[run.batch]
            run, onward = changed(run, due=due), self._claimed_already(run)
            run = changed(run, spare=self._spare(world))
        onto = changed(run, at=onward, braked=braked)
        after = self._next(changed(run, halted=True, good=False)) if paused else onto
        return f"reads the pause switch: {_on(paused)}", _at(world, k, after)

    def _look(self, world: World, k: int) -> tuple[str, World]:
        run = world.runs[k]
        asked = run.due if run.touched & run.due else run.plan & self.zones[run.batch]
        due = asked & world.running & ~world.tagged
        if run.touched & asked and "second look" in self.without:
            due = asked
        # An end that is found may be its own doing; what it touched and may not touch again is unknown.
        accepted = run.accepted | (asked & run.touched & ~world.running)
        unknown = asked & run.touched & world.running & world.tagged
        run = changed(run, due=due, accepted=accepted, good=run.good and not unknown)
        run = changed(run, spare=self._spare(world))
        after = changed(run, at="look-leases") if due else self._next(run)
        return f"looks: {_who(due)} may go", _at(world, k, after)

    def _look_at_leases(self, world: World, k: int) -> tuple[str, World]:
        run = world.runs[k]
        renewed = world.lease == RENEWED and "leases at the look" not in self.without
        said = "renewed" if renewed else "expired"
        good = run.good and not (renewed and run.touched & run.due)
        run = changed(run, due=0 if renewed else run.due, good=good)
        if not run.due:
            after = self._next(run)
        elif run.touched & run.due:
            after = changed(run, at="pause-order")
        else:
            after = changed(run, at=self._claimed_already(run))
            if run.holds is False:
                after = self._next(run)
        return f"reads the leases again: {said}", _at(world, k, after)

    def _claimed_already(self, state: Run) -> str:
        if state.holds is None and "claim" not in self.without:
            return "claim"
        return "pause-order" if "intents" in self.without else "intents"

    def _claim(self, world: World, k: int) -> tuple[str, World]:
        """``fleets.claim``: one write, if the lease has run out and no other sweep's claim runs."""
        run, me = world.runs[k], self.id(k)
        free = world.claim in (NO_SWEEP, me) or "claim excludes sweeps" in self.without
        expired = world.lease != RENEWED or "claim asks for expiry" in self.without
        if not (free and expired):
            return "claims the fleet, and is told no", _at(
                world, k, self._next(changed(run, holds=False))
            )
        run = changed(run, holds=True)
        after = changed(run, at=self._claimed_already(run))
        return "claims the fleet", _at(changed(world, claim=me), k, after)

    def _order(self, world: World, k: int) -> Iterator[tuple[str, World]]:
        run = world.runs[k]
        checked = self._check_order(world, k)
        gone = changed(checked, running=world.running & ~run.due)
        ours = run.due & (world.running | run.touched)
        done = self._next(changed(run, accepted=run.accepted | ours))
        yield f"orders the end of {_who(run.due)}", _at(gone, k, done)
        if "trouble" in self.events and not world.trouble:
            again = changed(run, at="look", touched=run.touched | run.due)
            word = f"orders the end of {_who(run.due)}"
            for name, after, then in (
                ("the answer is lost", gone, again),
                ("the call is lost", checked, again),
                ("the cloud agrees and does nothing", checked, done),
            ):
                yield f"{word}; {name}", _at(changed(after, trouble=True), k, then)

    def _check_order(self, world: World, k: int) -> World:
        run = world.runs[k]
        if run.due & ~run.intended:
            return self.blame(world, "S3", "an order has no intent")
        if world.lease == RENEWED:
            return self.blame(
                world, "S26", "the owner was told yes, and the fleet is ordered to end"
            )
        if run.due & run.spare:
            return self.blame(world, "S2", "what is ordered was exempt when it was looked at")
        if run.braked:
            return self.blame(world, "S14", "an order is given while the pause switch is on")
        if run.over:
            return self.blame(
                world, "S13", "a time that was swept before it began is acted on again"
            )
        if world.crashed != k and self._others(world, k):
            return self.blame(world, "S25", "two sweeps are ending the fleet at once")
        return world

    def _others(self, world: World, k: int) -> bool:
        """Whether another invocation has the fleet in hand: it holds the claim, and may order."""
        ordering = ("intents", "pause-intents", "pause-order", "order")
        return any(
            run.at in ordering and run.due & world.runs[k].due
            for j, run in enumerate(world.runs)
            if j != k
        )

    def _resolve(self, world: World, k: int) -> World:
        run = world.runs[k]
        for sweep in range(len(world.written) // 2):
            mine = run.stale >> 2 * sweep & BOTH
            world = self._write(world, k, mine, outcomes=1, sweep=sweep)
            world = self._credit(world, mine & ~run.due)
        return _at(world, k, self._begin(changed(run, stale=0, due=0)))

    def _outcomes(self, world: World, k: int) -> World:
        run = world.runs[k]
        world = self._write(world, k, run.intended, outcomes=1)
        world = self._credit(world, run.verified)
        if run.verified & world.running:
            world = self.blame(world, "verified", "what is said to be verified still runs")
        run = changed(run, intended=0)
        return _at(world, k, changed(run, at="end") if run.verified else self._last(run))

    def _credit(self, world: World, ended: int) -> World:
        if ended & world.credited:
            return self.blame(world, "credit", "two sweeps take the credit for one end")
        return changed(world, credited=world.credited | ended)

    # Small things.

    def _time(self, k: int) -> int:
        return self.times[k] if k < len(self.times) else 0

    def _pause(self, world: World) -> bool:
        return world.paused == ON and "pause" not in self.without

    def _spare(self, world: World) -> int:
        return BOTH if world.lease == RENEWED else world.tagged

    def _stale(self, world: World) -> int:
        """The intents without an outcome whose writer is gone, as bits of sweep and instance."""
        if not world.late or "settling" in self.without:
            return 0
        gone = None if world.crashed == NO_SWEEP else self.id(world.crashed)
        return sum(
            1 << place
            for place, (intents, outcomes) in enumerate(world.written)
            if intents > outcomes and (gone is None or place // 2 == gone)
        )

    def _write(
        self,
        world: World,
        k: int,
        who: int,
        *,
        intents: int = 0,
        outcomes: int = 0,
        sweep: int | None = None,
    ) -> World:
        written = list(world.written)
        for bit in range(2):
            if who >> bit & 1:
                place = 2 * (self.id(k) if sweep is None else sweep) + bit
                made, settled = written[place]
                # One outcome settles all intents of a sweep on an instance: ``audit.open_intents`` knows no others.
                settled = max(made, settled + 1) if outcomes else settled
                written[place] = (made + intents, settled)
        after = changed(world, written=tuple(written))
        if any(outcomes > intents for intents, outcomes in written):
            return self.blame(after, "outcomes", "an intent has two outcomes")
        return after

    def _begin(self, state: Run) -> Run:
        return changed(state, at="reserve") if state.plan else self._next(state)

    def _next(self, state: Run) -> Run:
        """To the next batch; after the last one to the verification."""
        state = changed(state, due=0, spare=0, braked=False)
        for batch in range(state.batch + 1, len(self.zones)):
            if state.plan & self.zones[batch] and not state.halted:
                return changed(state, at="batch", batch=batch)
        state = changed(state, batch=-1, plan=0, touched=0, over=False, halted=False)
        return changed(state, at="verify") if state.accepted else self._close(state)

    def _close(self, state: Run) -> Run:
        state = changed(state, accepted=0)
        return changed(state, at="outcomes") if state.intended else self._last(state)

    def _last(self, state: Run) -> Run:
        if state.holds:
            return Run(at="unclaim", holds=True, good=state.good)
        return _over(state)

    def blame(self, world: World, what: str, words: str) -> World:
        return (
            world
            if what in self.tolerated
            else changed(world, wrong=world.wrong or f"{what}: {words}")
        )

    # What it all comes to.

    def wrong(self, world: World) -> str:
        return world.wrong

    def end(self, world: World) -> Iterator[Hashable]:
        """If no invocation is at work, one more sweep in the calm after everything, and what is left then."""
        if any(run.at not in (UNBEGUN, DONE, DEAD) for run in world.runs):
            return
        if world.claim != NO_SWEEP and (world.crashed == NO_SWEEP or world.late):
            yield "S25: a claim is left for good"
            return
        if all(run.at == UNBEGUN for run in world.runs):
            return
        after = self.calmed(world)
        if after.wrong:
            yield f"{after.wrong}, in the calm"
        elif any(intents > outcomes for intents, outcomes in after.written):
            yield "S3: an intent has no outcome after the next sweep"
        elif after.lease != RENEWED and after.running & ~after.tagged:
            yield "liveness: an expired fleet is still there after the next sweep"
        elif after.claim != NO_SWEEP:
            yield "S25: a claim is left for good"
        else:
            yield after.running, after.tagged, after.lease

    def calmed(self, world: World) -> World:
        """The next day: nothing goes wrong any more, what has to run out has, and one sweep comes."""
        done = tuple(run if run.at == DEAD else Run(at=DONE) for run in world.runs[:-1])
        world = changed(
            self.lateness(world) if world.crashed != NO_SWEEP else world,
            runs=(*done, Run()), paused=0, spent=0, trouble=True,
        )  # fmt: skip
        if world not in self.calm:
            after, k = world, len(self.ids)
            while after.runs[k].at != DONE:
                _, after = next(self.step(after, k))
            self.calm[world] = after
        return self.calm[world]


def _at(world: World, k: int, state: Run) -> World:
    return changed(world, runs=(*world.runs[:k], state, *world.runs[k + 1 :]))


def _over(state: Run) -> Run:
    return Run(at="complete" if state.good else DONE)


def _who(some: int) -> str:
    return {0: "nobody", 1: "the first instance", 2: "the second instance", 3: "both"}[some]


def _on(paused: bool) -> str:
    return "on" if paused else "off"
