"""The clients of this process and its log handler: made once, whatever world is behind them.

A client costs a tenth of a second and a world some microseconds, so that all worlds of a process share its clients.
What is logged is not written anywhere; the summaries of sweeps in it are heard.
"""

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import cache
from typing import Any, Protocol

import boto3
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter
from botocore.config import Config

from curfew.handlers import http_api
from curfew.providers.ec2 import page_parser
from curfew.providers.ec2.scoped_credentials import scoped_session

from ..cloud.transport import Cloud
from ..cloud.world import World

REGIONS = ("eu-central-1", "eu-west-1")


class ClientObserver(Protocol):
    """What observes every call before it is made, and after its answer."""

    world: World

    def step(self, what: str) -> None:
        """Before a call."""

    def back(self, what: str) -> None:
        """After its answer."""


class Clients:
    """``read`` and ``act`` are as ``bootstrap`` makes them: one tries again, the other never."""

    def __init__(self) -> None:
        self.cloud = Cloud()
        self.observer: ClientObserver | None = None
        self.read = {region: self._client("ec2", region, 4) for region in REGIONS}
        borrowed = boto3.Session(botocore_session=scoped_session(REGIONS[0]))
        self.act = {region: self._client("ec2", region, 1, borrowed) for region in REGIONS}
        self.broker = self._client("sts", REGIONS[0], 1)
        self.verifier = self._client("sts", REGIONS[0], 1, borrowed)
        self.table = self._client("dynamodb", REGIONS[0], 4)

    def enter(self, observer: ClientObserver) -> None:
        """Put the clients into the player's world."""
        self.observer, self.cloud.world = observer, observer.world

    def _client(
        self, service: str, region: str, attempts: int, session: boto3.Session | None = None
    ) -> Any:
        # Time-outs as in bootstrap; a user agent of one word, since making a long one takes a tenth of a call's time.
        timeout = 20 if service == "ec2" else 5
        config = Config(read_timeout=timeout, user_agent="worlds")
        client = self.cloud.client(
            service, region, attempts=attempts, config=config, session=session
        )
        if service == "ec2":
            page_parser.install_page_parser(client)
        events = client.meta.events
        events.register(f"before-call.{service}", self._before)
        for name in ("after-call", "after-call-error"):
            events.register(f"{name}.{service}", self._after)
        return client

    def _before(self, model: Any, **_: Any) -> None:
        if self.observer:
            self.observer.step(model.name)

    def _after(self, **_: Any) -> None:
        if self.observer:
            self.observer.back("")


@cache
def clients() -> Clients:
    """The one of this process."""
    return Clients()


class Ears(logging.Handler):
    """Hears the summaries of sweeps, and writes nothing."""

    def __init__(self, heard: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """Take what a sweep says of itself."""
        summary = getattr(record, "sweep", None)
        if summary is not None:
            self._heard(summary)


@contextmanager
def listening(heard: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Nothing of what Curfew logs or counts is written while this lasts."""
    logger = logging.getLogger("curfew")
    handlers = logger.handlers[:]
    ears = Ears(heard)
    ears.setFormatter(handlers[0].formatter if handlers else None)
    logger.handlers[:] = [ears]
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.handlers[:] = handlers


@contextmanager
def another_process() -> Iterator[None]:
    """What runs inside has the modules' memory to itself, as every invocation of Lambda has its own process."""
    context = dict(http_api.api.context)
    seats = {name: getattr(BaseRouter, name, None) for name in ("current_event", "lambda_context")}
    own = {name: http_api.api.__dict__[name] for name in seats if name in http_api.api.__dict__}
    http_api.api.context.clear()
    try:
        yield
    finally:
        http_api.api.context.clear()
        http_api.api.context.update(context)
        for name, value in seats.items():
            setattr(BaseRouter, name, value)
        http_api.api.__dict__.update(own)
