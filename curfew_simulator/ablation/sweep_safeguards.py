"""How the safeguards of one sweep are disabled: each patch replaces one function."""

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

from ..patching import Disable, Patch

FOREVER = timedelta(days=9_999)


def ignore_attributes(patch: Patch) -> None:
    """Termination and stop protection are ignored."""
    for module in (recheck, planner):
        patch(module, "protect", lambda made, _attributes: made)


def without_limit(**wide: int) -> Disable:
    """One of the limits is never reached."""

    def disable(patch: Patch) -> None:
        over = plan.over_limit

        def careless(wanted: int, limits: Limits, listed: int) -> Any:
            return over(wanted, replace(limits, **wide), listed)

        patch(plan, "over_limit", careless)
        patch(planner, "over_limit", careless)

    return disable


def skip_verification(patch: Patch) -> None:
    """An accepted call counts as verified without another description."""

    def verify(self: Any) -> None:
        self._record(list(self.accepted.values()), Result.VERIFIED, "surely")

    patch(execution._Execution, "verify", verify)


def write_intents_after(patch: Patch) -> None:
    """The audit comes after the call."""
    send = zone_worker.ZoneWorker._send_all
    write = zone_worker.ZoneWorker._write_intents

    def order_all(self: Any, due: Any) -> None:
        send(self, due)
        write(self, due)

    patch(zone_worker.ZoneWorker, "_write_intents", lambda _self, _due: None)
    patch(zone_worker.ZoneWorker, "_send_all", order_all)


def ignore_failed_pages(patch: Patch) -> None:
    """A page that fails counts as the last one."""
    find = Ec2Provider.find

    def shortened(self: Ec2Provider, *given: Any, **named: Any) -> Iterator[Instance]:
        try:
            yield from find(self, *given, **named)
        except CurfewError:
            return

    patch(Ec2Provider, "find", shortened)


def trust_cancels(patch: Patch) -> None:
    """Every Spot request counts as cancelled after the call."""
    cancel = Ec2Provider._cancel

    def believing(self: Ec2Provider, ids: list[str], *, by: str) -> frozenset[str]:
        cancel(self, ids, by=by)
        return frozenset(ids)

    patch(Ec2Provider, "_cancel", believing)


def widen_session_policies(patch: Patch) -> None:
    """Scoped credentials allow everything that the role allows."""

    def policy(_self: scoped_credentials.ScopedCall) -> str:
        statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    patch(scoped_credentials.ScopedCall, "policy", property(policy))


def never_abort(patch: Patch) -> None:
    """Nothing stops a sweep."""
    patch(run_state.RunState, "abort", lambda _self, _reason, **_: None)


def drop_outcomes(patch: Patch) -> None:
    """Outcomes are not written."""
    append = MemoryLedger.append

    def careless(self: MemoryLedger, target: Any, drafts: list[Draft]) -> None:
        append(self, target, [d for d in drafts if d.kind != "outcome"])

    patch(MemoryLedger, "append", careless)


def catch_up_forever(patch: Patch) -> None:
    """A window is caught up, however long ago it began."""
    latest = Schedule.latest
    patch(Schedule, "latest", lambda self, *now: latest(replace(self, catch_up=FOREVER), *now))


def ignore_renewals(patch: Patch) -> None:
    """The act trusts the leases of the plan, and claims whatever it finds."""
    patch(zone_worker.ZoneWorker, "_claim", lambda _self, due: list(due))
    leases = MemoryFleets.leases
    seen: dict[str, Any] = {}

    def first_seen(self: MemoryFleets, target: Any, ids: Any) -> Any:
        fresh = leases(self, target, ids)
        return {id_: seen.setdefault(id_, lease) for id_, lease in fresh.items()}

    patch(MemoryFleets, "leases", first_seen)


def allow_any_table(patch: Patch) -> None:
    """The allow-list of calls does not ask which table is written."""
    guard = allowed_calls.restrict
    patch(allowed_calls, "restrict", lambda client, purpose, **_: guard(client, purpose))
