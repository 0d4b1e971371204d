"""One launch on the simulated EC2: the real use case and provider, a ledger in memory and a manual clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from curfew.clock import Clock
from curfew.core.lease import Fleet
from curfew.core.policy import Protection
from curfew.fleets import launcher, lifecycle
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.protocols import Ledger
from curfew.ledger.records import Key
from curfew.providers.ec2.provider import Ec2Provider
from curfew.schemas.templates import FleetEntry
from tests.builders import HERE
from tests.cloud import SimulatedEc2
from tests.night import Time

TEMPLATE: dict[str, Any] = {
    "image": "ami-08111162",
    "instance_types": ["t2.micro", "t2.small"],
    "count": {"default": 4, "max": 20},
    "tags": {"env": "sandbox"},
}
FIRST, SECOND = ("t2.micro", "eu-central-1a"), ("t2.small", "eu-central-1a")


@dataclass(slots=True, kw_only=True)
class Launching:
    """A cloud, a template, a ledger and a clock; ``go`` processes a launch as one invocation does."""

    cloud: SimulatedEc2 = field(default_factory=SimulatedEc2)
    ledger: Ledger = field(default_factory=MemoryLedger)
    time: Time = field(default_factory=Time)
    template: dict[str, Any] = field(default_factory=lambda: dict(TEMPLATE))
    workers: int = 0
    provider: Ec2Provider = field(init=False)

    def __post_init__(self) -> None:
        self.cloud.now = self.time.now
        self.provider = self.cloud.provider()

    def fleet_spec(self, **more: Any) -> lifecycle.FleetSpec:
        """Return the fleet spec of the launch."""
        ordinary: dict[str, Any] = {
            "name": "lab",
            "template": "pair",
            "entry": FleetEntry.model_validate(self.template),
            "owner": "kim",
            "protection": Protection(),
            "expires_at": self.time.now() + timedelta(hours=8),
            "key": Key(scope="key-1", body="body-1"),
        }
        return lifecycle.FleetSpec(**(ordinary | more))

    def begin(self, **more: Any) -> Fleet:
        """Open the fleet, or return the one that was opened with the same key."""
        clock = Clock(now=self.time.now, sleep=self.time.sleep)
        fleets = lifecycle.FleetLifecycle(provider=self.provider, ledger=self.ledger, clock=clock)
        return fleets.begin(self.fleet_spec(**more))

    def carry_on(self, begun: Fleet, seconds: float = 900) -> Fleet:
        """Continue the launch with a new worker, for at most these seconds."""
        self.workers += 1
        deadline = self.time.now() + timedelta(seconds=seconds)
        clock = Clock(now=self.time.now, sleep=self.time.sleep, deadline=deadline)
        return launcher.continue_launch(
            begun,
            worker=f"worker-{self.workers}",
            provider=self.provider,
            ledger=self.ledger,
            clock=clock,
        )

    def go(self, **more: Any) -> Fleet:
        """Begin the launch and continue it."""
        return self.carry_on(self.begin(**more))

    def until_finished(self, begun: Fleet) -> Fleet:
        """Continue the launch until it finishes, as repeated requests or later sweeps would."""
        current = begun
        for _ in range(20):
            self.time.sleep(launcher.LOCK.total_seconds() + 1)
            current = self.carry_on(current)
            if current.phase.finished:
                return current
        raise AssertionError(f"the launch never ends: {current.phase}: {current.problem}")

    @property
    def launched(self) -> set[str]:
        """Return the id of every instance that was ever launched."""
        return {machine.id for machine in self.cloud.machines.values() if machine.client_token}

    def leased(self) -> set[str]:
        """Return the ids of the instances that have a lease in the ledger."""
        leases = self.ledger.fleets.leases(HERE, sorted(self.cloud.machines))
        return {id_ for id_, lease in leases.items() if lease.fleet == "lab"}

    def holds(self, *, asked: int) -> None:
        """Assert the invariants of every launch: not one instance too many, and none without a lease in the ledger."""
        assert len(self.launched) <= asked, "more than asked for"
        assert self.launched == self.leased(), "launched without a lease"
        tokens = [asked_["ClientToken"] for asked_ in self.cloud.asked]
        calls = {repr(sorted(asked_.items())) for asked_ in self.cloud.asked}
        assert len(calls) == len(set(tokens)), "a token was sent with two calls"


type Trouble = Callable[[Launching], object]
