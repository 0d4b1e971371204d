"""The EC2 providers of one process, each made when it is first needed.

The process's own credentials read the deployment's own account; a read role reads any other. If roles are configured,
each changing call is signed with credentials that are scoped to it. In report mode a provider has no client that can
change anything.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from ...aws import allowed_calls
from ...aws.clients import Aws, once
from ...concurrency import ZONES_AT_ONCE, run_in_threads
from ...core.target import Mode, Target
from ..base import Provider

if TYPE_CHECKING:
    from botocore.session import Session

LOOKS = 8  # reads of protections at a time, in each zone
LOOKING = run_in_threads(LOOKS)
# The connections that a client keeps open; each further concurrent call would open a new one.
CONNECTIONS = ZONES_AT_ONCE * LOOKS


class Ec2Factory:
    """Makes one provider for each region, account and mode. The first one imports the SDK."""

    def __init__(self, aws: Aws, *, now: Callable[[], datetime]) -> None:
        self._aws = aws
        self._now = now
        self._reader = cache(self._make_reader)
        self._writer = cache(self._make_writer)
        self._made = cache(self._make)

    def provider(self, region: str, account: str = "", *, mode: Mode) -> Provider:
        """Return the provider of a region, by default in the deployment's own account. Raises ProviderError."""
        return self._made(region, account or self._aws.identity[1], mode)

    def regions(self, account: str = "") -> frozenset[str]:
        """Return the regions that an account may use. Raises ProviderError."""
        from ...aws.account import enabled_regions

        home = self._aws.settings.region
        return enabled_regions(self._reader(home, account or self._aws.identity[1]))

    def _make(self, region: str, account: str, mode: Mode) -> Provider:
        from .provider import Ec2Provider

        session = self._aws.session_of(account)
        act, broker = self._writer(region, account) if mode is Mode.ACT else (None, None)
        return Ec2Provider(
            target=Target(provider="ec2", account=account, region=region),
            read=self._reader(region, account),
            act=act,
            broker=broker,
            ssm=self._aws.lazy_client(allowed_calls.PARAMETERS, region=region, session=session),
            enabled=partial(self.regions, account),
            run_tasks=LOOKING,
        )

    def _make_reader(self, region: str, account: str) -> Any:
        from . import page_parser

        client = self._aws.restricted_client(
            allowed_calls.LOOK,
            region,
            session=self._aws.session_of(account),
            connections=CONNECTIONS,
        )
        page_parser.install_page_parser(client)
        return self._aws.rate_limited(client, region, account)

    def _make_writer(self, region: str, account: str) -> tuple[Callable[[], Any], Any]:
        """What makes the client that changes something, and what gives it scoped credentials, if there are roles."""
        settings = self._aws.settings
        if not settings.roles:
            return self._act_client(region, account, self._aws.session_of(account)), None
        from .scoped_credentials import Arns, CredentialBroker

        session, sts, proof = self._scoped
        broker = CredentialBroker(
            sts=sts,
            verifier=proof,
            arns=Arns(
                partition=self._aws.identity[0],
                target=Target(provider="ec2", account=account, region=region),
            ),
            roles=settings.roles,
            external_id=settings.external_id,
            now=self._now,
        )
        return self._act_client(region, account, session), broker

    def _act_client(
        self, region: str, account: str, session: "Session | None"
    ) -> Callable[[], Any]:
        """Return a function that makes the act client, which never retries by itself."""
        make = partial(
            self._aws.restricted_client, allowed_calls.ACT, region, session=session, attempts=1
        )
        return once(lambda: self._aws.rate_limited(make(), region, account))

    @cached_property
    def _scoped(self) -> tuple["Session", Any, Any]:
        """The session that signs with scoped credentials, the client that gets them, and the one that verifies them.

        Both are called between the re-check and the call, so their time-out is short.
        """
        from .scoped_credentials import scoped_session

        home = self._aws.settings.region
        session = scoped_session(home)
        sts = self._aws.restricted_client(
            allowed_calls.CREDENTIAL_BROKER, home, attempts=1, read_timeout=5
        )
        proof = self._aws.restricted_client(
            allowed_calls.ACCOUNT, home, session=session, attempts=1, read_timeout=5
        )
        return session, sts, proof
