"""The frozen list for OpenStack: every request that changes something, and the guard that lets no other out.

It stands below the SDK, at the door through which each request leaves, whoever makes it. In report mode nothing but
the request for a token gets through.
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
# By method and the end of the path; an action is told apart by its body.
CHANGES = (
    ("DELETE", re.compile(SERVER)),  # the action terminate
    ("POST", re.compile(r"/servers")),  # a fleet that somebody asked for, of a template
    ("PUT", re.compile(rf"{SERVER}/tags/curfew(%3A|:)[^/]+")),  # the end of a lease, for people
    ("DELETE", re.compile(rf"{SERVER}/tags/curfew(%3A|:)[^/]+")),  # the one before
)
ACTION = re.compile(rf"{SERVER}/action")
ACTIONS = frozenset({"os-stop", "shelve"})  # the actions stop and shelve; no force is among them


class Guard(TCPKeepAliveAdapter):
    """Sends what looks, and of what changes something only what is listed, where ``acts`` is said."""

    def __init__(self, *, acts: bool) -> None:
        super().__init__()
        self._acts = acts

    def send(self, request: PreparedRequest, *args: Any, **more: Any) -> Response:
        """Send it, or raise RefusedError."""
        if not allowed(request, acts=self._acts):
            path = (request.path_url or "").partition("?")[0]
            raise RefusedError(
                f"{request.method} {path} is not among the requests that may be sent"
                f"{'' if self._acts else ' in report mode'}: it was not; providers/openstack_calls.py has the list"
            )
        return super().send(request, *args, **more)


def allowed(request: PreparedRequest, *, acts: bool) -> bool:
    """Whether a request may be sent."""
    method, path = request.method or "", (request.path_url or "").partition("?")[0]
    if method in {"GET", "HEAD"} or _is(LOGIN, method, path):
        return True
    if not acts:
        return False
    if method == "POST" and re.search(rf"{ACTION.pattern}$", path):
        return _asked(request) <= ACTIONS
    return any(_is(one, method, path) for one in CHANGES)


def guarded(*, acts: bool) -> Session:
    """The session that each request of a connection goes through."""
    made = Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, Guard(acts=acts))
    return made


def _is(one: tuple[str, re.Pattern[str]], method: str, path: str) -> bool:
    return method == one[0] and bool(re.search(rf"{one[1].pattern}$", path))


def _asked(request: PreparedRequest) -> set[str]:
    """The actions in a body; one that cannot be read asks for what is on no list."""
    body: Any = request.body
    try:
        return set(json.loads(body or b"")) or {""}
    except (TypeError, ValueError):
        return {""}
