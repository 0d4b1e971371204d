"""Tags as Nova has them: a set of short texts, where Curfew speaks of keys and values. One mapping, both ways.

``env=dev`` is the tag ``env`` with the value ``dev``, a text without ``=`` a tag without a value. Nova allows no ``/``
and no ``,`` and 60 characters, so those two are escaped, and what is too long stands in the server's metadata, which
takes 255. Metadata that would have fitted into a tag is people's own, and read for Curfew's keys alone.
Source: https://docs.openstack.org/api-ref/compute/#server-tags-servers-tags
"""

from collections.abc import Iterable, Mapping

from ...core.errors import RequestError
from ...core.policy import folded

LONGEST_TAG = 60
LONGEST_METADATA = 255
MOST_TAGS = 50
OURS = "curfew:"
# In this order on the way there, and the other way round on the way back.
_ESCAPES = (("%", "%25"), ("/", "%2F"), (",", "%2C"))


def text_of(key: str, value: str) -> str | None:
    """The tag as one text of Nova's; nothing if it does not fit into one."""
    left = _escaped(key).replace("=", "%3D")
    text = f"{left}={_escaped(value)}" if value else left
    return text if 0 < len(text) <= LONGEST_TAG else None


def tags_of(
    texts: Iterable[str], metadata: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The tags of a server, and the keys that stand there with more than one value: nobody can say which one counts."""
    tags: dict[str, str] = {}
    twice: set[str] = set()
    for text in sorted(texts):
        left, _, value = text.partition("=")
        key = _plain(left.replace("%3D", "="))
        if key in tags:
            twice.add(key)
        tags[key] = _plain(value)
    for key, value in metadata.items():
        if key not in tags and (folded(key).startswith(OURS) or text_of(key, value) is None):
            tags[key] = value
    return tags, tuple(sorted(twice))


def written(tags: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The tags of a launch as Nova's texts, and as metadata those that do not fit.

    Raises RequestError for what fits nowhere, and for more tags than a server may have.
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
