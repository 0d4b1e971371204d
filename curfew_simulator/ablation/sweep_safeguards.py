"""How the safeguards of one sweep are disabled: what is put in the place of what."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from curfew.aws import allowed_calls
from curfew.core import plan
from curfew.core.audit import Draft
from curfew.core.errors import CurfewError
from curfew.core.instance import Instance
from curfew.core.policy import Limits
from curfew.core.report import Result
from curfew.core.schedule import Schedule
from curfew.ledger.memory.fleets import MemoryFleets
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.providers.ec2 import scoped_credentials
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep import execution, planner, recheck, run_state, zone_worker

from ..patching import Put, Remove

FOREVER = timedelta(days=9_999)


def ignore_attributes(put: Put) -> None:
    """Termination and stop protection count for nothing."""
    for module in (recheck, planner):
        put(module, "protect", lambda made, _attributes: made)


def without_limit(**wide: int) -> Remove:
    """One of the limits is never reached."""

    def remove(put: Put) -> None:
        over = plan.over_limit

        def careless(wanted: int, limits: Limits, listed: int) -> Any:
            return over(wanted, replace(limits, **wide), listed)

        put(plan, "over_limit", careless)
        put(planner, "over_limit", careless)

    return remove


def skip_verification(put: Put) -> None:
    """An accepted order counts as verified without another description."""

    def verify(self: Any) -> None:
        self._settle(list(self.accepted.values()), Result.VERIFIED, "surely")

    put(execution._Execution, "verify", verify)


def write_intents_after(put: Put) -> None:
    """The audit comes after the call."""
    order = zone_worker.Lane._order_all
    write = zone_worker.Lane._write_intents

    def order_all(self: Any, due: Any) -> None:
        order(self, due)
        write(self, due)

    put(zone_worker.Lane, "_write_intents", lambda _self, _due: None)
    put(zone_worker.Lane, "_order_all", order_all)


def ignore_failed_pages(put: Put) -> None:
    """A page that fails is the last one."""
    find = Ec2Provider.find

    def shortened(self: Ec2Provider, *given: Any, **named: Any) -> Iterator[Instance]:
        try:
            yield from find(self, *given, **named)
        except CurfewError:
            return

    put(Ec2Provider, "find", shortened)


def trust_cancels(put: Put) -> None:
    """Whatever was asked to be cancelled counts as cancelled."""
    cancel = Ec2Provider._cancel

    def believing(self: Ec2Provider, ids: list[str], *, by: str) -> frozenset[str]:
        cancel(self, ids, by=by)
        return frozenset(ids)

    put(Ec2Provider, "_cancel", believing)


def widen_session_policies(put: Put) -> None:
    """Scoped credentials allow everything that the role allows."""

    def policy(_self: scoped_credentials.Errand) -> str:
        statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    put(scoped_credentials.Errand, "policy", property(policy))


def never_abort(put: Put) -> None:
    """Nothing stops a sweep."""
    put(run_state.Run, "halt", lambda _self, _reason, **_: None)


def drop_outcomes(put: Put) -> None:
    """Outcomes are not written down."""
    append = MemoryLedger.append

    def careless(self: MemoryLedger, target: Any, drafts: list[Draft]) -> None:
        append(self, target, [d for d in drafts if d.kind != "outcome"])

    put(MemoryLedger, "append", careless)


def catch_up_forever(put: Put) -> None:
    """A window is caught up, however long ago it began."""
    latest = Schedule.latest
    put(Schedule, "latest", lambda self, *now: latest(replace(self, catch_up=FOREVER), *now))


def ignore_renewals(put: Put) -> None:
    """The act trusts the leases of the plan, and claims whatever it finds."""
    put(zone_worker.Lane, "_claim", lambda _self, due: list(due))
    leases = MemoryFleets.leases
    seen: dict[str, Any] = {}

    def first_seen(self: MemoryFleets, target: Any, ids: Any) -> Any:
        fresh = leases(self, target, ids)
        return {id_: seen.setdefault(id_, lease) for id_, lease in fresh.items()}

    put(MemoryFleets, "leases", first_seen)


def allow_any_table(put: Put) -> None:
    """The allow-list of calls does not ask which table is written."""
    guard = allowed_calls.guard
    put(allowed_calls, "guard", lambda client, purpose, **_: guard(client, purpose))
