"""EC2's dialect at the HTTP level, for the stub: numbered parameters in, XML out."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

XMLNS = "http://ec2.amazonaws.com/doc/2016-11-15/"
GARBLED = (
    "<reservationSet><item><instancesSet><item><launchTime>never</launchTime></item></instancesSet>"
    "</item></reservationSet><instancesSet><item><currentState>?</currentState></item></instancesSet>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a call goes wrong: with this code, or with no answer at all; with its effect, or without."""

    code: str = ""
    status: int = 400
    after_effect: bool = False


class CallRefusedError(Exception):
    """A call that the cloud answers with an error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def parameters(request: AWSPreparedRequest) -> dict[str, str]:
    """What a Query API request asks for, one entry a parameter."""
    return {
        key: values[0] for key, values in parse_qs(text(request), keep_blank_values=True).items()
    }


def text(request: AWSPreparedRequest) -> str:
    """The body of a request."""
    body = request.body
    return body.decode() if isinstance(body, bytes | bytearray) else str(body)


def numbered(asked: dict[str, str], name: str) -> list[str]:
    """The values of ``name.1``, ``name.2`` and so on."""
    found: list[str] = []
    for number in count(1):
        value = asked.get(f"{name}.{number}")
        if value is None:
            return found
        found.append(value)
    return found


def filters(asked: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Each filter's name and values."""
    for number in count(1):
        if not (name := asked.get(f"Filter.{number}.Name")):
            return
        yield name, numbered(asked, f"Filter.{number}.Value")


def tags(asked: dict[str, str], prefix: str) -> dict[str, str]:
    """The tags under a prefix such as ``TagSpecification.1.Tag``."""
    keys = (f"{prefix}.{number}" for number in count(1))
    found: dict[str, str] = {}
    for key in keys:
        if f"{key}.Key" not in asked:
            return found
        found[asked[f"{key}.Key"]] = asked.get(f"{key}.Value", "")
    return found


def tag_specifications(asked: dict[str, str]) -> dict[str, dict[str, str]]:
    """The tags that a launch gives at birth, by the type of the resource."""
    found: dict[str, dict[str, str]] = {}
    for number in count(1):
        if not (kind := asked.get(f"TagSpecification.{number}.ResourceType")):
            return found
        found[kind] = tags(asked, f"TagSpecification.{number}.Tag")
    return found


def snake(action: str) -> str:
    """``DescribeInstances`` as ``describe_instances``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()


def document(action: str, content: str) -> str:
    """A whole answer."""
    return (
        f'<{action}Response xmlns="{XMLNS}"><requestId>stub</requestId>{content}</{action}Response>'
    )


def error(refused: CallRefusedError) -> str:
    """A whole answer that is an error."""
    said = f"<Code>{refused.code}</Code><Message>{escape(str(refused))}</Message>"
    return f"<Response><Errors><Error>{said}</Error></Errors><RequestID>stub</RequestID></Response>"


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def response(
    request: AWSPreparedRequest, status: int, content: str | bytes, kind: str = "text/xml"
) -> AWSResponse:
    """The answer as botocore takes it from the wire."""
    headers: Any = {"content-type": kind}
    return AWSResponse(
        request.url,
        status,
        headers,
        _Raw(content.encode() if isinstance(content, str) else content),
    )
