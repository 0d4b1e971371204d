"""The body of a request, read more strictly than JSON has to be: what two readers could take differently is refused."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from ...core.errors import RequestError

LONGEST = 64 * 1024


class TooLargeError(RequestError):
    """The body is longer than any request needs."""


class MediaTypeError(RequestError):
    """The body does not say that it is JSON."""


class UnreadableError(RequestError):
    """The body is not JSON, or not one value only."""


def raw(event: Mapping[str, Any]) -> bytes:
    """The body as it was sent. Raises TooLargeError, UnreadableError."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            sent = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise UnreadableError("the body is not what it is encoded as") from None
    else:
        sent = body.encode("utf-8", "surrogatepass")
    if len(sent) > LONGEST:
        raise TooLargeError(f"the body has {len(sent)} bytes; it may have {LONGEST}")
    return sent


def read(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The one JSON object that the body is; none if there is no body. Raises RequestError."""
    sent = raw(event)
    if not sent.strip():
        return None
    _is_json(event)
    try:
        value = json.loads(sent.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnreadableError:
        raise
    except RecursionError:
        raise UnreadableError("the body is nested too deeply") from None
    except UnicodeError:
        raise UnreadableError("the body is not a text in UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableError(f"the body is not JSON: {error.msg} at {place}") from None
    except ValueError:  # an integer of thousands of digits
        raise UnreadableError("the body has a number that is too long") from None
    if not isinstance(value, dict):
        raise UnreadableError("the body is not an object of names and values")
    return value


def _is_json(event: Mapping[str, Any]) -> None:
    headers = {str(name).lower(): value for name, value in (event.get("headers") or {}).items()}
    said = str(headers.get("content-type", ""))
    if said.partition(";")[0].strip().lower() != "application/json":
        raise MediaTypeError(
            "the body has to be JSON, and to say so: content-type: application/json"
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice means one thing to one reader and another to the next."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"the name {json.dumps(twice[:80])} stands twice in the body")
    return found


def _no_number(word: str) -> None:
    raise UnreadableError(f"the body has {word}, which is no number")
