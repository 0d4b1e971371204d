"""The cursors of listings: opaque to the caller, and valid only for the listing that they come from."""

import base64
import binascii
import hashlib
import json
from typing import Any

from ...core.errors import RequestError


def sealed(listing: list[Any], after: str) -> str:
    """Return the cursor for the page of this listing that follows ``after``; empty on the last page."""
    if not after:
        return ""
    text = json.dumps([_digest(listing), after], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def opened(listing: list[Any], cursor: str) -> str:
    """Return the ``after`` that ``sealed`` received. Raises RequestError for a cursor of another listing."""
    if not cursor:
        return ""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, after = json.loads(text)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise _foreign() from None
    if digest != _digest(listing) or not isinstance(after, str) or not after:
        raise _foreign()
    return after


def _foreign() -> RequestError:
    return RequestError(
        "after is not from a page of this listing: request the first page without it, and repeat the same query"
    )


def _digest(listing: list[Any]) -> str:
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:16]
