"""The DynamoDB operations. Each is a function of the tables and a call, and returns the response."""

from collections.abc import Callable, Mapping
from typing import Any

from ..call import ApiCall
from . import administration, items, query, transactions
from .tables import Tables

OPERATIONS: Mapping[str, Callable[[Tables, ApiCall], Mapping[str, Any]]] = {
    "BatchGetItem": items.batch_get_item,
    "CreateTable": administration.create_table,
    "DeleteItem": items.delete_item,
    "DeleteTable": administration.delete_table,
    "DescribeTable": administration.describe_table,
    "GetItem": items.get_item,
    "PutItem": items.put_item,
    "Query": query.query,
    "Scan": query.scan,
    "TransactWriteItems": transactions.transact_write_items,
    "UpdateItem": items.update_item,
}
