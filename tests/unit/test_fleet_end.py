"""Curfew records the end of a fleet, even if the process stopped after it recorded the ends of the instances."""

from dataclasses import replace
from datetime import timedelta

from curfew.clock import Clock
from curfew.fleets.lifecycle import FleetLifecycle
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.providers.memory import MemoryProvider
from tests.builders import an_id
from tests.cloud import SimulatedEc2
from tests.night import Night, leased


def test_fleet_whose_members_all_ended_is_closed_by_the_next_check() -> None:
    ledger = MemoryLedger()
    night = Night(cloud=SimulatedEc2(), ledger=ledger)
    fleet = leased(night, an_id(1), an_id(2), ends_in=timedelta(hours=-1))
    now = night.time.now()
    members = ledger.fleets._members[fleet.launch_id]
    members |= {id_: replace(member, ended_at=now) for id_, member in members.items()}
    assert not (ledger.fleets.get(fleet.name) or fleet).ended_at

    clock = Clock(now=lambda: now, sleep=night.time.sleep)
    FleetLifecycle(provider=MemoryProvider(), ledger=ledger, clock=clock).view(fleet)

    assert (ledger.fleets.get(fleet.name) or fleet).ended_at == now
