"""The ports of one process: settings, policies, ledger and clouds, as ``bootstrap`` puts them together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol, cast
from uuid import uuid4

from .aws.rate_limit import RateLimiter
from .clock import Clock
from .concurrency import TaskRunner, run_sequentially
from .config.policy_file import PolicyFile
from .config.settings import Settings
from .core.errors import ProviderError
from .core.policy import Policy
from .core.target import Mode, Target
from .fleets.lifecycle import FleetLifecycle
from .ledger.protocols import Ledger
from .providers.base import Provider, Unreachable
from .schemas.messages import Job, TargetRequest
from .sweep.context import Sweep


class Providers(Protocol):
    """A function that returns providers."""

    def __call__(self, region: str, account: str = "") -> Provider:
        """Return the provider of a region, by default in the deployment's own account. Raises ProviderError."""


class Regions(Protocol):
    """A function that returns the regions that an account may use."""

    def __call__(self, account: str = "") -> frozenset[str]:
        """Return the regions of an account, by default the deployment's own. Raises ProviderError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The ports from which a use case is made.

    ``read_only_provider`` returns a provider without a client that can change anything; by default it is ``provider``.
    ``enqueue`` sends a job to the queue; without a queue, the job is done at once. ``fan_out`` sends one message for
    each target and returns those that it could not send; without it, the targets are swept in place.
    ``members`` returns the accounts of organizational units. Every client keeps to the ``rate_limiter``; without one,
    calls are not limited. ``run_tasks`` runs independent tasks.
    """

    settings: Settings
    policies: PolicyFile
    ledger: Ledger
    provider: Providers
    regions: Regions
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    read_only_provider: Providers | None = None
    members: Callable[[Sequence[str]], Iterable[str]] = lambda _units: ()
    enqueue: Callable[[Job], None] | None = None
    fan_out: Callable[[Sequence[TargetRequest]], list[TargetRequest]] | None = None
    rate_limiter: RateLimiter | None = None
    run_tasks: TaskRunner = run_sequentially

    def in_report_mode(self) -> "App":
        """Return the same application in report mode: its providers have no client that could change anything."""
        settings = replace(self.settings, mode=Mode.REPORT)
        return replace(self, settings=settings, provider=self.read_only_provider or self.provider)

    def clock(self, deadline: datetime | None = None) -> Clock:
        """Return the clock until the deadline. From then on, no call waits for the rate limiter."""
        if self.rate_limiter:
            self.rate_limiter.set_deadline(deadline)
        return Clock(now=self.now, sleep=self.sleep, deadline=deadline)

    def new_id(self) -> str:
        """Return a unique id that starts with the current time, in UTC."""
        return f"{self.now():%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"

    def provider_for(self, target: Target) -> Provider:
        """Return the provider of a target. Raises ProviderError."""
        return self.provider(target.region, target.account)

    def provider_or_unreachable(self, target: Target) -> Provider:
        """Return the provider of a target, or one that raises the ProviderError at its first use."""
        try:
            return self.provider_for(target)
        except ProviderError as error:
            return cast("Provider", Unreachable(target, error))

    def fleets(self, provider: Provider, clock: Clock) -> FleetLifecycle:
        """Return the use cases of the fleets at a provider."""
        return FleetLifecycle(provider=provider, ledger=self.ledger, clock=clock)

    def sweep(self, policy: Policy, target: Target, deadline: datetime | None = None) -> Sweep:
        """Return a sweep of one target. The sweep of a target that cannot be reached fails and says why."""
        provider = self.provider_or_unreachable(target)
        sweep = Sweep(
            id=self.new_id(),
            policy=policy,
            provider=provider,
            ledger=self.ledger,
            clock=self.clock(deadline),
            timezone=self.policies.timezone,
            run_tasks=self.run_tasks,
        )
        if self.rate_limiter is None:
            return sweep
        account, region = provider.target.account, provider.target.region
        return replace(sweep, rate_limit_stats=partial(self.rate_limiter.stats, account, region))
