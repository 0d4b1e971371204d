"""Converts Curfew's tags, keys with values, to Nova's, short texts, and back.

``env=dev`` is the tag ``env`` with the value ``dev``; a text without ``=`` is a tag without a value. Nova forbids ``/``
and ``,``, which are escaped, and more than 60 characters; longer tags are written to the server's metadata, which takes
255. Metadata that would fit into a tag belongs to users; Curfew reads only its own keys from it.
Source: https://docs.openstack.org/api-ref/compute/#server-tags-servers-tags
"""

from collections.abc import Iterable, Mapping

from ...core.errors import RequestError
from ...core.policy import normalize_key

LONGEST_TAG = 60
LONGEST_METADATA = 255
MOST_TAGS = 50
OURS = "curfew:"
# Applied in this order to escape, in reverse order to unescape.
_ESCAPES = (("%", "%25"), ("/", "%2F"), (",", "%2C"))


def text_of(key: str, value: str) -> str | None:
    """Return the tag as one of Nova's texts; None if it is too long."""
    left = _escaped(key).replace("=", "%3D")
    text = f"{left}={_escaped(value)}" if value else left
    return text if 0 < len(text) <= LONGEST_TAG else None


def tags_of(
    texts: Iterable[str], metadata: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the tags of a server, and the ambiguous keys, which have more than one value."""
    tags: dict[str, str] = {}
    twice: set[str] = set()
    for text in sorted(texts):
        left, _, value = text.partition("=")
        key = _plain(left.replace("%3D", "="))
        if key in tags:
            twice.add(key)
        tags[key] = _plain(value)
    for key, value in metadata.items():
        if key not in tags and (normalize_key(key).startswith(OURS) or text_of(key, value) is None):
            tags[key] = value
    return tags, tuple(sorted(twice))


def written(tags: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the tags of a launch as Nova's texts, and as metadata those that are too long.

    Raises RequestError for a tag that is too long for metadata, and for more tags than a server may have.
    """
    texts: list[str] = []
    metadata: dict[str, str] = {}
    for key, value in sorted(tags.items()):
        text = text_of(key, value)
        if text is not None:
            texts.append(text)
        elif len(key) <= LONGEST_METADATA and (
            len(value) <= LONGEST_METADATA or key.startswith(OURS)
        ):
            metadata[key] = value[:LONGEST_METADATA]
        else:
            raise RequestError(
                f"the tag {key} has {len(value)} characters: OpenStack takes {LONGEST_METADATA} at most"
            )
    if len(texts) > MOST_TAGS:
        raise RequestError(f"{len(texts)} tags: an OpenStack server has {MOST_TAGS} at most")
    return texts, metadata


def _escaped(text: str) -> str:
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return text


def _plain(text: str) -> str:
    for plain, escaped in reversed(_ESCAPES):
        text = text.replace(escaped, plain)
    return text
