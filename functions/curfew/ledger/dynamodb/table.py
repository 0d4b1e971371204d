"""The ledger's DynamoDB table: reads, conditional writes, transactions and their errors.

Every read is strongly consistent. A write whose condition fails is no error: it returns the existing item, which also
shows whether the caller itself wrote it. The SDK retries a call whose answer was lost, and the retry may find what the
first try wrote.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from ...core.errors import LedgerError
from .items import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

KEYS_PER_READ = 100  # BatchGetItem's own limit
# Of items with an instance. A transaction has at most 4 MB; an instance with 50 tags of maximum length, four bytes a
# character, has 80 kB.
WRITES_PER_BATCH = 25
TRIES = 6
NEW = "attribute_not_exists(#pk)"
# Temporary failures: another transaction changes one of the items, or the table is busy.
PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write, or one condition check in a transaction, not made yet."""

    kind: Literal["Put", "Update", "ConditionCheck"]
    request: Mapping[str, Any]


def put(item: Item, *, when: str = "", **values: Any) -> Write:
    """Return a write that replaces the item. In ``when``, ``#name`` is an attribute and ``:name`` a value."""
    return Write(kind="Put", request={"Item": item, **_condition(when, values)})


def update(
    key: Item,
    to: Mapping[str, Any],
    *,
    once: Mapping[str, Any] | None = None,
    plus: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
    when: str = "",
    **values: Any,
) -> Write:
    """Return a write that sets ``to``, sets ``once`` if missing, adds ``plus`` and removes ``without``."""
    sets = [f"#{name} = :to_{name}" for name in to]
    sets += [f"#{name} = if_not_exists(#{name}, :to_{name})" for name in once or {}]
    words = [f"SET {', '.join(sets)}"] if sets else []
    words += [f"REMOVE {', '.join(f'#{name}' for name in without)}"] if without else []
    words += [f"ADD {', '.join(f'#{name} :to_{name}' for name in plus)}"] if plus else []
    new = {f"to_{n}": value for n, value in {**to, **(once or {}), **(plus or {})}.items()}
    change = " ".join(words)
    return Write(
        kind="Update",
        request={
            "Key": key,
            "UpdateExpression": change,
            **_condition(when, {**new, **values}, beside=change),
        },
    )


def check(key: Item, *, when: str, **values: Any) -> Write:
    """Return a condition on an item that the transaction does not change."""
    return Write(kind="ConditionCheck", request={"Key": key, **_condition(when, values)})


