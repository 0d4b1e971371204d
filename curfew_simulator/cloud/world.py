"""A simulated cloud: accounts, regions and tables, with a clock, a seed and a history.

    world = World(seed=7, faults="harsh")
    region = world.region("123456789012", "eu-central-1")
    machine = region.add(tags={"env": "dev"})

Worlds with the same seed give the same responses to the same calls, faults included.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from threading import RLock
from typing import Any

from . import iam
from .clock import DAWN, Clock
from .dynamodb.tables import Tables
from .ec2.operations import OPTED_OUT
from .ec2.region import Pace, Region
from .faults import PROFILES, Fault, Faults, Profile
from .history import CloudHistory
from .hooks import Hook, Hooks
from .rng import Rng
from .sts import Identities, Role
from .throttle import Throttle

ACCOUNT = "123456789012"


class World:
    """The state and the history of one simulated cloud.

    ``faults`` is the name of a profile (calm, rough, harsh) or a profile; with ``throttled``, calls use up EC2's token
    buckets, which refill only while the clock moves.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: str | Profile = "calm",
        start: datetime = DAWN,
        pace: Pace | None = None,
        throttled: bool = False,
        account: str = ACCOUNT,
    ) -> None:
        self.seed = seed
        self.lock = RLock()
        self.clock = Clock(start)
        self.rng = Rng(seed)
        self.history = CloudHistory()
        self.hooks = Hooks()
        self.pace = pace or Pace()
        self.faults = Faults(PROFILES[faults] if isinstance(faults, str) else faults, self.rng)
        self.throttle = Throttle() if throttled else None
        # Regions that are not enabled: for all accounts, or (account, region).
        self.opted_out: set[str | tuple[str, str]] = set(OPTED_OUT)
        self.identities = Identities(self.clock, self.rng, account)
        self._regions: dict[tuple[str, str], Region] = {}
        self._tables: dict[tuple[str, str], Tables] = {}
        self._parameters: dict[tuple[str, str], dict[str, str]] = {}

    def region(self, account: str = ACCOUNT, name: str = "eu-central-1") -> Region:
        """Return one account's EC2 in one region."""
        place = account, name
        if place not in self._regions:
            self._regions[place] = Region(
                account=account, name=name, clock=self.clock, rng=self.rng,
                history=self.history, pace=self.pace,
            )  # fmt: skip
            self._regions[place].opted_out = self.opted_out
        return self._regions[place]

    def tables(self, account: str = ACCOUNT, region: str = "eu-central-1") -> Tables:
        """Return one account's DynamoDB in one region."""
        place = account, region
        if place not in self._tables:
            self._tables[place] = Tables(
                account=account, region=region, clock=self.clock, rng=self.rng,
                history=self.history,
            )  # fmt: skip
        return self._tables[place]

    def parameters(self, account: str = ACCOUNT, region: str = "eu-central-1") -> dict[str, str]:
        """Return one account's Systems Manager parameters in one region, by name."""
        return self._parameters.setdefault((account, region), {})

    def role(
        self, arn: str, *policies: Mapping[str, Any] | str, trusts: str = "*", external_id: str = ""
    ) -> Role:
        """Create a role with these policies, and return it. Without a policy, it may do nothing."""
        role = Role(
            arn=arn,
            policies=tuple(map(iam.policy, policies)),
            trusts=trusts,
            external_id=external_id,
        )
        self.identities.roles[arn] = role
        return role

    def fail(self, operation: str, fault: Fault, *, on: int = 1, times: int = 1) -> None:
        """Add a fault to ``times`` calls of an operation, from the ``on``-th."""
        self.faults.script(operation, fault, on=on, times=times)

    def before(self, operation: str, do: Hook, *, on: int = 1) -> None:
        """Run ``do`` just before the ``on``-th call of an operation."""
        self.hooks.before(operation, do, on=on)

    def after(self, operation: str, do: Hook, *, on: int = 1) -> None:
        """Run ``do``, which may raise, after the effect of the ``on``-th call of an operation, before its response."""
        self.hooks.after(operation, do, on=on)

    def every_call(self, do: Hook) -> None:
        """Run ``do`` before every call."""
        self.hooks.every(do)

    def crash(
        self, operation: str, error: BaseException, *, on: int = 1, late: bool = False
    ) -> None:
        """Raise ``error`` at the ``on``-th call of an operation: before its effect, or after it if ``late``."""

        def fall(_: object) -> None:
            raise error

        place: Callable[..., None] = self.hooks.after if late else self.hooks.before
        place(operation, fall, on=on)
