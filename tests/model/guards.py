"""How to take each guard of the model out of the real code, so that its ports are called as the model then says."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from curfew.core.launch import Attempt, AttemptResult
from curfew.core.lease import Fleet
from curfew.core.report import Result
from curfew.fleets import launcher
from curfew.ledger.memory.fleets import MemoryFleets
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.protocols import Ledger
from curfew.providers.base import Provider
from curfew.sweep import execution, recovery, zone_worker

type Disable = Callable[[pytest.MonkeyPatch], None]

ZoneWorker = zone_worker.ZoneWorker


def returning(owner: object, name: str, value: object) -> Disable:
    return lambda patch: patch.setattr(owner, name, lambda *_args, **_more: value)


def _no_claim(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ZoneWorker, "_claim", lambda _self, due: list(due))


def _claim_at_any_time(patch: pytest.MonkeyPatch) -> None:
    claim = MemoryFleets.claim
    patch.setattr(
        MemoryFleets, "claim", lambda *args, now, expired: claim(*args, now=now, expired=False)
    )


def _claim_from_any_sweep(patch: pytest.MonkeyPatch) -> None:
    claim = MemoryFleets.claim

    def taken(self: MemoryFleets, fleet: str, *args: Any, **more: Any) -> bool:
        there = self._fleets[fleet]
        self._fleets[fleet] = replace(there, claimed_by="", claimed_at=None)
        return claim(self, fleet, *args, **more)

    patch.setattr(MemoryFleets, "claim", taken)


def _renewed_in_spite_of_claims(patch: pytest.MonkeyPatch) -> None:
    def renew(self: MemoryFleets, fleet: Fleet, expires_at: Any, **_: Any) -> bool:
        self._fleets[fleet.name] = replace(self._fleets[fleet.name], expires_at=expires_at)
        return True

    patch.setattr(MemoryFleets, "renew", renew)


def _claimed_for_good(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fleet, "claimed", lambda self, _now: self.claimed_at is not None)


def _first_look(patch: pytest.MonkeyPatch) -> None:
    look = ZoneWorker._recheck

    def blind(self: Any, actions: Any) -> Any:
        return look(self, actions) if self._touched else list(actions)

    patch.setattr(ZoneWorker, "_recheck", blind)
    patch.setattr(ZoneWorker, "_is_fresh", lambda *_: True)


def _second_look(patch: pytest.MonkeyPatch) -> None:
    look = ZoneWorker._recheck

    def careless(self: Any, actions: Any) -> Any:
        due = look(self, actions)
        if not self._touched:
            return due
        for action in actions:
            self.outcomes.pop(action.instance.id, None)
            self.accepted.pop(action.instance.id, None)
        return list(actions)

    patch.setattr(ZoneWorker, "_recheck", careless)


def _intents(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ZoneWorker, "_write_intents", lambda *_: None)


def _settling(patch: pytest.MonkeyPatch) -> None:
    def read_only(provider: Provider, ledger: Ledger, _now: datetime) -> tuple[str, ...]:
        ledger.open_intents(provider.target)
        return ()

    patch.setattr(recovery, "resolve_open_intents", read_only)


def _verification(patch: pytest.MonkeyPatch) -> None:
    def trusting(self: Any) -> None:
        if self.accepted:
            self._provider.describe(list(self.accepted))
            self._record(list(self.accepted.values()), Result.VERIFIED, "the cloud agreed")

    patch.setattr(execution._Execution, "verify", trusting)


REMOVED: dict[str, Disable] = {
    "claim": _no_claim,
    "claim asks for expiry": _claim_at_any_time,
    "claim blocks renewals": _renewed_in_spite_of_claims,
    "claim excludes sweeps": _claim_from_any_sweep,
    "claim runs out": _claimed_for_good,
    "unclaim": returning(MemoryFleets, "unclaim", None),
    "look": _first_look,
    "second look": _second_look,
    "intents": _intents,
    "settling": _settling,
    "budget": returning(MemoryLedger, "reserve", True),
    "pause": returning(MemoryLedger, "paused", None),
    "verify": _verification,
    "watermark": returning(MemoryLedger, "watermark", None),
}


def _no_locks(patch: pytest.MonkeyPatch) -> None:
    lock, advance = MemoryFleets.lock, MemoryFleets.advance

    def taken(self: MemoryFleets, fleet: Fleet, worker: str, *, now: Any, until: Any) -> bool:
        self._locks.pop(fleet.launch_id, None)
        return lock(self, fleet, worker, now=now, until=until)

    def attempt(self: MemoryFleets, fleet: Fleet, worker: str, made: Attempt, *, now: Any) -> bool:
        if self._fleets[fleet.name].claimed(now):
            return False
        self._attempts[fleet.launch_id][made.number] = (worker, made)
        return True

    def advanced(self: MemoryFleets, fleet: Fleet, worker: str, *args: Any) -> bool:
        if there := self._locks.get(fleet.launch_id):
            self._locks[fleet.launch_id] = replace(there, worker=worker)
        return advance(self, fleet, worker, *args)

    patch.setattr(MemoryFleets, "lock", taken)
    patch.setattr(MemoryFleets, "begin_attempt", attempt)
    patch.setattr(MemoryFleets, "advance", advanced)


def _empty_when_open(patch: pytest.MonkeyPatch) -> None:
    made = launcher._Launch._attempt

    def hasty(self: Any, order: Any, attempt: Attempt, *, repeated: bool) -> Any:
        if repeated:
            return replace(attempt, result=AttemptResult.EMPTY)
        return made(self, order, attempt, repeated=repeated)

    patch.setattr(launcher._Launch, "_attempt", hasty)


def _unwritten_attempts(patch: pytest.MonkeyPatch) -> None:
    attempt = MemoryFleets.begin_attempt

    def unwritten(self: MemoryFleets, fleet: Fleet, worker: str, made: Attempt, **m: Any) -> bool:
        written = attempt(self, fleet, worker, made, **m)
        if written:
            del self._attempts[fleet.launch_id][made.number]
        return written

    def settle(self: MemoryFleets, fleet: Fleet, attempt: Attempt) -> None:
        self._attempts[fleet.launch_id][attempt.number] = ("", attempt)

    patch.setattr(MemoryFleets, "begin_attempt", unwritten)
    patch.setattr(MemoryFleets, "finish_attempt", settle)


def _recorded_later(patch: pytest.MonkeyPatch) -> None:
    hold, waiting = launcher._Launch.hold, dict[str, list[str]]()

    def settled(
        self: Any, attempt: Attempt, answer: AttemptResult, launched: Any, problem: str = ""
    ) -> Any:
        waiting[self.worker] = [instance.id for instance in launched]
        return replace(attempt, result=answer, launched=len(launched), problem=problem)

    def held(self: Any) -> bool:
        if ids := waiting.pop(self.worker, None):
            self.ledger.fleets.record(self.fleet, ids, now=self.clock.now())
        return hold(self)

    patch.setattr(launcher._Launch, "_finish_attempt", settled)
    patch.setattr(launcher._Launch, "hold", held)


def _attempts_in_spite_of_claims(patch: pytest.MonkeyPatch) -> None:
    attempt = MemoryFleets.begin_attempt

    def made(self: MemoryFleets, fleet: Fleet, *args: Any, **more: Any) -> bool:
        there = self._fleets[fleet.name]
        self._fleets[fleet.name] = replace(there, claimed_at=None)
        try:
            return attempt(self, fleet, *args, **more)
        finally:
            self._fleets[fleet.name] = there

    patch.setattr(MemoryFleets, "begin_attempt", made)


# Without "lock before the call": it is missed only where the fences are, which the code does not have.
REMOVED_FROM_LAUNCH: dict[str, Disable] = {
    "lock": _no_locks,
    "token": lambda patch: patch.setattr(launcher, "token", lambda *_: uuid4().hex),
    "open attempt first": _empty_when_open,
    "attempt first": _unwritten_attempts,
    "record first": _recorded_later,
    "claim blocks attempts": _attempts_in_spite_of_claims,
}
