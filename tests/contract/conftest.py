"""Every ledger: each test of the contract that asks for one is run over all."""

from collections.abc import Callable, Iterator

import boto3
import pytest
from moto import mock_aws

from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.protocols import Ledger
from demo.world import TABLE, make_table
from tests.builders import HERE


def table() -> Iterator[Ledger]:
    with mock_aws():
        make_table()
        yield DynamoLedger(boto3.client("dynamodb", HERE.region), TABLE)


def memory() -> Iterator[Ledger]:
    yield MemoryLedger()


@pytest.fixture(params=[memory, table], ids=["memory", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    make: Callable[[], Iterator[Ledger]] = request.param
    yield from make()


@pytest.fixture
def ledger_pair() -> Iterator[tuple[DynamoLedger, DynamoLedger]]:
    """Two processes at one table."""
    with mock_aws():
        make_table()
        one, other = (boto3.client("dynamodb", HERE.region) for _ in range(2))
        yield DynamoLedger(one, TABLE), DynamoLedger(other, TABLE)
