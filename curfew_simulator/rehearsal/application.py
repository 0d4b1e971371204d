"""The application of a rehearsal: Curfew's own, with clients of the simulated cloud and ears on what it logs."""

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from botocore.config import Config

from curfew.app import App
from curfew.providers.ec2 import page_parser

from ..cloud.transport import Cloud


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What Lambda hands over beside the event."""

    aws_request_id: str
    left: Callable[[], timedelta]

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is cut off."""
        return int(self.left() / timedelta(milliseconds=1))


class RehearsedApp(App):
    """Its ids have no chance in them: in a world in which one thing happens at a time, the time is enough."""

    def new_id(self) -> str:
        """As the application makes them."""
        return f"{self.now():%Y%m%dT%H%M%S.%fZ}-{self.settings.region}"


class Parameters:
    """Every parameter has an image."""

    def get_parameter(self, *, Name: str, **_: Any) -> Mapping[str, Any]:  # noqa: N803  the SDK's word
        return {"Parameter": {"Name": Name, "Value": "ami-0123456789abcdef0"}}


def client(
    cloud: Cloud, service: str, region: str, *, attempts: int = 4, step: Callable[..., None]
) -> Any:
    """A client with the time-outs that bootstrap gives it; before each call a step is taken."""
    timeout = 5 if service == "dynamodb" else 20
    config = Config(read_timeout=timeout, user_agent="rehearsal")
    made = cloud.client(service, region, attempts=attempts, config=config)
    if service == "ec2":
        page_parser.install_page_parser(made)
    made.meta.events.register(f"before-call.{service}", step)
    return made


class _Ears(logging.Handler):
    """Hears what is logged, and writes nothing."""

    def __init__(self, heard: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard(record)


@contextmanager
def listening(heard: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Nothing of what Curfew logs or counts is written while this lasts; the records are heard."""
    logger = logging.getLogger("curfew")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    ears = _Ears(heard)
    ears.setFormatter(handlers[0].formatter if handlers else None)
    logger.handlers[:], logger.propagate = [ears], False
    logger.setLevel(logging.INFO)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
