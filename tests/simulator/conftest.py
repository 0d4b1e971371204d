"""Worlds for the tests of the simulated cloud, behind clients that are made once: in this process, or over HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from curfew_simulator.cloud.ec2.region import AT_ONCE
from curfew_simulator.cloud.server import Server
from curfew_simulator.cloud.transport import Cloud
from curfew_simulator.cloud.world import ACCOUNT, World

REGION = "eu-central-1"


@dataclass(slots=True)
class Reach:
    """A world, and how to reach it: ``client`` is by the one transport or the other."""

    world: World
    client: Callable[..., Any]


@pytest.fixture(scope="session")
def _in_process() -> Callable[[World], Reach]:
    cloud = Cloud()
    made: dict[Any, Any] = {}

    def reach(world: World) -> Reach:
        cloud.world = world

        def client(service: str, region: str = REGION, **keys: Any) -> Any:
            place = (service, region, *sorted(keys.items()))
            if place not in made:
                made[place] = cloud.client(service, region, **keys)
            return made[place]

        return Reach(world, client)

    return reach


@pytest.fixture(scope="session")
def _over_http() -> Iterator[Callable[[World], Reach]]:
    made: list[Any] = []
    cached: dict[Any, Any] = {}
    with Server(World()) as server:

        def reach(world: World) -> Reach:
            server.world = world

            def client(service: Any, region: str = REGION, **keys: Any) -> Any:
                place = (service, region, *sorted(keys.items()))
                if place not in cached:
                    cached[place] = boto3.client(
                        service,
                        region_name=region,
                        endpoint_url=server.url,
                        aws_access_key_id=keys.get("access_key", ACCOUNT),
                        aws_secret_access_key="secret",
                        aws_session_token=keys.get("token"),
                        config=Config(
                            retries={
                                "mode": "standard",
                                "total_max_attempts": keys.get("attempts", 1),
                            }
                        ),
                    )
                    made.append(cached[place])
                return cached[place]

            return Reach(world, client)

        yield reach
        for client in made:
            client.close()


@pytest.fixture
def world() -> World:
    """A calm world where everything happens at once."""
    return World(seed=1, pace=AT_ONCE)


@pytest.fixture(params=["in-process", "http"])
def both(request: pytest.FixtureRequest, world: World) -> Reach:
    """The world by either transport."""
    name = {"in-process": "_in_process", "http": "_over_http"}[request.param]
    reach: Reach = request.getfixturevalue(name)(world)
    return reach


@pytest.fixture
def cloud(_in_process: Callable[[World], Reach], world: World) -> Reach:
    """The world in this process."""
    return _in_process(world)


@pytest.fixture
def at(_in_process: Callable[[World], Reach]) -> Callable[[World], Reach]:
    """Any world in this process, by the same clients."""
    return _in_process


@pytest.fixture
def ec2(cloud: Reach) -> Any:
    """A client of EC2."""
    return cloud.client("ec2")


@pytest.fixture
def db(cloud: Reach) -> Any:
    """A client of DynamoDB, with a table ``t`` that has the keys pk and sk."""
    cloud.world.tables().make("t")
    return cloud.client("dynamodb")
