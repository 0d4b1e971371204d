"""The composition root: settings in, a working application out. The only place that reads clocks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial

from .app import App
from .aws import allowed_calls
from .aws.clients import Aws
from .aws.rate_limit import RateLimiter
from .concurrency import ZONES_AT_ONCE, run_in_threads
from .config.policy_file import load
from .config.settings import Settings
from .core.errors import ConfigError
from .core.target import Mode
from .ledger.memory.ledger import MemoryLedger
from .ledger.protocols import Ledger
from .providers.base import Provider
from .providers.ec2.factory import Ec2Factory
from .providers.openstack.clouds import Clouds
from .schemas.messages import Job, TargetRequest


def utc_now() -> datetime:
    """The time, as everybody but the tests has it."""
    return datetime.now(UTC)


@cache
def app() -> App:
    """The application of this process, from its environment. Raises ConfigError."""
    return build(Settings.from_env())


def build(
    settings: Settings,
    *,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> App:
    """An application on AWS. Raises ConfigError for a policy file or a setting that is unusable."""
    policies = load(settings.policies)
    limiter = RateLimiter(settings.rate_percent, now=now, sleep=sleep)
    targets = policies.content.targets
    aws = Aws(settings, limiter, wanted=not targets.only_clouds)
    settings = aws.settings
    ec2 = Ec2Factory(aws, now=now)
    clouds = Clouds(targets.clouds, _secret(aws, settings.clouds) if settings.clouds else None)

    def provider(region: str, account: str = "", *, mode: Mode) -> Provider:
        side: Clouds | Ec2Factory = clouds if clouds.has(account) else ec2
        return side.provider(region, account, mode=mode)

    return App(
        settings=settings,
        policies=policies,
        ledger=_ledger(aws, settings),
        provider=partial(provider, mode=settings.mode),
        read_only_provider=partial(provider, mode=Mode.REPORT),
        regions=ec2.regions,
        members=aws.members,
        rate_limiter=limiter,
        enqueue=_enqueue(aws, settings.queue) if settings.queue else None,
        fan_out=_fan_out(aws, settings.targets) if settings.targets else None,
        run_tasks=run_in_threads(ZONES_AT_ONCE),
        now=now,
        sleep=sleep,
    )


def ledger_of(settings: Settings) -> Ledger:
    """The ledger alone, without policies: enough for the pause switch. Raises ConfigError."""
    aws = Aws(settings)
    return _ledger(aws, replace(aws.settings, mode=Mode.ACT))


def _ledger(aws: Aws, settings: Settings) -> Ledger:
    if settings.table:
        from .ledger.dynamodb.ledger import DynamoLedger

        client = aws.restricted_client(allowed_calls.LEDGER, own=settings.table, read_timeout=5)
        return DynamoLedger(client, settings.table)
    if settings.mode is Mode.ACT:
        raise ConfigError(
            "no ledger is named: set CURFEW_TABLE, or --table on a terminal; nothing is done without one"
        )
    return MemoryLedger()


def _secret(aws: Aws, name: str) -> Callable[[], str]:
    client = aws.lazy_client(allowed_calls.SECRET, own=name)

    def text() -> str:
        from .aws.secrets import text_of

        return text_of(client(), name)

    return text


def _enqueue(aws: Aws, queue: str) -> Callable[[Job], None]:
    from .aws.queue import Queue

    client = aws.lazy_client(allowed_calls.QUEUE, own=queue)
    return lambda work: Queue(client(), queue).send(work)


def _fan_out(aws: Aws, queue: str) -> Callable[[Sequence[TargetRequest]], list[TargetRequest]]:
    from .aws.queue import Queue

    client = aws.lazy_client(allowed_calls.QUEUE, own=queue)
    return lambda messages: Queue(client(), queue).send_each(messages)
