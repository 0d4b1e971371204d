"""How the safeguards of launches and of stored plans are disabled."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from curfew.core import launch
from curfew.core.launch import Attempt, AttemptResult, Finished
from curfew.core.lease import Fleet
from curfew.fleets import launcher
from curfew.ledger.memory.fleets import MemoryFleets
from curfew.ledger.memory.plans import MemoryPlans
from curfew.ledger.records import PlanPhase
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep import run_state, stored_plans

from ..patching import Patch, setting
from .sweep_safeguards import FOREVER

new_token_for_every_call = setting(launcher, "token", lambda *_: uuid4().hex)


def without_locks(patch: Patch) -> None:
    """Several workers process one launch at the same time."""

    def attempt(self: MemoryFleets, fleet: Fleet, worker: str, attempt: Attempt, **_: Any) -> bool:
        self._attempts[fleet.launch_id][attempt.number] = (worker, attempt)
        return True

    patch(MemoryFleets, "lock", lambda *_given, **_named: True)
    patch(MemoryFleets, "begin_attempt", attempt)


def fall_back_in_doubt(patch: Patch) -> None:
    """A lost response counts as no capacity."""
    made = launcher._Launch._attempt

    def hasty(self: Any, *given: Any, **named: Any) -> Any:
        settled = made(self, *given, **named)
        attempt: Attempt = given[1]
        return (
            settled
            if isinstance(settled, Attempt)
            else replace(attempt, result=AttemptResult.EMPTY)
        )

    patch(launcher._Launch, "_attempt", hasty)


def never_find_by_token(patch: Patch) -> None:
    """An unknown result is resolved neither by its token nor by the same call again."""
    new_token_for_every_call(patch)
    patch(Ec2Provider, "launched", lambda *_: ())


class _All(int):
    """A number of instances that equals every other number, unless it is zero."""

    def __eq__(self, other: object) -> bool:
        return bool(self) or super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


def take_partial_launches(patch: Patch) -> None:
    """A search that finds some instances of a launch counts as complete."""
    found = launcher._Launch._find_by_token

    def hasty(self: Any, order: Any, attempt: Attempt) -> Any:
        return found(self, order, replace(attempt, count=1))

    patch(launcher._Launch, "_find_by_token", hasty)
    patch(launcher, "len", lambda some: _All(len(some)) if isinstance(some, tuple) else len(some))


def apply_any_plan(patch: Patch) -> None:
    """Any plan can be applied: of any age, of any policies, any number of times."""
    patch(stored_plans, "check_applicable", lambda *_given, **_named: None)
    patch(stored_plans, "_same_policies", lambda *_given, **_named: None)
    patch(run_state, "SHELF_LIFE", FOREVER)


def ignore_plan_policies(patch: Patch) -> None:
    """A plan of other policies is accepted."""
    patch(stored_plans, "_same_policies", lambda *_given, **_named: None)


def apply_twice(patch: Patch) -> None:
    """A plan is applied on every request."""
    applicable = stored_plans.check_applicable

    def again(record: Any, **more: Any) -> None:
        applicable(replace(record, phase=PlanPhase.PLANNED), **more)

    patch(stored_plans, "check_applicable", again)
    patch(MemoryPlans, "begin", lambda *_given, **_named: True)


def relaunch_after_mismatch(patch: Patch) -> None:
    """A token that EC2 knows with other parameters counts as no capacity."""
    next_step = launch.next_step

    def careless(spec: Any, attempts: Any) -> Attempt | Finished:
        tame = [
            replace(a, result=AttemptResult.EMPTY) if a.result is AttemptResult.MISMATCH else a
            for a in attempts
        ]
        return next_step(spec, tame)

    patch(launcher, "next_step", careless)
