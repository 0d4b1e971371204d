"""Builds Nova's request of a Launch, and the tag by which its servers are found again."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from ..base import LaunchCall
from .tags import text_of, written

TOKEN_TAG = "curfew:token"  # noqa: S105  a launch's client token, not a secret
TOKEN_LENGTH = 40


def request_of(launch: LaunchCall, flavor: str, networks: Sequence[str]) -> dict[str, Any]:
    """Return a request for up to ``count`` servers, at least one, which Nova tags as it creates them.

    Source: https://docs.openstack.org/api-ref/compute/#create-server
    """
    texts, metadata = written({**launch.tags, TOKEN_TAG: launch.token[:TOKEN_LENGTH]})
    request: dict[str, Any] = {
        "name": metadata.pop("Name", "") or launch.tags.get("Name", "") or "curfew",
        "image_id": launch.image,
        "flavor_id": flavor,
        "networks": [{"uuid": network} for network in networks] or "none",
        "tags": [text for text in texts if not text.startswith("Name=")],
        "metadata": metadata,
        "min_count": 1,
        "max_count": launch.count,
    }
    if launch.key:
        request["key_name"] = launch.key
    if launch.security_groups:
        request["security_groups"] = [{"name": group} for group in launch.security_groups]
    if launch.user_data:
        request["user_data"] = b64encode(launch.user_data.encode()).decode()
    if launch.hints:
        request["scheduler_hints"] = dict(launch.hints)
    return request


def token_text(token: str) -> str | None:
    """Return the tag of every server of a launch."""
    return text_of(TOKEN_TAG, token[:TOKEN_LENGTH])