class Table:
    """The table. ``client`` is a DynamoDB client in its region; ``sleep`` waits before a retry, in seconds."""

    def __init__(
        self, client: "DynamoDBClient", name: str, *, sleep: Callable[[float], None]
    ) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep

    def get(self, pk: str, sk: str) -> Item | None:
        """Return one item, or None. Raises LedgerError."""
        with self.translate_errors():
            answer = self._client.get_item(
                TableName=self._name, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
            )
            return answer.get("Item")

    def get_many(self, keys: Sequence[Item]) -> Iterator[Item]:
        """Yield the items that exist, in no order. The keys must differ. Raises LedgerError."""
        for batch in batched(keys, KEYS_PER_READ, strict=False):
            with self.translate_errors():
                yield from self._read_all(batch)

    def query(
        self,
        pk: str,
        *,
        prefix: str = "",
        between: tuple[str, str] | None = None,
        after: str = "",
        where: str = "",
        page: int | None = None,
        **values: Any,
    ) -> Iterator[Item]:
        """Yield the items of one ``pk`` in the order of ``sk``, page by page.

        With ``prefix``, those whose ``sk`` begins with it; with ``between``, those from one ``sk`` to another, both
        included. Raises LedgerError.
        """
        which = "#pk = :pk"
        which += " AND begins_with(#sk, :prefix)" if prefix else ""
        which += " AND #sk BETWEEN :first AND :last" if between else ""
        first, last = between or ("", "")
        places = {"pk": pk, "prefix": prefix, "first": first, "last": last}
        available = {**{name: {"S": place} for name, place in places.items()}, **values}
        request: dict[str, Any] = {
            "TableName": self._name,
            "ConsistentRead": True,
            "KeyConditionExpression": which,
            **_names_and_values(f"{which} {where}", available),
        }
        if where:
            request["FilterExpression"] = where
        if page:
            request["Limit"] = page
        start: Any = {"pk": {"S": pk}, "sk": {"S": after}} if after else None
        with self.translate_errors():
            while True:
                answer = self._client.query(
                    **request, **({"ExclusiveStartKey": start} if start else {})
                )
                yield from answer["Items"]
                start = answer.get("LastEvaluatedKey")
                if not start:
                    return

    def write(self, write: Write) -> Item | None:
        """Make one write. Return None if it was made, else the item that its condition refused. Raises LedgerError."""
        call: Any = self._client.put_item if write.kind == "Put" else self._client.update_item
        errors = self._client.exceptions
        for attempt in range(TRIES):
            with self.translate_errors():
                try:
                    call(TableName=self._name, **write.request)
                except errors.ConditionalCheckFailedException as refused:
                    answer: Any = refused.response
                    return dict(answer.get("Item", {}))
                except errors.TransactionConflictException:
                    pass
                else:
                    return None
            self.wait(attempt)
        raise self._busy("written")

    def transact(self, writes: Sequence[Write]) -> tuple[Item | None, ...] | None:
        """Make all writes or none. Return None if they were made, else for each the item that its condition refused.

        Raises LedgerError.
        """
        transaction: Any = [
            {write.kind: {"TableName": self._name, **write.request}} for write in writes
        ]
        for attempt in range(TRIES):
            with self.translate_errors():
                try:
                    self._client.transact_write_items(TransactItems=transaction)
                except self._client.exceptions.TransactionCanceledException as cancelled:
                    answer: Any = cancelled.response
                    reasons = answer.get("CancellationReasons", [])
                    codes = {reason.get("Code") for reason in reasons} - {None, "None"}
                    if codes == {"ConditionalCheckFailed"}:
                        return tuple(map(_refusal, reasons))
                    if not codes or codes - PASSING - {"ConditionalCheckFailed"}:
                        raise
                else:
                    return None
            self.wait(attempt)
        raise self._busy("written")

    def write_in_batches(self, writes: Iterable[Write], *, beside: Sequence[Write] = ()) -> bool:
        """Make many writes in batches, each batch with ``beside``, all or none. Return False once a batch is refused.

        Raises LedgerError.
        """
        return all(
            self.transact([*beside, *batch]) is None
            for batch in batched(writes, WRITES_PER_BATCH, strict=False)
        )

    def begin(self, key: Item, to: Mapping[str, Any], *, when: str, **values: Any) -> bool:
        """Update an item, and return whether this call did. Raises LedgerError.

        A mark identifies this call if its answer is lost: a second call of the same caller returns False.
        """
        mark = {"begun": {"S": uuid4().hex}}
        refused = self.write(update(key, {**to, **mark}, when=when, **values))
        return refused is None or mark.items() <= refused.items()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn any error inside, of the table or of an unreadable item, into a LedgerError that names the table."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise LedgerError(
                f'the ledger, DynamoDB table "{self._name}", cannot be used: {error}'
            ) from error
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            raise LedgerError(
                f'the ledger, DynamoDB table "{self._name}", has an item that cannot be read: '
                f"{type(error).__name__}: {error}"
            ) from error

    def wait(self, attempt: int) -> None:
        """Wait before the next try, longer each time."""
        self._sleep(0.05 * 2**attempt)

    def _read_all(self, keys: Sequence[Item]) -> Iterator[Item]:
        """Yield all items; BatchGetItem may leave keys unread if it is busy."""
        for attempt in range(TRIES):
            request: Any = {self._name: {"Keys": list(keys), "ConsistentRead": True}}
            answer = self._client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(self._name, [])
            left = answer.get("UnprocessedKeys", {}).get(self._name)
            if not left:
                return
            keys = left["Keys"]
            self.wait(attempt)
        raise self._busy("read")

    def _busy(self, done: str) -> LedgerError:
        return LedgerError(
            f'the ledger, DynamoDB table "{self._name}", is too busy to be {done}: try again later'
        )


def _condition(when: str, values: Mapping[str, Any], *, beside: str = "") -> dict[str, Any]:
    named = _names_and_values(f"{beside} {when}", values)
    if not when:
        return named
    return {
        "ConditionExpression": when,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **named,
    }


def _names_and_values(expressions: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the names and values that the expressions use: DynamoDB refuses any other."""
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", expressions)}
    used = {f":{name}": values[name] for name in re.findall(r":(\w+)", expressions)}
    return {
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"ExpressionAttributeValues": used} if used else {}),
    }


def _refusal(reason: Any) -> Item | None:
    return dict(reason.get("Item", {})) if reason.get("Code") == "ConditionalCheckFailed" else None
