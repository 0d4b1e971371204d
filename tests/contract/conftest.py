"""Fixtures with every ledger: each contract test that needs a ledger runs on all of them.

The table is in the simulator's DynamoDB, which refuses the same calls as DynamoDB. A few contract tests run on moto
as well: tests/simulator/test_against_moto.py.
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
    """Return a DynamoDB with the ledger's table."""
    cloud = Cloud()
    cloud.world.tables().make(TABLE)
    return cloud


@pytest.fixture
def make_client(cloud: Cloud) -> Callable[[], Any]:
    """Return a function that creates clients of the table's cloud."""

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
    """Return the ledgers of two processes that use one table."""
    return DynamoLedger(make_client(), TABLE), DynamoLedger(make_client(), TABLE)
