"""The operations on whole tables. A new table is active at once, so no caller has to wait for it.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
"""

from collections.abc import Mapping
from typing import Any

from ..call import ApiCall
from .tables import Table, Tables
from .values import invalid


def create_table(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Create a table. Raise ApiError if the request has indexes, which the simulator does not model."""
    arguments = call.arguments
    if "GlobalSecondaryIndexes" in arguments or "LocalSecondaryIndexes" in arguments:
        raise invalid("indexes are not modelled")
    _demand(call, "CreateTable", tables.arn(arguments["TableName"]))
    keys = {key["KeyType"]: key["AttributeName"] for key in arguments["KeySchema"]}
    types = {d["AttributeName"]: d["AttributeType"] for d in arguments["AttributeDefinitions"]}
    if missing := set(keys.values()) - types.keys():
        said = f"Some index key attributes are not defined in AttributeDefinitions. Keys: {sorted(missing)}"
        raise invalid(f"One or more parameter values were invalid: {said}")
    name = arguments["TableName"]
    table = tables.make(name, hash_key=keys["HASH"], range_key=keys.get("RANGE"), **types)
    return {"TableDescription": _described(table)}


def describe_table(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Return a table's description."""
    table = tables.get(call.arguments["TableName"])
    _demand(call, "DescribeTable", table.arn)
    return {"Table": _described(table)}


def delete_table(tables: Tables, call: ApiCall) -> Mapping[str, Any]:
    """Delete a table, and return its description."""
    _demand(call, "DeleteTable", tables.get(call.arguments["TableName"]).arn)
    table = tables.drop(call.arguments["TableName"])
    return {"TableDescription": {**_described(table), "TableStatus": "DELETING"}}


def _described(table: Table) -> dict[str, Any]:
    keys = {"HASH": table.hash_key, "RANGE": table.range_key}
    return {
        "TableName": table.name,
        "TableArn": table.arn,
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": n, "KeyType": k} for k, n in keys.items() if n],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": type_} for name, type_ in table.types.items()
        ],
        "CreationDateTime": table.created_at.timestamp(),
        "ItemCount": sum(map(len, table.partitions.values())),
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    }


def _demand(call: ApiCall, operation: str, arn: str) -> None:
    call.principal.demand(f"dynamodb:{operation}", arn, code="AccessDeniedException", status=400)
