"""The wire protocols: parse a client's request into names and values, and serialize a response.

EC2 and the query protocol differ in their lists and errors; DynamoDB uses JSON 1.0, Systems Manager JSON 1.1.
Source: https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html, .../aws-query-protocol.html,
.../aws-json-1_0-protocol.html, .../aws-json-1_1-protocol.html; the format of an EC2 error is from
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

NAMESPACES = {
    "ec2": "http://ec2.amazonaws.com/doc/2016-11-15/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "autoscaling": "http://autoscaling.amazonaws.com/doc/2011-01-01/",
}
# The services that use JSON, and their version of the protocol.
JSON = {"dynamodb": "1.0", "ssm": "1.1"}
DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
# Errors from the front end of DynamoDB have other prefixes than DynamoDB's own.
FRONT_DOOR = {
    "ValidationException": "com.amazon.coral.validate#",
    "AccessDeniedException": "com.amazon.coral.service#",
    "ExpiredTokenException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "UnrecognizedClientException": "com.amazon.coral.service#",
}
SERVER_ERROR = 500
_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request from either transport. The names of headers are in lower case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response. ``took`` is how many seconds of simulated time the client waited for it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A parsed request: its access key, service, region, operation and arguments."""

    access_key: str
    token: str
    region: str
    service: str
    operation: str
    arguments: dict[str, Any]


@dataclass(slots=True)
class ApiError(Exception):
    """An error response. ``more`` has further members for the body of a DynamoDB error."""

    code: str
    message: str
    status: int = 400
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class CutError(Exception):
    """The connection closes without a response."""


class Xml(str):
    """Text that is XML already."""

    __slots__ = ()


def read(request: Request) -> Message:
    """Parse a request. Raise ApiError if it is unsigned."""
    signed = _CREDENTIAL.search(request.headers.get("authorization", ""))
    if not signed:
        raise ApiError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    access_key, region, service = signed.groups()
    if target := request.headers.get("x-amz-target"):
        operation, arguments = target.rpartition(".")[2], json.loads(request.body or b"{}")
    else:
        arguments = nested(parse_qsl(request.body.decode(), keep_blank_values=True))
        operation = arguments.pop("Action", "")
        arguments.pop("Version", None)
    return Message(
        access_key=access_key,
        token=request.headers.get("x-amz-security-token", ""),
        region=region,
        service=service,
        operation=operation,
        arguments=arguments,
    )


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return pairs such as ``Filter.1.Value.2=x`` as nested dictionaries and lists. Numbers only order a list."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        *path, last = name.split(".")
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return {name: _listed(value) for name, value in tree.items()}


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if set(node) == {"member"}:
        return _listed(node["member"])
    if all(name.isdecimal() for name in node):
        return [_listed(node[number]) for number in sorted(node, key=int)]
    return {name: _listed(value) for name, value in node.items()}


def answered(message: Message, answer: Mapping[str, Any] | Xml, request_id: str) -> Response:
    """Return the response to a successful call."""
    if message.service in JSON and isinstance(answer, Mapping):
        return _json(message.service, 200, answer, request_id)
    name, namespace = message.operation, NAMESPACES[message.service]
    if message.service == "ec2":
        inside = f"<requestId>{request_id}</requestId>{xml(answer, 'item')}"
    else:
        inside = (
            f"<{name}Result>{xml(answer, 'member')}</{name}Result>"
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        )
    return _xml(200, f'<{name}Response xmlns="{namespace}">{inside}</{name}Response>', request_id)


def refused(service: str, error: ApiError, request_id: str) -> Response:
    """Return an error response in the service's format."""
    if service == "dynamodb":
        words = {} if "Message" in error.more else {"message": error.message}
        body = {"__type": FRONT_DOOR.get(error.code, DYNAMODB) + error.code, **words, **error.more}
        return _json(service, error.status, body, request_id)
    if service in JSON:
        body = {"__type": error.code, "message": error.message}
        return _json(service, error.status, body, request_id)
    said = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    if service == "ec2":
        text = (
            f"<Response><Errors><Error>{said}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    else:
        fault = "Receiver" if error.status >= SERVER_ERROR else "Sender"
        text = (
            f'<ErrorResponse xmlns="{NAMESPACES.get(service, "")}"><Error><Type>{fault}</Type>{said}</Error>'
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return _xml(error.status, text, request_id)


def xml(value: Any, item: str) -> str:
    """Return a value as XML: a mapping as elements without those that are None, a list as items."""
    match value:
        case Xml():
            return value
        case Mapping():
            return "".join(
                f"<{name}>{xml(inner, item)}</{name}>"
                for name, inner in value.items()
                if inner is not None
            )
        case list() | tuple():
            return "".join(f"<{item}>{xml(inner, item)}</{item}>" for inner in value)
        case bool():
            return "true" if value else "false"
        case datetime():
            return instant(value)
        case _:
            return escape(str(value), {"\r": "&#13;"})


def instant(at: datetime) -> str:
    """Return a time in EC2's format."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def _xml(status: int, text: str, request_id: str) -> Response:
    headers = {"content-type": "text/xml;charset=UTF-8", "x-amzn-requestid": request_id}
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return Response(status=status, headers=headers, body=body)


def _json(service: str, status: int, value: Mapping[str, Any], request_id: str) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "content-type": f"application/x-amz-json-{JSON[service]}",
        "x-amzn-requestid": request_id,
        # Clients verify the checksum, and treat a mismatch as a failed response.
        "x-amz-crc32": str(zlib.crc32(body)),
    }
    return Response(status=status, headers=headers, body=body)
