"""TransactWriteItems: it applies all writes or none, and a client token makes it idempotent.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..call import ApiCall
from ..faults import FaultKind
from ..protocols import ApiError
from . import values
from .items import FAILED, Write, understood
from .tables import Tables
from .values import Item, invalid

MOST_ACTIONS = 100
LARGEST = 4 * 1024 * 1024
TOKEN_LIFETIME = timedelta(minutes=10)

type Reason = dict[str, Any]


def transact_write_items(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Apply all writes if every condition holds. Else raise ApiError with the reason for each write."""
    actions: Sequence[Mapping[str, Any]] = call.arguments.get("TransactItems", [])
    if not 1 <= len(actions) <= MOST_ACTIONS:
        said = f"Member must have length less than or equal to {MOST_ACTIONS}"
        raise invalid(
            f"1 validation error detected: Value at 'transactItems' failed to satisfy constraint: {said}"
        )
    writes = []
    for action in actions:
        ((kind, arguments),) = action.items()
        writes.append(understood(tables, call, kind, arguments))
    if len({(write.table.name, write.place) for write in writes}) < len(writes):
        raise invalid("Transaction request cannot include multiple operations on one item")
    if _done_before(tables, call):
        return {}
    conflict = -1
    if FaultKind.CONFLICT in call.faults:
        conflict = tables.chance.of("conflicts").randrange(len(writes))
    results: list[Item | None] = []
    reasons: list[Reason] = []
    for number, write in enumerate(writes):
        result, reason = _tried(write, conflicting=number == conflict)
        results.append(result)
        reasons.append(reason)
    if any(reason["Code"] != "None" for reason in reasons):
        raise _cancelled(reasons)
    if sum(values.size_of_item(item) for item in results if item) > LARGEST:
        raise invalid("Collection size of items in transaction exceeded the maximum allowed size")
    for write, result in zip(writes, results, strict=True):
        if write.put is not None or write.update is not None or write.deletes:
            tables.write(write.table, write.place, result)
    if token := call.arguments.get("ClientRequestToken"):
        tables.tokens[token] = tables.clock.now(), _fingerprint(call)
    return {}


def _tried(write: Write, *, conflicting: bool) -> tuple[Item | None, Reason]:
    if conflicting:
        message = "Transaction is ongoing for the item"
        return None, {"Code": "TransactionConflict", "Message": message}
    if not write.allowed():
        reason: Reason = {"Code": "ConditionalCheckFailed", "Message": FAILED}
        old = write.table.get(write.place)
        if write.returns_old and old is not None:
            reason["Item"] = old
        return None, reason
    try:
        return write.result(), {"Code": "None"}
    except ApiError as error:
        return None, {"Code": "ValidationError", "Message": error.message}


def _cancelled(reasons: list[Reason]) -> ApiError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    # Only this error has "Message" with a capital letter.
    more = {"CancellationReasons": reasons, "Message": message}
    return ApiError("TransactionCanceledException", message, more=more)


def _done_before(tables: Tables, call: ApiCall) -> bool:
    """Return whether the token was used for the same request. Raise ApiError if it was used for another one."""
    token = call.arguments.get("ClientRequestToken", "")
    at, fingerprint = tables.tokens.get(token, (None, ""))
    if at is None or tables.clock.now() - at > TOKEN_LIFETIME:
        return False
    if fingerprint != _fingerprint(call):
        said = "Request has the same ClientRequestToken as an earlier one, but other parameters"
        raise ApiError("IdempotentParameterMismatchException", said)
    return True


def _fingerprint(call: ApiCall) -> str:
    return json.dumps(call.arguments["TransactItems"], sort_keys=True)
