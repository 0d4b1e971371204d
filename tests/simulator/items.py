"""Items, placeholders, and a table with one item in it, for the tests of DynamoDB."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


def plain(value: Any) -> Any:
    """A value as an attribute value."""
    match value:
        case bool():
            return {"BOOL": value}
        case None:
            return {"NULL": True}
        case int() | float():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case list():
            return {"L": [plain(member) for member in value]}
        case set():
            kind = "NS" if all(isinstance(m, int) for m in value) else "SS"
            return {kind: sorted(str(member) for member in value)}
        case Mapping():
            return {"M": {name: plain(member) for name, member in value.items()}}
    raise TypeError(value)


def item(**attributes: Any) -> dict[str, Any]:
    """An item of the table ``t``."""
    return {**KEY, **{name: plain(value) for name, value in attributes.items()}}


def bound(values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Placeholders and what they stand for."""
    given: dict[str, Any] = {}
    if values:
        given["ExpressionAttributeValues"] = {f":{name}": plain(v) for name, v in values.items()}
    if names:
        given["ExpressionAttributeNames"] = {f"#{name}": real for name, real in names.items()}
    return given


class Shop:
    """The table ``t`` with one item in it, and short ways to ask."""

    def __init__(self, db: Any, **attributes: Any) -> None:
        self.db = db
        db.put_item(TableName="t", Item=item(**attributes))

    def holds(self, condition: str, **values: Any) -> bool:
        """Whether a condition holds."""
        try:
            self.db.update_item(
                TableName="t", Key=KEY, ConditionExpression=condition, **bound(values)
            )
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"  # noqa: PT017
            return False
        return True

    def after(self, update: str, **values: Any) -> dict[str, Any]:
        """The item after an update, without its key."""
        answer = self.db.update_item(
            TableName="t", Key=KEY, UpdateExpression=update, ReturnValues="ALL_NEW", **bound(values)
        )
        return {k: v for k, v in answer["Attributes"].items() if k not in KEY}
