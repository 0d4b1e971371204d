"""Isolate all tests, and check the calls that Curfew makes in them.

No test reaches a real cloud: sockets are loopback only (pytest-socket), and invented credentials hide those of this
machine. A test fails if Curfew makes a call in it that is not on the allow-list.
No test waits for the rate limit: where Curfew sleeps, only its own clock advances.
"""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

import hypothesis
import pytest
from botocore.loaders import JSONFileLoader, Loader

from curfew import bootstrap
from tests import calls

INVENTED = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

# For `make mutants`: a test by example has to find what a property misses in so few examples.
# The gate does not read the counterexample, so hypothesis shrinks none.
hypothesis.settings.register_profile(
    "few",
    derandomize=True,
    deadline=None,
    max_examples=15,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)

pytest_plugins = ["tests.executed"]

# moto creates hundreds of images each time that it starts, and no test needs them.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

MADE = calls.watch()


class CachedFiles(JSONFileLoader):
    """Reads each of the SDK's models once for all sessions: they have megabytes, and tests create many sessions."""

    def load_file(self, file_path: str) -> Any:
        return _read(file_path)


@cache
def _read(path: str) -> Any:
    return JSONFileLoader().load_file(path)


Loader.FILE_LOADER_CLASS = CachedFiles


class Clock:
    """The clock of applications that a test builds as a function does: the machine's time plus the time slept."""

    slept = timedelta()

    def now(self) -> datetime:
        return bootstrap.utc_now() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += timedelta(seconds=seconds)


CLOCK = Clock()
bootstrap.build = partial(bootstrap.build, now=CLOCK.now, sleep=CLOCK.sleep)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that selects the OpenStack of the contract tests; see tests/contract/openstack.py."""
    parser.addoption("--openstack", choices=("replay", "record", "live"), default="replay")


@pytest.fixture(autouse=True)
def made() -> Iterator[list[calls.Made]]:
    """Yield the calls that Curfew has made so far in this test or its fixtures. Fail the test if one is a stray."""
    yield MADE
    strays = calls.strays(MADE)
    MADE.clear()
    assert not strays, (
        f"not on the allow-list (curfew/aws/allowed_calls.py), or beyond its session policy: {strays}"
    )


@pytest.fixture(autouse=True)
def _no_real_cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("AWS_", "CURFEW_", "OS_", "POWERTOOLS_")):
            monkeypatch.delenv(name)
    for name, value in INVENTED.items():
        monkeypatch.setenv(name, value)
    bootstrap.app.cache_clear()
    CLOCK.slept = timedelta()
    yield
    bootstrap.app.cache_clear()
