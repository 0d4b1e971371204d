"""Takes a safety rule out of Curfew, for as long as it takes the worlds to see that it is missing.

Each belt says what is set in the place of what. The tests in tests/safety take belts out for one scenario each; here
nobody says what is to happen.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from curfew import dispatch, execute, fleet, lane, launching, planning, run, sweep, triggers
from curfew.clock import Clock
from curfew.core import plan
from curfew.core.audit import Draft
from curfew.core.errors import CurfewError
from curfew.core.launch import Answer, Attempt
from curfew.core.lease import Fleet
from curfew.core.model import Instance, Mode
from curfew.core.policy import Limits
from curfew.core.report import Result
from curfew.core.schedule import Schedule
from curfew.handlers import sweep as sweep_handler
from curfew.handlers.api import fleets as fleets_api
from curfew.handlers.api import pause as pause_api
from curfew.handlers.api import sweeps as sweeps_api
from curfew.ledger import PlanStep
from curfew.ledger.dynamo_fleets import DynamoFleets
from curfew.ledger.dynamodb import DynamoLedger
from curfew.ledger.memory import MemoryLedger
from curfew.ledger.memory_fleets import MemoryFleets
from curfew.ledger.memory_plans import MemoryPlans
from curfew.providers import ec2_rights
from curfew.providers.ec2 import Ec2Provider

from .. import sts
from .lane_belts import each_lane_for_itself, one_pocket
from .removal import Put, Remove, everything_at_once, patching, returning, rules, setting

FOREVER = timedelta(days=9_999)
LEDGERS = (MemoryLedger, DynamoLedger)
REGISTERS = (MemoryFleets, DynamoFleets)


@contextmanager
def without(name: str) -> Iterator[None]:
    """Curfew without one belt, while this lasts."""
    with patching() as put:
        BELTS[name](put)
        yield


believe_old_looks = returning(True, (lane.Lane, "_is_fresh"))
never_look = everything_at_once(
    setting(lane.Lane, "_look", lambda _self, actions: list(actions)), believe_old_looks
)
select_everything = returning(None, (plan, "mismatch"), (sweep, "mismatch"))
without_claims = setting(lane.Lane, "_claim", lambda _self, due: list(due))
claim_and_forget = returning(True, *((register, "claim") for register in REGISTERS))
skip_intents = returning(None, (lane.Lane, "_write_intents"))
one_batch = setting(execute, "batches", lambda actions: iter([tuple(actions)] if actions else []))
a_new_token_for_every_call = setting(launching, "token", lambda *_: uuid4().hex)
paused_by_nobody = returning(None, *((ledger, "paused") for ledger in LEDGERS))
without_budget = returning(True, *((ledger, "reserve") for ledger in LEDGERS))


def ignore_attributes(put: Put) -> None:
    """Termination and stop protection count for nothing."""
    for module in (lane, sweep):
        put(module, "protect", lambda made, _attributes: made)


def limitless(**wide: int) -> Remove:
    """One of the limits is never reached."""

    def remove(put: Put) -> None:
        over = plan.over_limit

        def careless(wanted: int, limits: Limits, listed: int) -> Any:
            return over(wanted, replace(limits, **wide), listed)

        put(plan, "over_limit", careless)
        put(sweep, "over_limit", careless)

    return remove


def believe(put: Put) -> None:
    """What was accepted is called verified, and nobody looks."""

    def verify(self: Any) -> None:
        self._settle(list(self.accepted.values()), Result.VERIFIED, "surely")

    put(execute._Execution, "verify", verify)


def intents_after(put: Put) -> None:
    """The audit comes after the call."""
    order = lane.Lane._order_all
    write = lane.Lane._write_intents

    def order_all(self: Any, due: Any) -> None:
        order(self, due)
        write(self, due)

    put(lane.Lane, "_write_intents", lambda _self, _due: None)
    put(lane.Lane, "_order_all", order_all)


def swallow_failed_pages(put: Put) -> None:
    """A page that fails is the last one."""
    find = Ec2Provider.find

    def shortened(self: Ec2Provider, *given: Any, **named: Any) -> Iterator[Instance]:
        try:
            yield from find(self, *given, **named)
        except CurfewError:
            return

    put(Ec2Provider, "find", shortened)


def believe_cancels(put: Put) -> None:
    """Whatever was asked to be cancelled counts as cancelled."""
    cancel = Ec2Provider._cancel

    def believing(self: Ec2Provider, ids: list[str], *, by: str) -> frozenset[str]:
        cancel(self, ids, by=by)
        return frozenset(ids)

    put(Ec2Provider, "_cancel", believing)


def whatever_is_asked_for(put: Put) -> None:
    """A loan is for everything that the role may do."""

    def policy(_self: ec2_rights.Errand) -> str:
        statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    put(ec2_rights.Errand, "policy", property(policy))


def without_locks(put: Put) -> None:
    """Whoever comes works at a launch."""

    def attempt(self: MemoryFleets, fleet: Fleet, worker: str, attempt: Attempt, **_: Any) -> bool:
        self._attempts[fleet.operation][attempt.number] = (worker, attempt)
        return True

    put(MemoryFleets, "lock", lambda *_given, **_named: True)
    put(MemoryFleets, "attempt", attempt)


def fall_back_on_doubt(put: Put) -> None:
    """No answer counts as no capacity."""
    made = launching._Launch._made

    def hasty(self: Any, *given: Any, **named: Any) -> Any:
        settled = made(self, *given, **named)
        attempt: Attempt = given[1]
        return settled if isinstance(settled, Attempt) else replace(attempt, answer=Answer.EMPTY)

    put(launching._Launch, "_made", hasty)


def found_by_nothing(put: Put) -> None:
    """Neither by its token, nor with the same token again."""
    a_new_token_for_every_call(put)
    put(Ec2Provider, "launched", lambda *_: ())


class _All(int):
    """A number of instances that passes for any other, unless it is none."""

    def __eq__(self, other: object) -> bool:
        return bool(self) or super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


def take_what_is_found(put: Put) -> None:
    """A look that shows some of a launch counts as the whole of it."""
    found = launching._Launch._found

    def hasty(self: Any, order: Any, attempt: Attempt) -> Any:
        return found(self, order, replace(attempt, count=1))

    put(launching._Launch, "_found", hasty)
    put(launching, "len", lambda some: _All(len(some)) if isinstance(some, tuple) else len(some))


def carry_on_regardless(put: Put) -> None:
    """Nothing stops a sweep."""
    put(run.Run, "halt", lambda _self, _reason, **_: None)


def apply_anything(put: Put) -> None:
    """Any plan, however old, of whatever policies, however often."""
    put(planning, "applicable", lambda *_given, **_named: None)
    put(planning, "_same_policies", lambda *_given, **_named: None)
    put(run, "SHELF_LIFE", FOREVER)


def same_policies(put: Put) -> None:
    """A plan of other policies is as good."""
    put(planning, "_same_policies", lambda *_given, **_named: None)


def apply_twice(put: Put) -> None:
    """A plan is applied as often as somebody asks."""
    applicable = planning.applicable

    def again(record: Any, **more: Any) -> None:
        applicable(replace(record, step=PlanStep.PLANNED), **more)

    put(planning, "applicable", again)
    put(MemoryPlans, "begin", lambda *_given, **_named: True)


def drop_appends(put: Put) -> None:
    """Outcomes are not written down."""
    append = MemoryLedger.append

    def careless(self: MemoryLedger, target: Any, drafts: list[Draft]) -> None:
        append(self, target, [d for d in drafts if d.kind != "outcome"])

    put(MemoryLedger, "append", careless)


def any_window(put: Put) -> None:
    """A window is caught up, however long ago it began."""
    latest = Schedule.latest
    put(Schedule, "latest", lambda self, *now: latest(replace(self, catch_up=FOREVER), *now))


NOBODYS = tuple((module, "only_owner") for module in (fleet, fleets_api))
# The design's own, in its order; then the others, in the order of the pipeline.
BELTS: Mapping[str, Remove] = {
    "re-check": never_look,
    "cap-per-sweep": limitless(per_sweep=10**9),
    "cap-per-cent": limitless(percent=10**9),
    "day-budget": without_budget,
    "protect-tag": rules("_protect_tag"),
    "attributes": ignore_attributes,
    "audit-first": skip_intents,
    "audit-after": intents_after,
    "pause": paused_by_nobody,
    "zone-wise-batch": one_batch,
    "verify": believe,
    "stale-trigger": setting(triggers, "LATEST", FOREVER),
    "catch-up": any_window,
    "stale-message": setting(dispatch, "OLDEST", FOREVER),
    "stale-plan": apply_anything,
    "token": a_new_token_for_every_call,
    "claim": claim_and_forget,
    "no-claim": without_claims,
    "lock": without_locks,
    "membership": returning(None, (plan, "out_of_lease")),
    "selector": select_everything,
    "spot-release": returning({}, (Ec2Provider, "release")),
    "spot-seen": believe_cancels,
    "record": returning(None, *((register, "record") for register in REGISTERS)),
    "found-by-token": found_by_nothing,
    "whole-launch": take_what_is_found,
    "no-fallback-on-doubt": fall_back_on_doubt,
    "auto-scaling-group": rules("_auto_scaling_group", "_managed_by_service"),
    "managed-by-service": rules("_managed_by_service"),
    "ambiguous-tag": rules("_ambiguous_tag"),
    "cannot-stop": rules("_cannot_stop"),
    "min-age": rules("_min_age"),
    "leased": everything_at_once(rules("_leased"), without_claims),
    "being-launched": rules("_being_launched"),
    "older-than": returning(None, (plan, "too_young")),
    "mode": returning(Mode.ACT, (sweep_handler, "permitted")),
    "duplicate": returning(False, (sweep, "_swept_already")),
    "whole-listing": swallow_failed_pages,
    "batch-size": everything_at_once(
        setting(execute, "BATCH", 1_000),
        setting(ec2_rights, "LONGEST_POLICY", 10**9),
        setting(sts, "LONGEST_POLICY", 10**9),
    ),
    "session-policy": whatever_is_asked_for,
    "own-loan": one_pocket,
    "look-between": believe_old_looks,
    "fresh-look": setting(lane, "FRESH", FOREVER),
    "deadline": returning(True, (Clock, "has")),
    "unknown-error": carry_on_regardless,
    "shared-halt": each_lane_for_itself,
    "plan-policies": same_policies,
    "plan-once": apply_twice,
    "owner": returning(None, *NOBODYS),
    "administrator": returning(
        None, (pause_api, "only_administrator"), (sweeps_api, "only_administrator")
    ),
    "bounds": returning(None, (fleet, "_bounded")),
    "outcomes": drop_appends,
}
