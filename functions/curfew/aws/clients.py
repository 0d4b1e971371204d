"""The AWS clients of one process: each is made here, for one purpose, and can make no other calls."""

import time
from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..config.settings import Settings
from ..config.version import VERSION
from ..core.errors import ConfigError, RefusedError
from . import allowed_calls
from .allowed_calls import Purpose

if TYPE_CHECKING:
    from botocore.session import Session

    from .rate_limit import Rates


MEMBERS_KEPT = 900  # seconds
NO_REGION = "no region is set: set AWS_REGION, or a region in the AWS profile"


class Aws:
    """The sessions and clients of one process. The SDK is imported with the first of them."""

    def __init__(
        self,
        settings: Settings,
        rates: "Rates | None" = None,
        *,
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
        self._making = Lock()
        self._abroad = cache(self._assumed)
        self._members = lru_cache(maxsize=2)(self._listed)

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The partition and the account that this process runs in. Raises ProviderError."""
        from .account import identity_of

        return identity_of(self.guarded(allowed_calls.ACCOUNT))

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
            user_agent_extra=f"curfew/{VERSION}",
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
        return once(lambda: self.guarded(purpose, **more))

    def rate_limited(self, client: Any, region: str, account: str) -> Any:
        """The client, held back by the rate of the account's region."""
        if self._rates:
            self._rates.pace(client, lambda: (account, region))
        return client

    def session_of(self, account: str) -> "Session | None":
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
        from .account import identity_of
        from .roles import reading

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


def once(make: Callable[[], Any]) -> Callable[[], Any]:
    """What is made when it is first needed, by the thread that comes first; the others wait for it."""
    lock, made = Lock(), list[Any]()

    def get() -> Any:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get
