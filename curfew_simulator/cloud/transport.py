"""Connect the boto3 clients of this process to a world: all of botocore runs except the socket.

    cloud = Cloud(World(seed=7))
    ec2 = cloud.client("ec2")
    ...
    cloud.world = World(seed=8)   # the same clients use another world

A client is slow to create, a world is cheap. The SDK waits in simulated time between its own attempts.
"""

import io
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.retries.standard import (
    BaseRetryBackoff,
    RetryEventAdapter,
    RetryHandler,
    RetryPolicy,
    StandardRetryConditions,
)

from . import gateway
from .protocols import CutError, Request, Response
from .world import World

HEADERS = ("authorization", "x-amz-target", "x-amz-security-token")


class Cloud:
    """Creates the clients of a world. Another world can replace it."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()

    def client(
        self,
        service: Any,
        region: str = "eu-central-1",
        *,
        access_key: str = "",
        secret: str = "secret",  # noqa: S107  no signature is checked here
        token: str | None = None,
        attempts: int = 1,
        config: Config | None = None,
        session: boto3.Session | None = None,
    ) -> Any:
        """Return a boto3 client of this cloud that signs with the given key, or as administrator of the first account.

        With a ``session``, the client signs with the session's credentials.
        """
        session = session or boto3.Session(
            aws_access_key_id=access_key or self.world.identities.account,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )
        asked = Config(retries={"mode": "standard", "total_max_attempts": attempts})
        client = session.client(service, region_name=region, config=asked.merge(config or Config()))
        self.adopt(client)
        return client

    def session_client(self, service: Any, region: str, credentials: Any, **more: Any) -> Any:
        """Return a client with the credentials of an AssumeRole response."""
        return self.client(
            service,
            region,
            access_key=credentials["AccessKeyId"],
            secret=credentials["SecretAccessKey"],
            token=credentials["SessionToken"],
            **more,
        )

    def adopt(self, client: Any) -> None:
        """Connect a client that other code created to this cloud, and disconnect it from any other."""
        name = client.meta.service_model.service_id.hyphenize()
        timeout = client.meta.config.read_timeout

        def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
            return self._answer(request, timeout)

        retries: Any = client.meta.config.retries or {}
        again = self._retries(retries.get("total_max_attempts", 3)).needs_retry
        # The SDK calls every registered handler, so the earlier ones have to be unregistered.
        events, retrying = client.meta.events, f"retry-config-{name}"
        events.unregister(f"before-send.{name}", unique_id="curfew_simulator")
        events.register_first(f"before-send.{name}", send, unique_id="curfew_simulator")
        events.unregister(f"needs-retry.{name}", unique_id=retrying)
        events.register(f"needs-retry.{name}", again, unique_id=retrying)

    def _retries(self, attempts: int) -> Any:
        policy = RetryPolicy(StandardRetryConditions(max_attempts=attempts), _Backoff(self))
        quota: Any = _Quota()
        return RetryHandler(policy, RetryEventAdapter(), quota)

    def _answer(self, request: AWSPreparedRequest, timeout: float) -> AWSResponse:
        try:
            response = gateway.answer(self.world, received(request))
        except CutError:
            raise ConnectionClosedError(endpoint_url=request.url) from None
        if response.took > timeout:
            raise ReadTimeoutError(endpoint_url=request.url)
        return answered(request, response)


def answered(request: AWSPreparedRequest, response: Response) -> AWSResponse:
    """Return a response as botocore reads it from the socket."""
    headers: Any = dict(response.headers)
    return AWSResponse(request.url, response.status, headers, _Raw(response.body))


def received(request: AWSPreparedRequest) -> Request:
    """Return a botocore request as a service receives it."""
    given: Any = request.headers
    headers = {name: _text(given[name]) for name in HEADERS if name in given}
    body: Any = request.body or b""
    return Request(headers=headers, body=body.encode() if isinstance(body, str) else bytes(body))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class _Backoff(BaseRetryBackoff):
    """Sleeps a random time on the simulated clock, and lets the SDK itself wait 0 seconds."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def delay_amount(self, context: Any) -> float:
        world = self._cloud.world
        longest = min(2.0 ** (context.attempt_number - 1), 20.0)
        world.clock.sleep(round(world.rng.of("backoff").random() * longest, 3))
        return 0.0


class _Quota:
    """Always grants a retry, since the SDK's quota would persist from one world to the next."""

    def acquire_retry_quota(self, context: Any) -> bool:
        return True


class _Raw(io.BytesIO):
    """A response body as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()
