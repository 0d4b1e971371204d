"""What every trigger is given: the settings, the policies, the ledger and the clouds, and what is made of them.

``bootstrap`` puts it together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from .aws.rate_limit import RateLimiter
from .clock import Clock
from .concurrency import TaskRunner, run_sequentially
from .config.policy_file import PolicyFile
from .config.settings import Settings
from .config.targets import TargetResolver
from .core.errors import ProviderError, RequestError
from .core.lease import Fleet
from .core.policy import Policy
from .core.target import Mode, Place, Target
from .fleets.lifecycle import FleetSpec
from .ledger.protocols import Ledger
from .providers.base import Provider, Unreachable
from .schemas.messages import Job, SweepRequest, TargetRequest
from .schemas.templates import CloudFleetEntry
from .sweep.context import Sweep

FLEETS_AT_ONCE = 100


class Providers(Protocol):
    """Gives the provider of a region."""

    def __call__(self, region: str, account: str = "") -> Provider:
        """In an account, which is the deployment's own unless another is named. Raises ProviderError."""


class Regions(Protocol):
    """Gives the regions that may be used."""

    def __call__(self, account: str = "") -> frozenset[str]:
        """By an account, which is the deployment's own unless another is named. Raises ProviderError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the use cases are made from. ``provider`` gives the one of a place, ``regions`` the usable ones.

    ``read_only_provider`` gives one that has nothing to act with, for what only looks; where there is none,
    ``provider`` serves. ``enqueue`` puts work off to a queue; where there is none, the work is done at once.
    ``fan_out`` sends the targets of a sweep to theirs, and returns those that it could not send; where there is none,
    they are swept in place. ``members`` gives the accounts of the organization's units. ``rate_limiter`` are what the
    clients keep to; where there are none, they go as fast as they can. ``run_tasks`` runs what needs not wait for each
    other.
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

    def sweeps(
        self,
        request: SweepRequest,
        *,
        deadline: datetime | None = None,
        listed: Callable[[int], None] = lambda _count: None,
    ) -> tuple[Sweep, ...]:
        """One sweep per place of the request. Raises as ``places``."""
        policy = self.policies.policy(request.policy)
        return tuple(
            self.sweep(
                policy,
                place.region,
                place.account,
                clock=self.clock(deadline),
                schedule=request.schedule,
                scheduled_at=request.scheduled_at,
                listed=listed,
                **_unreachable(place),
            )
            for place in self.places(request)
        )

    def places(self, request: SweepRequest) -> tuple[Place, ...]:
        """Where the request, the policy or else the policy file says that is to be swept.

        What ends leases goes to every place in which a fleet runs as well, unless its account is never swept. Raises
        RequestError for a policy, an account or a region that there is not, and if nobody is left to sweep,
        ProviderError or LedgerError if the cloud or the ledger does not answer.
        """
        policy = self.policies.policy(request.policy)
        resolver = self.target_resolver()
        places = resolver.places(request, policy)
        self._check(places, policy, resolver.account)
        if policy.selector.expired and not request.regions and not request.accounts:
            running = {
                Place(region=f.target.region, account=f.target.account)
                for f in self.running_fleets()
                if not resolver.is_excluded(f.target.account)
            }
            places = (*places, *sorted(running, key=lambda place: (place.account, place.region)))
        if not places:
            raise RequestError(
                f"{self.policies.place('targets')}: no account is left to sweep by the policy "
                f'"{policy.name}": {resolver.why_empty(request, policy)}'
            )
        return tuple(dict.fromkeys(places))

    def contains(self, place: Place, policy: Policy) -> bool:
        """Whether a place is one that a sweep by the policy could be for. Raises ProviderError, LedgerError."""
        resolver = self.target_resolver()
        if resolver.contains(place, policy):
            return True
        if not policy.selector.expired or resolver.is_excluded(place.account):
            return False
        return any(
            (fleet.target.region, fleet.target.account) == (place.region, place.account)
            for fleet in self.running_fleets()
        )

    def target_resolver(self) -> TargetResolver:
        """Which accounts and regions there are. Raises ProviderError."""
        home = self.settings.region
        targets = self.policies.content.targets
        return TargetResolver(
            configured=targets,
            # Nobody asks AWS who it is where nothing of it is swept.
            account="" if targets.only_clouds else self.provider(home).target.account,
            region=home,
            members=self.members,
            regions=self.regions,
        )

    def in_report_mode(self) -> "App":
        """The same application in report mode: its providers have no client that could change anything."""
        settings = replace(self.settings, mode=Mode.REPORT)
        return replace(self, settings=settings, provider=self.read_only_provider or self.provider)

    def clock(self, deadline: datetime | None = None) -> Clock:
        """The time of this application, until the caller is cut off. From then on, no call waits for the rate."""
        if self.rate_limiter:
            self.rate_limiter.set_deadline(deadline)
        return Clock(now=self.now, sleep=self.sleep, deadline=deadline)

    def provider_for(self, target: Target) -> Provider:
        """The provider of a target that the ledger knows. Raises ProviderError."""
        return self.provider(target.region, target.account)

    def provider_for_query(self, region: str = "", cloud: str = "") -> Provider:
        """Where somebody asks to look: in a region of the own account, or on a cloud, in one of its regions.

        Raises RequestError for a region or a cloud that there is not, ProviderError.
        """
        if not cloud:
            where = region or self.settings.region
            self.check_region(where)
            return self.provider(where)
        known = self.policies.content.targets.clouds
        if cloud not in known:
            raise RequestError(
                f'there is no cloud "{cloud}" in targets.clouds, which has: {", ".join(known) or "none"}'
            )
        regions = known[cloud].regions
        if region and region not in regions:
            raise RequestError(
                f'the cloud {cloud} has no region "{region}" in targets.clouds, which has {", ".join(regions)}'
            )
        if not region and len(regions) > 1:
            raise RequestError(
                f"region is missing: the cloud {cloud} has {', '.join(regions)}, and this is about one of them"
            )
        return self.provider(region or regions[0], cloud)

    def provider_for_template(self, template: str, region: str | None = None) -> Provider:
        """Where a template launches: in a region of the own account, or on the template's own cloud.

        Raises RequestError for a template or a region that there is not, ProviderError.
        """
        entry = self.policies.fleet(template)
        if isinstance(entry, CloudFleetEntry):
            if region:
                raise RequestError(
                    f'the template "{template}" is for the cloud {entry.cloud}: it says where, and nobody else does'
                )
            regions = self.policies.content.targets.clouds[entry.cloud].regions
            return self.provider(entry.region or regions[0], entry.cloud)
        return self.provider_for_query(region or "")

    def running_fleets(self) -> Iterator[Fleet]:
        """Every fleet that has not ended. Raises LedgerError."""
        after = ""
        while True:
            page = self.ledger.fleets.page(limit=FLEETS_AT_ONCE, after=after)
            yield from page.items
            if not page.after:
                return
            after = page.after

    def sweep(self, policy: Policy, region: str, account: str = "", **more: Any) -> Sweep:
        """One sweep over one place, with what the application knows; ``more`` are fields of ``Sweep``.

        A place that cannot be reached has a sweep too, which says so.
        """
        provider: Any
        try:
            provider = self.provider(region, account)
        except ProviderError as error:
            kind = "openstack" if account in self.policies.content.targets.clouds else "ec2"
            provider = Unreachable(Target(provider=kind, account=account, region=region), error)
        known: dict[str, Any] = {
            "id": self.new_id(),
            "policy": policy,
            "provider": provider,
            "ledger": self.ledger,
            "timezone": self.policies.timezone,
            "run_tasks": self.run_tasks,
        }
        if "clock" not in more:
            known["clock"] = self.clock()
        if self.rate_limiter:
            known["rate_limit_stats"] = partial(
                self.rate_limiter.stats, provider.target.account, region
            )
        return Sweep(**(known | more))

    def fleet_spec(self, template: str, **more: Any) -> FleetSpec:
        """A launch from a template of the policy file; ``more`` are the fields of ``FleetSpec`` that the file does not
        say.

        Raises RequestError for a template that there is not, and in an account that is never swept: what is launched
        there could not be ended when its lease has run out.
        """
        entry = self.policies.fleet(template)
        if not isinstance(entry, CloudFleetEntry):
            self._refuse_endless()
        known: dict[str, Any] = {
            "template": template,
            "entry": entry,
            "protection": self.policies.content.protect.protection(),
            "user_data": self.policies.user_data(template),
            "version": self.policies.version,
        }
        return FleetSpec(**(known | more))

    def _refuse_endless(self) -> None:
        if self.policies.content.targets.never and (resolver := self.target_resolver()).is_excluded(
            resolver.account
        ):
            raise RequestError(
                f"nothing is launched in {resolver.account}: it is among those that are never swept, so that no lease "
                f"would end there; see {self.policies.place('targets', 'never')}"
            )

    def new_id(self) -> str:
        """An id that tells when it was made, and that no other has."""
        return f"{self.now():%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"

    def check_region(self, region: str) -> None:
        """Raise RequestError for a region that is not enabled, ProviderError if the cloud does not answer."""
        if region != self.settings.region:
            self._usable((region,), where="")

    def _check(self, places: Sequence[Place], policy: Policy, account: str) -> None:
        """Other accounts' regions are theirs to know: a sweep there says what is not enabled."""
        own = policy.selector.regions
        if others := [place.region for place in places if own and place.region not in own]:
            raise RequestError(
                f'the policy "{policy.name}" is for {", ".join(own)}; "{others[0]}" is not among them'
            )
        regions = tuple(place.region for place in places if place.account == account)
        if (
            not set(regions) - {self.settings.region}
            or self.policies.content.targets.regions == "all"
        ):
            return
        place = self.policies.place("policies", policy.name, "select", "regions")
        self._usable(regions, where=f"{place}: " if own == regions else "")

    def _usable(self, regions: tuple[str, ...], *, where: str) -> None:
        usable = self.regions()
        for region in regions:
            if region not in usable:
                close = get_close_matches(region, sorted(usable))
                hint = f"; did you mean {' or '.join(close)}?" if close else ""
                raise RequestError(f'{where}no region "{region}" is enabled in this account{hint}')


def _unreachable(place: Place) -> dict[str, Any]:
    """What a sweep of the place has for a provider, if nobody could say where to look; else nothing."""
    if not place.problem:
        return {}
    target = Target(provider="ec2", account=place.account, region=place.region)
    return {"provider": Unreachable(target, ProviderError(place.problem))}
