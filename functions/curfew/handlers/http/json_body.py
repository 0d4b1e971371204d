"""Reads the body of a request, more strictly than JSON requires.

A body that two readers could interpret differently is refused.
"""

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
    """The content type of the body is not JSON."""


class UnreadableError(RequestError):
    """The body is not one unambiguous JSON object in UTF-8."""


def raw(event: Mapping[str, Any]) -> bytes:
    """Return the body as it was sent. Raises TooLargeError, UnreadableError."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            sent = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise UnreadableError("the body is not valid base64") from None
    else:
        sent = body.encode("utf-8", "surrogatepass")
    if len(sent) > LONGEST:
        raise TooLargeError(f"the body has {len(sent)} bytes; it may have {LONGEST}")
    return sent


def read(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object of the body, or None if there is no body. Raises RequestError."""
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
        raise UnreadableError("the body is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableError(f"the body is not JSON: {error.msg} at {place}") from None
    except ValueError:  # an integer of thousands of digits
        raise UnreadableError("the body has a number that is too long") from None
    if not isinstance(value, dict):
        raise UnreadableError("the body is not a JSON object")
    return value


def _is_json(event: Mapping[str, Any]) -> None:
    headers = {str(name).lower(): value for name, value in (event.get("headers") or {}).items()}
    said = str(headers.get("content-type", ""))
    if said.partition(";")[0].strip().lower() != "application/json":
        raise MediaTypeError("the body must be JSON and declare it: content-type: application/json")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a dict. Raises UnreadableError for a repeated name: readers disagree on its value."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"the name {json.dumps(twice[:80])} appears twice in the body")
    return found


def _no_number(word: str) -> None:
    raise UnreadableError(f"the body has {word}, which is not a JSON number")
