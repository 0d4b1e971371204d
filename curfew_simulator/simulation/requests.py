"""Requests as API Gateway hands them over, in its payload format 2.0.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import json
from collections.abc import Mapping
from typing import Any

from ..cloud.world import ACCOUNT
from ..history.invocation import Message
from .clients import REGIONS


def request(
    method: str, path: str, *, who: str, body: Any = None, key: str = "", route: str = ""
) -> dict[str, Any]:
    """A request, by the caller that API Gateway names."""
    headers: dict[str, str] = {"host": "api.example.com"}
    if key:
        headers["idempotency-key"] = key
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"{method} {route or path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "api",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "$default",
            "timeEpoch": 0,
            "authorizer": {"iam": _identity(who)},
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        headers["content-type"] = "application/json"
        made["body"] = json.dumps(body)
    return made


def delivery(message: Message) -> dict[str, Any]:
    """Return a message as SQS delivers it to a function.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    return {
        "messageId": message.id, "receiptHandle": "x", "body": message.body, "attributes": {},
        "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": REGIONS[0],
        "eventSourceARN": f"arn:aws:sqs:{REGIONS[0]}:{ACCOUNT}:work",
    }  # fmt: skip


def _identity(who: str) -> Mapping[str, str]:
    return {"userArn": who, "accountId": ACCOUNT}
