"""Several threads create clients at once: a session creates one at a time, and shared clients once."""

from collections.abc import Callable
from threading import Barrier, Lock, Thread
from time import sleep
from typing import Any

import pytest
from botocore.session import Session

from curfew.aws import allowed_calls
from curfew.aws.clients import Aws
from curfew.aws.rate_limit import RateLimiter
from curfew.concurrency import ZONES_AT_ONCE
from curfew.config.settings import Settings
from curfew.core.target import Mode
from curfew.providers.ec2.factory import LOOKS, Ec2Factory
from tests.builders import HERE, NOW, an_id

MANY = 8


class Answered:
    status_code = 200


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    limiter = RateLimiter(100, now=lambda: NOW, sleep=lambda _seconds: None)
    made = Aws(Settings(region=HERE.region, mode=Mode.ACT), limiter)
    monkeypatch.setitem(vars(made), "identity", ("aws", HERE.account))
    return made


@pytest.fixture
def most_at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that returns the most clients that were being created at the same time."""
    going, highest, lock, create = 0, 0, Lock(), Session.create_client

    def slow(self: Session, *given: Any, **more: Any) -> Any:
        nonlocal going, highest
        with lock:
            going += 1
            highest = max(highest, going)
        sleep(0.02)
        try:
            return create(self, *given, **more)
        finally:
            with lock:
                going -= 1

    monkeypatch.setattr(Session, "create_client", slow)
    return lambda: highest


def at_once(*wanted: Callable[[], Any]) -> list[Any]:
    """Call each function in a new thread, all at the same time, and return the results."""
    found: list[Any] = []
    together = Barrier(len(wanted))

    def want(get: Callable[[], Any]) -> None:
        together.wait()
        found.append(get())

    threads = [Thread(target=want, args=(get,)) for get in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_acting_client_is_built_and_rate_limited_once(
    aws: Aws, most_at_once: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider: Any = Ec2Factory(aws, now=lambda: NOW).provider(HERE.region, mode=Mode.ACT)
    paced: list[Any] = []
    monkeypatch.setattr(RateLimiter, "attach", lambda _self, client, _where: paced.append(client))

    found = at_once(*[lambda: provider._act] * MANY)

    assert len(found) == MANY
    assert len(set(map(id, found))) == 1
    assert len(paced) == 1
    assert most_at_once() == 1


def test_a_session_makes_one_client_at_a_time(aws: Aws, most_at_once: Callable[[], int]) -> None:
    purposes = (
        allowed_calls.ACT,
        allowed_calls.LOOK,
        allowed_calls.PARAMETERS,
        allowed_calls.ACCOUNT,
    )

    found = at_once(*(aws.lazy_client(scope) for scope in purposes))

    assert len(set(map(id, found))) == len(purposes)
    assert most_at_once() == 1


def test_client_that_could_not_be_built_is_tried_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = aws.lazy_client(allowed_calls.LOOK)
    with monkeypatch.context() as broken:
        broken.setattr(Session, "create_client", lambda *_given, **_more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            get()

    assert get() is get()


def test_protections_are_read_concurrently_over_as_many_connections(aws: Aws) -> None:
    provider: Any = Ec2Factory(aws, now=lambda: NOW).provider(HERE.region, mode=Mode.REPORT)
    together = Barrier(LOOKS, timeout=20)

    def answer(params: Any, **_: Any) -> Any:
        name: str = params["body"]["Attribute"]
        if name == "disableApiTermination":
            together.wait()
        return Answered, {name[0].upper() + name[1:]: {"Value": False}}

    provider._read.meta.events.register_first("before-call.ec2", answer)
    ids = [an_id(n) for n in range(2 * LOOKS)]

    assert list(provider.protections(ids)) == ids
    assert provider._read.meta.config.max_pool_connections == ZONES_AT_ONCE * LOOKS
