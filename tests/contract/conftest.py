"""Every ledger: each test of the contract that asks for one is run over all.

The table is that of the simulator's DynamoDB, which refuses what DynamoDB refuses. A few tests of the contract run on
moto as well: tests/simulator/test_against_moto.py.
"""

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.protocols import Ledger
from curfew_simulator.cloud.transport import Cloud
from demo.world import TABLE
from tests.builders import HERE


@pytest.fixture
def cloud() -> Cloud:
    """A DynamoDB that has the ledger's table."""
    cloud = Cloud()
    cloud.world.tables().make(TABLE)
    return cloud


@pytest.fixture
def make_client(cloud: Cloud) -> Callable[[], Any]:
    """Make clients of it."""

    def make() -> Any:
        client = boto3.client("dynamodb", HERE.region)
        cloud.adopt(client)
        return client

    return make


@pytest.fixture
def client(make_client: Callable[[], Any]) -> Any:
    return make_client()


@pytest.fixture(params=["memory", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    return DynamoLedger(request.getfixturevalue("client"), TABLE)


@pytest.fixture
def ledger_pair(make_client: Callable[[], Any]) -> tuple[DynamoLedger, DynamoLedger]:
    """Two processes at one table."""
    return DynamoLedger(make_client(), TABLE), DynamoLedger(make_client(), TABLE)
