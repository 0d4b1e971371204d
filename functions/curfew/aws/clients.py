"""Makes the AWS clients of one process, each for one scope of calls."""

import time
from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..config.settings import Settings
from ..config.version import VERSION
from ..core.errors import ConfigError, RefusedError
from . import allowed_calls
from .allowed_calls import ClientScope

if TYPE_CHECKING:
    from botocore.session import Session

    from .rate_limit import RateLimiter


MEMBERS_KEPT = 900  # seconds that the members of units are cached
NO_REGION = "no region is set: set AWS_REGION, or a region in the AWS profile"


class Aws:
    """The sessions and clients of one process. The SDK is imported with the first of them."""

    def __init__(
        self,
        settings: Settings,
        limiter: "RateLimiter | None" = None,
        *,
        wanted: bool = True,
    ) -> None:
        """``limiter`` limits the EC2 clients. Without ``wanted``, AWS need not be configured until a client is made.

        Raises ConfigError if the AWS profile does not exist, or if no region is set.
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
        self._limiter = limiter
        self._making = Lock()
        self._abroad = cache(self._assumed)
        self._members = lru_cache(maxsize=2)(self._listed)

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The partition and the account of this process. Raises ProviderError."""
        from .account import identity_of

        return identity_of(self.restricted_client(allowed_calls.ACCOUNT))

    def members(self, units: Sequence[str]) -> frozenset[str]:
        """Return the active accounts in the units and in the units below them. Raises ProviderError."""
        # Each message of a sweep asks for them, and Organizations has low rate limits.
        return self._members(tuple(units), int(time.monotonic() // MEMBERS_KEPT))

    def _listed(self, units: tuple[str, ...], _quarter: int) -> frozenset[str]:
        from .organization import accounts_of

        return accounts_of(self.restricted_client(allowed_calls.ORGANIZATION), units)

    def restricted_client(
        self,
        scope: ClientScope,
        region: str | None = None,
        *,
        session: "Session | None" = None,
        own: str = "",
        attempts: int = 4,
        read_timeout: int = 20,
        connections: int = 10,
    ) -> Any:
        """Return a client that can make only the calls of its scope.

        Time-outs are short and attempts few, since an invocation has a deadline. A lock serializes the creation:
        threads may share clients, but not the session that makes them.
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
            # The SDK builds its own, longer text for each call, which takes a tenth of the call's CPU time.
            user_agent=f"Botocore/{sdk_version}",
            user_agent_extra=f"curfew/{VERSION}",
        )
        try:
            with self._making:
                client = (session or self._session).create_client(
                    scope.service, region_name=region or self.settings.region, config=config
                )
        except ValueError as error:  # botocore's error for an invalid endpoint
            raise ConfigError(f"AWS_ENDPOINT_URL: {error}") from None
        allowed_calls.restrict(client, scope, own=own)
        return client

    def lazy_client(self, scope: ClientScope, **more: Any) -> Callable[[], Any]:
        """Return a function that makes the client at its first call."""
        return once(lambda: self.restricted_client(scope, **more))

    def rate_limited(self, client: Any, region: str, account: str) -> Any:
        """Limit the client to the rate of the account and region, and return it."""
        if self._limiter:
            self._limiter.attach(client, lambda: (account, region))
        return client

    def session_of(self, account: str) -> "Session | None":
        """Return the session that reads an account, None for the deployment's own. Raises ProviderError."""
        if account == self.identity[1]:
            return None
        return self._abroad(account)

    def _assumed(self, account: str) -> "Session":
        if not self.settings.roles:
            raise RefusedError(
                f"account {account}: it is not the account of these credentials; set CURFEW_ROLES to the name prefix "
                "of the IAM roles that spoke.yaml makes there"
            )
        from .account import identity_of
        from .roles import reading

        home = self.settings.region
        partition, _ = self.identity
        session = reading(
            self.restricted_client(allowed_calls.CREDENTIAL_BROKER, home),
            home,
            partition=partition,
            account=account,
            roles=self.settings.roles,
            external_id=self.settings.external_id,
        )
        _, actual = identity_of(
            self.restricted_client(allowed_calls.ACCOUNT, home, session=session)
        )
        if actual != account:
            raise RefusedError(
                f"the read role of {account} belongs to the account {actual}: nothing was read"
            )
        return session


def once(make: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that calls ``make`` once, in the first thread that needs it, and returns its result."""
    lock, results = Lock(), list[Any]()

    def get() -> Any:
        with lock:
            if not results:
                results.append(make())
            return results[0]

    return get
