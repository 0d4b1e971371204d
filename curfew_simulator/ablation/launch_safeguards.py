"""How the safeguards of launches and of stored plans are disabled."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from curfew.core import launch
from curfew.core.launch import Answer, Attempt, Ending
from curfew.core.lease import Fleet
from curfew.fleets import launcher
from curfew.ledger.memory.fleets import MemoryFleets
from curfew.ledger.memory.plans import MemoryPlans
from curfew.ledger.records import PlanStep
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep import run_state, stored_plans

from ..patching import Put, setting
from .sweep_safeguards import FOREVER

new_token_for_every_call = setting(launcher, "token", lambda *_: uuid4().hex)


def without_locks(put: Put) -> None:
    """Several workers process one launch at the same time."""

    def attempt(self: MemoryFleets, fleet: Fleet, worker: str, attempt: Attempt, **_: Any) -> bool:
        self._attempts[fleet.operation][attempt.number] = (worker, attempt)
        return True

    put(MemoryFleets, "lock", lambda *_given, **_named: True)
    put(MemoryFleets, "attempt", attempt)


def fall_back_in_doubt(put: Put) -> None:
    """No answer counts as no capacity."""
    made = launcher._Launch._made

    def hasty(self: Any, *given: Any, **named: Any) -> Any:
        settled = made(self, *given, **named)
        attempt: Attempt = given[1]
        return settled if isinstance(settled, Attempt) else replace(attempt, answer=Answer.EMPTY)

    put(launcher._Launch, "_made", hasty)


def never_find_by_token(put: Put) -> None:
    """Neither by its token, nor with the same token again."""
    new_token_for_every_call(put)
    put(Ec2Provider, "launched", lambda *_: ())


class _All(int):
    """A number of instances that passes for any other, unless it is none."""

    def __eq__(self, other: object) -> bool:
        return bool(self) or super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


def take_partial_launches(put: Put) -> None:
    """A look that shows some of a launch counts as the whole of it."""
    found = launcher._Launch._found

    def hasty(self: Any, order: Any, attempt: Attempt) -> Any:
        return found(self, order, replace(attempt, count=1))

    put(launcher._Launch, "_found", hasty)
    put(launcher, "len", lambda some: _All(len(some)) if isinstance(some, tuple) else len(some))


def apply_any_plan(put: Put) -> None:
    """Any plan, however old, of whatever policies, however often."""
    put(stored_plans, "applicable", lambda *_given, **_named: None)
    put(stored_plans, "_same_policies", lambda *_given, **_named: None)
    put(run_state, "SHELF_LIFE", FOREVER)


def ignore_plan_policies(put: Put) -> None:
    """A plan of other policies is as good."""
    put(stored_plans, "_same_policies", lambda *_given, **_named: None)


def apply_twice(put: Put) -> None:
    """A plan is applied as often as a caller asks."""
    applicable = stored_plans.applicable

    def again(record: Any, **more: Any) -> None:
        applicable(replace(record, step=PlanStep.PLANNED), **more)

    put(stored_plans, "applicable", again)
    put(MemoryPlans, "begin", lambda *_given, **_named: True)


def relaunch_after_mismatch(put: Put) -> None:
    """A token that EC2 knows with other parameters counts as no capacity."""
    upcoming = launch.upcoming

    def careless(order: Any, attempts: Any) -> Attempt | Ending:
        tame = [
            replace(a, answer=Answer.EMPTY) if a.answer is Answer.MISMATCH else a for a in attempts
        ]
        return upcoming(order, tame)

    put(launcher, "upcoming", careless)
