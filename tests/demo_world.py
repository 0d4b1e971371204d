"""The demo's fleets on moto, which are built once for a module's tests, and again after a test that changes one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any

import boto3
from moto import mock_aws

from demo import world

# Seconds. One of the instances is four minutes old at first, and five a minute later.
LONGEST = 45


@contextmanager
def demo_world() -> Iterator[Callable[[], None]]:
    """Yield a function that every test calls first. It restores the fleets and the ledger to their first state."""
    with ExitStack() as cloud:
        built_at = 0.0
        fleets: list[Any] = []
        ledger: list[Any] = []

        def ensure() -> None:
            nonlocal built_at, fleets, ledger
            if not fleets or monotonic() - built_at > LONGEST or fleets != _reservations():
                cloud.close()
                # Without moto's credentials, which would remain after the test: tests have invented ones.
                cloud.enter_context(mock_aws(config={"core": {"mock_credentials": False}}))
                world.build()
                built_at, fleets, ledger = monotonic(), _reservations(), ledger_items()
            elif ledger != ledger_items():
                _replace_ledger(ledger)

        yield ensure


def ledger_items() -> list[dict[str, Any]]:
    """Return all items in the ledger's table."""
    found: list[dict[str, Any]] = boto3.client("dynamodb", world.REGION).scan(
        TableName=world.TABLE
    )["Items"]
    return found


def _replace_ledger(items: list[dict[str, Any]]) -> None:
    client = boto3.client("dynamodb", world.REGION)
    client.delete_table(TableName=world.TABLE)
    world.make_table()
    for item in items:
        client.put_item(TableName=world.TABLE, Item=item)


def _reservations() -> list[Any]:
    """Return all reservations, which contain the instances with their states and tags."""
    pages = boto3.client("ec2", world.REGION).get_paginator("describe_instances").paginate()
    return [reservation for page in pages for reservation in page["Reservations"]]
