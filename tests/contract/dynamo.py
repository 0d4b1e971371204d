"""Faults between a process and its table, as handlers of botocore's events."""

from collections.abc import Callable
from typing import Any

from curfew.ledger.dynamodb.ledger import DynamoLedger


def client_of(ledger: DynamoLedger) -> Any:
    return ledger._table._client


def lose_the_first_answer(
    ledger: DynamoLedger, operation: str, meanwhile: Callable[[], object] = lambda: None
) -> list[int]:
    """Lose the response of the first call after its effect, so that the SDK repeats it after ``meanwhile``.

    Return a list that is empty until this has happened.
    """
    lost: list[int] = []

    def lose(**_: object) -> int | None:
        if lost:
            return None
        lost.append(1)
        meanwhile()
        return 0

    client_of(ledger).meta.events.register(f"needs-retry.dynamodb.{operation}", lose)
    return lost


def overtake(ledger: DynamoLedger, operation: str, other: Callable[[], object]) -> list[int]:
    """Run another caller just before the first call. Return a list that is empty until this has happened."""
    overtaken: list[int] = []

    def just_before(**_: object) -> None:
        if not overtaken:
            overtaken.append(1)
            other()

    client_of(ledger).meta.events.register(f"before-call.dynamodb.{operation}", just_before)
    return overtaken
