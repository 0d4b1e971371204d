"""The composition root: settings in, a working application out. The only place that reads clocks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial

from . import calls
from .abreast import LANES, threads
from .app import App
from .aws import Aws
from .clouds import Clouds
from .core.errors import ConfigError
from .core.model import Mode
from .ledger import Ledger
from .ledger.memory import MemoryLedger
from .policyfile import load
from .providers import Provider
from .rate import Rates
from .requests import TargetRequest, WorkRequest
from .settings import Settings


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
    rates = Rates(settings.rate_percent, now=now, sleep=sleep)
    targets = policies.content.targets
    aws = Aws(settings, rates, now=now, wanted=not targets.only_clouds)
    settings = aws.settings
    clouds = Clouds(targets.clouds, _secret(aws, settings.clouds) if settings.clouds else None)

    def provider(region: str, account: str = "", *, mode: Mode) -> Provider:
        side: Clouds | Aws = clouds if clouds.has(account) else aws
        return side.provider(region, account, mode=mode)

    return App(
        settings=settings,
        policies=policies,
        ledger=_ledger(aws, settings),
        provider=partial(provider, mode=settings.mode),
        watcher=partial(provider, mode=Mode.REPORT),
        regions=aws.regions,
        members=aws.members,
        rates=rates,
        defer=_defer(aws, settings.queue) if settings.queue else None,
        fan_out=_fan_out(aws, settings.targets) if settings.targets else None,
        abreast=threads(LANES),
        now=now,
        sleep=sleep,
    )


def ledger_of(settings: Settings) -> Ledger:
    """The ledger alone, without policies: enough for the pause switch. Raises ConfigError."""
    aws = Aws(settings, now=utc_now)
    return _ledger(aws, replace(aws.settings, mode=Mode.ACT))


def _ledger(aws: Aws, settings: Settings) -> Ledger:
    if settings.table:
        from .ledger.dynamodb import DynamoLedger

        client = aws.guarded(calls.LEDGER, own=settings.table, read_timeout=5)
        return DynamoLedger(client, settings.table)
    if settings.mode is Mode.ACT:
        raise ConfigError(
            "no ledger is named: set CURFEW_TABLE, or --table on a terminal; nothing is done without one"
        )
    return MemoryLedger()


def _secret(aws: Aws, name: str) -> Callable[[], str]:
    client = aws.once(calls.SECRET, own=name)

    def text() -> str:
        from .secret import text_of

        return text_of(client(), name)

    return text


def _defer(aws: Aws, queue: str) -> Callable[[WorkRequest], None]:
    from .workqueue import Queue

    client = aws.once(calls.QUEUE, own=queue)
    return lambda work: Queue(client(), queue).send(work)


def _fan_out(aws: Aws, queue: str) -> Callable[[Sequence[TargetRequest]], list[TargetRequest]]:
    from .workqueue import Queue

    client = aws.once(calls.QUEUE, own=queue)
    return lambda messages: Queue(client(), queue).send_each(messages)
