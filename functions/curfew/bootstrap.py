"""The composition root: settings in, a working application out. The only place that makes clients and reads clocks.

The SDK is imported when the first client is made, and clients live as long as the process.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from . import __version__, calls
from .calls import Purpose
from .clock import Clock
from .core.errors import ConfigError, RequestError
from .core.lease import Fleet
from .core.model import Mode, Target
from .core.policy import Policy
from .fleet import Wish
from .ledger import Ledger
from .ledger.memory import MemoryLedger
from .policyfile import PolicyFile, load
from .providers import Provider
from .requests import SweepRequest, WorkRequest
from .settings import Settings
from .sweep import Sweep

if TYPE_CHECKING:
    from botocore.session import Session

FLEETS_AT_ONCE = 100


def utc_now() -> datetime:
    """The time, as everybody but the tests has it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the use cases are made from. ``provider`` gives the one of a region, ``regions`` the usable ones.

    ``watcher`` gives one that has nothing to act with, for what only looks; where there is none, ``provider`` serves.
    ``defer`` puts work off to a queue; where there is none, the work is done at once.
    """

    settings: Settings
    policies: PolicyFile
    ledger: Ledger
    provider: Callable[[str], Provider]
    regions: Callable[[], frozenset[str]]
    watcher: Callable[[str], Provider] | None = None
    defer: Callable[[WorkRequest], None] | None = None
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep

    def sweeps(
        self,
        request: SweepRequest,
        *,
        deadline: datetime | None = None,
        listed: Callable[[int], None] = lambda _count: None,
    ) -> tuple[Sweep, ...]:
        """One sweep per region of the request, of the policy, or else of the deployment.

        What ends leases goes to every region in which a fleet runs as well. Raises RequestError for a policy or a
        region that there is not, ProviderError or LedgerError if the cloud or the ledger does not answer.
        """
        policy = self.policies.policy(request.policy)
        regions = request.regions or policy.selector.regions or (self.settings.region,)
        self._check(regions, policy)
        if policy.selector.expired and not request.regions:
            regions = (*regions, *sorted({fleet.target.region for fleet in self.running()}))
        return tuple(
            self.sweep(
                policy,
                region,
                clock=self.clock(deadline),
                schedule=request.schedule,
                scheduled_at=request.scheduled_at,
                listed=listed,
            )
            for region in dict.fromkeys(regions)
        )

    def reporting(self) -> "App":
        """The same application in report mode: its providers have no client that could change anything."""
        settings = replace(self.settings, mode=Mode.REPORT)
        return replace(self, settings=settings, provider=self.watcher or self.provider)

    def clock(self, deadline: datetime | None = None) -> Clock:
        """The time of this application, until the caller is cut off."""
        return Clock(now=self.now, sleep=self.sleep, deadline=deadline)

    def running(self) -> Iterator[Fleet]:
        """Every fleet that has not ended. Raises LedgerError."""
        after = ""
        while True:
            page = self.ledger.fleets.page(limit=FLEETS_AT_ONCE, after=after)
            yield from page.items
            if not page.after:
                return
            after = page.after

    def sweep(self, policy: Policy, region: str, **more: Any) -> Sweep:
        """One sweep over one region, with what the application knows; ``more`` are fields of ``Sweep``."""
        known: dict[str, Any] = {
            "id": self.new_id(),
            "policy": policy,
            "provider": self.provider(region),
            "ledger": self.ledger,
            "clock": self.clock(),
            "timezone": self.policies.timezone,
        }
        return Sweep(**(known | more))

    def wish(self, template: str, **more: Any) -> Wish:
        """A launch from a template of the policy file; ``more`` are the fields of ``Wish`` that the file does not say.

        Raises RequestError for a template that there is not.
        """
        known: dict[str, Any] = {
            "template": template,
            "entry": self.policies.fleet(template),
            "protection": self.policies.content.protect.protection(),
            "user_data": self.policies.user_data(template),
            "version": self.policies.version,
        }
        return Wish(**(known | more))

    def new_id(self) -> str:
        """An id that tells when it was made, and that no other has."""
        return f"{self.now():%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"

    def check_region(self, region: str) -> None:
        """Raise RequestError for a region that is not enabled, ProviderError if the cloud does not answer."""
        if region != self.settings.region:
            self._usable((region,), where="")

    def _check(self, regions: tuple[str, ...], policy: Policy) -> None:
        own = policy.selector.regions
        if beyond := [region for region in regions if own and region not in own]:
            raise RequestError(
                f'the policy "{policy.name}" is for {", ".join(own)}; "{beyond[0]}" is not among them'
            )
        if set(regions) == {self.settings.region}:
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


@cache
def app() -> App:
    """The application of this process, from its environment. Raises ConfigError."""
    return build(Settings.from_env())


def build(settings: Settings) -> App:
    """An application on AWS. Raises ConfigError for a policy file or a setting that is unusable."""
    policies = load(settings.policies)
    session, settings = _session(settings)

    @cache
    def account() -> str:
        from .providers.ec2 import account_of

        return account_of(_client(session, calls.ACCOUNT))

    @cache
    def look(region: str) -> Any:
        from .providers import ec2_pages

        client = _client(session, calls.LOOK, region)
        ec2_pages.hasten(client)
        return client

    @cache
    def ec2(region: str, mode: Mode) -> Provider:
        from .providers.ec2 import Ec2Provider

        acts = mode is Mode.ACT
        return Ec2Provider(
            target=Target(provider="ec2", account=account(), region=region),
            read=look(region),
            act=_client(session, calls.ACT, region, attempts=1) if acts else None,
            ssm=lambda: _client(session, calls.PARAMETERS, region),
        )

    def regions() -> frozenset[str]:
        from .providers.ec2 import enabled_regions

        return enabled_regions(look(settings.region))

    return App(
        settings=settings,
        policies=policies,
        ledger=_ledger(session, settings),
        provider=lambda region: ec2(region, settings.mode),
        watcher=lambda region: ec2(region, Mode.REPORT),
        regions=regions,
        defer=_defer(session, settings.queue) if settings.queue else None,
    )


def ledger_of(settings: Settings) -> Ledger:
    """The ledger alone, without policies: enough for the pause switch. Raises ConfigError."""
    session, settings = _session(settings)
    return _ledger(session, replace(settings, mode=Mode.ACT))


def _session(settings: Settings) -> tuple["Session", Settings]:
    from botocore.exceptions import ProfileNotFound

    from . import sdk

    try:
        session = sdk.session(settings.region)
    except ProfileNotFound as error:
        raise ConfigError(f"AWS_PROFILE: {error}") from None
    region: str = session.get_config_variable("region") or ""
    if not region:
        raise ConfigError("no region is set: set AWS_REGION, or a region in the AWS profile")
    return session, settings.in_region(region)


def _ledger(session: "Session", settings: Settings) -> Ledger:
    if settings.table:
        from .ledger.dynamodb import DynamoLedger

        client = _client(session, calls.LEDGER, own=settings.table, read_timeout=5)
        return DynamoLedger(client, settings.table)
    if settings.mode is Mode.ACT:
        raise ConfigError(
            "no ledger is named: set CURFEW_TABLE, or --table on a terminal; nothing is done without one"
        )
    return MemoryLedger()


def _defer(session: "Session", queue: str) -> Callable[[WorkRequest], None]:
    from .workqueue import Queue

    client = cache(lambda: _client(session, calls.QUEUE, own=queue))
    return lambda work: Queue(client(), queue).send(work)


def _client(
    session: "Session",
    purpose: Purpose,
    region: str | None = None,
    *,
    own: str = "",
    attempts: int = 4,
    read_timeout: int = 20,
) -> Any:
    """A client that makes the calls of its purpose and no others; every client of Curfew is made here.

    Short time-outs, few attempts: an invocation has a deadline, and 60 s five times over would eat it.
    """
    from botocore.config import Config

    config = Config(
        connect_timeout=3,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra=f"curfew/{__version__}",
    )
    try:
        client = session.create_client(purpose.service, region_name=region, config=config)
    except ValueError as error:  # what botocore raises for an endpoint that is none
        raise ConfigError(f"AWS_ENDPOINT_URL: {error}") from None
    calls.guard(client, purpose, own=own)
    return client
