"""AWS, put together: every client of Curfew is made here, guarded, and once for each account and region.

The own account is read with the process's own credentials, any other through its read role. Whatever changes
something goes through a lender, if roles are configured; in report mode there is neither a lender nor a client.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, cached_property, lru_cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..concurrency import LANES, threads
from ..config.settings import Settings
from ..core.errors import ConfigError, RefusedError
from ..core.instance import Mode, Target
from ..providers.base import Provider
from . import allowed_calls
from .allowed_calls import Purpose

if TYPE_CHECKING:
    from botocore.session import Session

    from .rate_limit import Rates


MEMBERS_KEPT = 900  # seconds
LOOKS = 8  # at protections, at a time, in each lane
LOOKING = threads(LOOKS)
# A client keeps so many connections; what goes beyond would be connected anew for each call.
CONNECTIONS = LANES * LOOKS
NO_REGION = "no region is set: set AWS_REGION, or a region in the AWS profile"


class Aws:
    """The clients and the providers of one process. The SDK is imported when the first of them is made."""

    def __init__(
        self,
        settings: Settings,
        rates: "Rates | None" = None,
        *,
        now: Callable[[], datetime],
        wanted: bool = True,
    ) -> None:
        """``rates`` hold back the clients of EC2. Not ``wanted``, nothing of AWS has to be there unless it is used.

        Raises ConfigError for a profile that there is not, and where nothing says which region.
        """
        from botocore.exceptions import ProfileNotFound

        from . import session as sdk

        try:
            self._session = sdk.session(settings.region)
        except ProfileNotFound as error:
            raise ConfigError(f"AWS_PROFILE: {error}") from None
        region: str = self._session.get_config_variable("region") or ""
        if not region and wanted:
            raise ConfigError(NO_REGION)
        self.settings = settings.in_region(region)
        self._rates = rates
        self._now = now
        self._making = Lock()
        self._abroad = cache(self._assumed)
        self._reader = cache(self._look)
        self._hands = cache(self._lent)
        self._made = cache(self._provider)
        self._members = lru_cache(maxsize=2)(self._listed)

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The partition and the account that this process runs in. Raises ProviderError."""
        from .account import identity_of

        return identity_of(self.guarded(allowed_calls.ACCOUNT))

    def provider(self, region: str, account: str = "", *, mode: Mode) -> Provider:
        """The provider of a region, in the own account unless another is named. Raises ProviderError."""
        return self._made(region, account or self.identity[1], mode)

    def regions(self, account: str = "") -> frozenset[str]:
        """The regions that an account may use. Raises ProviderError."""
        from .account import enabled_regions

        return enabled_regions(self._reader(self.settings.region, account or self.identity[1]))

    def members(self, units: Sequence[str]) -> frozenset[str]:
        """The active accounts of the organization's units, and of the units below them. Raises ProviderError."""
        # Each message of a sweep asks, and Organizations is not made for that.
        return self._members(tuple(units), int(time.monotonic() // MEMBERS_KEPT))

    def _listed(self, units: tuple[str, ...], _quarter: int) -> frozenset[str]:
        from .organization import accounts_of

        return accounts_of(self.guarded(allowed_calls.ORGANIZATION), units)

    def guarded(
        self,
        purpose: Purpose,
        region: str | None = None,
        *,
        session: "Session | None" = None,
        own: str = "",
        attempts: int = 4,
        read_timeout: int = 20,
        connections: int = 10,
    ) -> Any:
        """A client that makes the calls of its purpose and no others.

        Short time-outs, few attempts: an invocation has a deadline, and 60 s five times over would eat it. One at a
        time, since clients may be shared by threads, and sessions, which make them, may not.
        Source: https://docs.aws.amazon.com/boto3/latest/guide/session.html
        """
        from botocore import __version__ as sdk_version
        from botocore.config import Config

        if not (region or self.settings.region):
            raise ConfigError(NO_REGION)

        config = Config(
            connect_timeout=3,
            read_timeout=read_timeout,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": attempts},
            # The SDK's own is long, and made anew for each call, in a tenth of the call's time.
            user_agent=f"Botocore/{sdk_version}",
            user_agent_extra=f"curfew/{__version__}",
        )
        try:
            with self._making:
                client = (session or self._session).create_client(
                    purpose.service, region_name=region or self.settings.region, config=config
                )
        except ValueError as error:  # what botocore raises for an endpoint that is none
            raise ConfigError(f"AWS_ENDPOINT_URL: {error}") from None
        allowed_calls.guard(client, purpose, own=own)
        return client

    def once(self, purpose: Purpose, **more: Any) -> Callable[[], Any]:
        """A client that is made when it is first wanted."""
        return _once(lambda: self.guarded(purpose, **more))

    def _provider(self, region: str, account: str, mode: Mode) -> Provider:
        from ..providers.ec2.provider import Ec2Provider

        target = Target(provider="ec2", account=account, region=region)
        read = self._reader(region, account)
        ssm = self.once(allowed_calls.PARAMETERS, region=region, session=self._of(account))
        enabled = partial(self.regions, account)
        act, lender = self._hands(region, account) if mode is Mode.ACT else (None, None)
        return Ec2Provider(
            target=target,
            read=read,
            act=act,
            lender=lender,
            ssm=ssm,
            enabled=enabled,
            abreast=LOOKING,
        )

    def _look(self, region: str, account: str) -> Any:
        from ..providers.ec2 import page_parser

        session = self._of(account)
        client = self.guarded(allowed_calls.LOOK, region, session=session, connections=CONNECTIONS)
        page_parser.hasten(client)
        return self._paced(client, region, account)

    def _paced(self, client: Any, region: str, account: str) -> Any:
        if self._rates:
            self._rates.pace(client, lambda: (account, region))
        return client

    def _acting(self, region: str, account: str, session: "Session | None") -> Callable[[], Any]:
        """What makes the client that acts, which never tries again by itself."""
        make = partial(self.guarded, allowed_calls.ACT, region, session=session, attempts=1)
        return _once(lambda: self._paced(make(), region, account))

    def _lent(self, region: str, account: str) -> tuple[Callable[[], Any], Any]:
        """What makes the client that acts, and whoever lends it the right to."""
        settings = self.settings
        if not settings.roles:
            return self._acting(region, account, self._of(account)), None
        from ..providers.ec2.scoped_credentials import Arns, Lender

        borrowed, sts, proof = self._bank
        target = Target(provider="ec2", account=account, region=region)
        lender = Lender(
            sts=sts,
            proof=proof,
            arns=Arns(partition=self.identity[0], target=target),
            roles=settings.roles,
            external_id=settings.external_id,
            now=self._now,
        )
        return self._acting(region, account, borrowed), lender

    @cached_property
    def _bank(self) -> tuple["Session", Any, Any]:
        """The session that signs with what is on loan, whoever lends, and whoever tells whose that is.

        Asked between the last look and the order: whoever does not answer soon is not asked again.
        """
        from ..providers.ec2.scoped_credentials import borrowing

        home = self.settings.region
        borrowed = borrowing(home)
        sts = self.guarded(allowed_calls.LENDER, home, attempts=1, read_timeout=5)
        proof = self.guarded(
            allowed_calls.ACCOUNT, home, session=borrowed, attempts=1, read_timeout=5
        )
        return borrowed, sts, proof

    def _of(self, account: str) -> "Session | None":
        """The session that reads an account; none for the own one. Raises ProviderError."""
        if account == self.identity[1]:
            return None
        return self._abroad(account)

    def _assumed(self, account: str) -> "Session":
        if not self.settings.roles:
            raise RefusedError(
                f"the account {account} is not the one of these credentials: set CURFEW_ROLES to what the names of "
                "the roles begin with that spoke.yaml makes there"
            )
        from ..providers.ec2.scoped_credentials import reading
        from .account import identity_of

        home = self.settings.region
        partition, _ = self.identity
        session = reading(
            self.guarded(allowed_calls.LENDER, home),
            home,
            partition=partition,
            account=account,
            roles=self.settings.roles,
            external_id=self.settings.external_id,
        )
        _, lent = identity_of(self.guarded(allowed_calls.ACCOUNT, home, session=session))
        if lent != account:
            raise RefusedError(
                f"the read role of {account} is of the account {lent}: nothing is read there"
            )
        return session


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """What is made when it is first wanted, by the thread that comes first; the others wait for it."""
    lock, made = Lock(), list[Any]()

    def get() -> Any:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get
