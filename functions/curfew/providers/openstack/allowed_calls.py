"""The allow-list for OpenStack: every request that changes something. Any other is refused.

It is applied in the HTTP adapter below the SDK, which sends every request. In report mode, only reads and the request
for a token are sent.
Source: https://docs.openstack.org/api-ref/compute/
"""

import json
import re
from typing import Any

from keystoneauth1.session import TCPKeepAliveAdapter
from requests import PreparedRequest, Response, Session

from ...core.errors import RefusedError

SERVER = r"/servers/[0-9a-f-]{36}"
LOGIN = ("POST", re.compile(r"/auth/tokens"))
# By method and the end of the path; actions are distinguished by their body.
CHANGES = (
    ("DELETE", re.compile(SERVER)),  # the action terminate
    ("POST", re.compile(r"/servers")),  # the launch of a fleet, by a template
    (
        "PUT",
        re.compile(rf"{SERVER}/tags/curfew(%3A|:)[^/]+"),
    ),  # the end of a lease, only for people
    ("DELETE", re.compile(rf"{SERVER}/tags/curfew(%3A|:)[^/]+")),  # the one before
)
ACTION = re.compile(rf"{SERVER}/action")
ACTIONS = frozenset({"os-stop", "shelve"})  # the actions stop and shelve; no forced one


class Guard(TCPKeepAliveAdapter):
    """Sends reads and, with ``acts``, the changing requests on the list."""

    def __init__(self, *, acts: bool) -> None:
        super().__init__()
        self._acts = acts

    def send(self, request: PreparedRequest, *args: Any, **more: Any) -> Response:
        """Send the request. Raises RefusedError if it is not allowed."""
        if not allowed(request, acts=self._acts):
            path = (request.path_url or "").partition("?")[0]
            raise RefusedError(
                f"{request.method} {path} is not among the allowed requests"
                f"{'' if self._acts else ' in report mode'}: it was not sent; "
                "curfew/providers/openstack/allowed_calls.py has the list"
            )
        return super().send(request, *args, **more)


def allowed(request: PreparedRequest, *, acts: bool) -> bool:
    """Return whether a request may be sent."""
    method, path = request.method or "", (request.path_url or "").partition("?")[0]
    if method in {"GET", "HEAD"} or _is(LOGIN, method, path):
        return True
    if not acts:
        return False
    if method == "POST" and re.search(rf"{ACTION.pattern}$", path):
        return _asked(request) <= ACTIONS
    return any(_is(one, method, path) for one in CHANGES)


def guarded(*, acts: bool) -> Session:
    """Return the HTTP session that sends every request of a connection."""
    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Guard(acts=acts))
    return session


def _is(one: tuple[str, re.Pattern[str]], method: str, path: str) -> bool:
    return method == one[0] and bool(re.search(rf"{one[1].pattern}$", path))


def _asked(request: PreparedRequest) -> set[str]:
    """Return the actions in a body; for an unreadable body, one that is not on the list."""
    body: Any = request.body
    try:
        return set(json.loads(body or b"")) or {""}
    except (TypeError, ValueError):
        return {""}
