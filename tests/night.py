"""One night on the simulated EC2: the real use case and provider, a ledger in memory and a manual clock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from curfew.clock import Clock
from curfew.core.launch import LaunchSpec
from curfew.core.lease import Fleet, Phase
from curfew.core.policy import Policy
from curfew.core.report import Report, Result
from curfew.core.target import Mode, Target
from curfew.fleets.lifecycle import FleetLifecycle
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import Key
from curfew.sweep.context import Sweep
from curfew.sweep.executor import act
from curfew.sweep.planner import plan
from tests.builders import HERE, NOW, a_policy
from tests.cloud import SimulatedEc2


@dataclass(slots=True)
class Time:
    """A clock that moves only when a caller sleeps."""

    at: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@dataclass(slots=True, kw_only=True)
class Night:
    """A cloud, a policy, a ledger and a clock; ``sweep`` runs one sweep over them."""

    cloud: SimulatedEc2
    policy: Policy = field(default_factory=a_policy)
    ledger: Ledger = field(default_factory=MemoryLedger)
    time: Time = field(default_factory=Time)
    deadline: datetime | None = None
    scheduled_at: datetime | None = None
    sweeps: int = 0
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloud.now = self.time.now

    def sweep(self, mode: Mode = Mode.ACT) -> Report:
        """Run one sweep: plan, and in act mode execute the plan."""
        self.sweeps += 1
        sweep = self.prepared(mode)
        planned = plan(sweep)
        return act(sweep, planned) if mode is Mode.ACT else planned

    def prepared(self, mode: Mode = Mode.ACT) -> Sweep:
        """Return a sweep that has not begun."""
        return Sweep(
            id=f"sweep-{self.sweeps}",
            policy=self.policy,
            provider=self.cloud.provider(mode),
            ledger=self.ledger,
            clock=Clock(now=self.time.now, sleep=self.time.sleep, deadline=self.deadline),
            timezone=ZoneInfo("Europe/Zurich"),
            schedule="nightly" if self.scheduled_at else "",
            scheduled_at=self.scheduled_at,
            listed=self.counts.append,
        )


def begun(
    night: Night,
    count: int,
    *,
    ends_in: timedelta = timedelta(hours=1),
    fleet: str = "lab",
    owner: str = "kim",
    target: Target = HERE,
) -> Fleet:
    """Open a fleet of ``count`` instances in the ledger, with a lease that ends ``ends_in`` after now."""
    now = night.time.now()
    return night.ledger.fleets.open(
        Fleet(
            name=fleet,
            launch_id=f"op-{fleet}",
            template="pair",
            target=target,
            owner=owner,
            count=count,
            created_at=now - timedelta(hours=9),
            expires_at=now + ends_in,
            longest=timedelta(days=7),
        ),
        LaunchSpec(
            launch_id=f"op-{fleet}",
            target=target,
            image="ami-08111162",
            instance_types=("t2.micro",),
            count=count,
            tags={},
        ),
        Key(scope=f"key-{fleet}", body=""),
    )


def leased(night: Night, *ids: str, ends_in: timedelta, fleet: str = "lab", **more: Any) -> Fleet:
    """Record these instances in the ledger as a launched fleet; ``more`` is as for ``begun``."""
    register, now = night.ledger.fleets, night.time.now()
    written = begun(night, len(ids), ends_in=ends_in, fleet=fleet, **more)
    assert register.lock(written, "test", now=now, until=now + timedelta(minutes=1))
    register.record(written, ids, now=now)
    assert register.advance(written, "test", Phase.LAUNCHED)
    return register.get(fleet) or written


def fleets_of(night: Night) -> FleetLifecycle:
    """Return the use cases of fleets on the night's cloud."""
    clock = Clock(now=night.time.now, sleep=night.time.sleep)
    return FleetLifecycle(provider=night.cloud.provider(), ledger=night.ledger, clock=clock)


def results(report: Report) -> dict[str, Result]:
    """Return the result of each action by instance id."""
    return {outcome.action.instance.id: outcome.result for outcome in report.outcomes}


def kept(report: Report) -> dict[str, str]:
    """Return the rule that kept each instance by instance id."""
    assert report.plan is not None
    return {kept.instance.id: kept.rule for kept in report.plan.kept}
