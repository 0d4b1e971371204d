"""How to take each guard of the model out of the real code, so that its ports are called as the model then says."""

from dataclasses import replace
from typing import Any

import pytest

from curfew import execute, sweep
from curfew.core.lease import Fleet
from curfew.core.report import Result
from curfew.ledger.memory import MemoryLedger
from curfew.ledger.memory_fleets import MemoryFleets
from tests.safety.belts import Remove, returning

Execution = execute._Execution


def _no_claim(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Execution, "_claim", lambda _self, due: list(due))


def _claim_at_any_time(patch: pytest.MonkeyPatch) -> None:
    claim = MemoryFleets.claim
    patch.setattr(
        MemoryFleets, "claim", lambda *args, now, expired: claim(*args, now=now, expired=False)
    )


def _claim_from_anybody(patch: pytest.MonkeyPatch) -> None:
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
    look = Execution._look

    def blind(self: Any, actions: Any) -> Any:
        return look(self, actions) if self._touched else list(actions)

    patch.setattr(Execution, "_look", blind)


def _second_look(patch: pytest.MonkeyPatch) -> None:
    look = Execution._look

    def careless(self: Any, actions: Any) -> Any:
        due = look(self, actions)
        if not self._touched:
            return due
        for action in actions:
            self._outcomes.pop(action.instance.id, None)
            self._accepted.pop(action.instance.id, None)
        return list(actions)

    patch.setattr(Execution, "_look", careless)


def _intents(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Execution, "_write_intents", lambda *_: None)


def _settling(patch: pytest.MonkeyPatch) -> None:
    def read_only(prepared: sweep.Sweep) -> tuple[str, ...]:
        prepared.clock.now()
        prepared.ledger.open_intents(prepared.provider.target)
        return ()

    patch.setattr(sweep, "_settle_open_intents", read_only)


def _verification(patch: pytest.MonkeyPatch) -> None:
    def trusting(self: Any) -> None:
        if self._accepted:
            self._provider.describe(list(self._accepted))
            self._settle(list(self._accepted.values()), Result.VERIFIED, "the cloud agreed")

    patch.setattr(Execution, "verify", trusting)


REMOVED: dict[str, Remove] = {
    "claim": _no_claim,
    "claim asks for expiry": _claim_at_any_time,
    "claim blocks renewals": _renewed_in_spite_of_claims,
    "claim excludes sweeps": _claim_from_anybody,
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
