"""Parses the pages of a listing faster than the SDK, for *find*.

The SDK builds a tree of the whole page and visits every element in Python, although Curfew uses few of them. This
parser reads the page once with expat and returns exactly what the SDK would have returned for the members it uses,
driven by the same model; ``tests/unit/test_ec2_pages.py`` compares the two. The SDK parses every page that this parser
does not fully understand: an error, a duplicate or misplaced element, a prefix, a comment, an invalid value.

It is a handler of the SDK's event ``before-parse``, which may provide members of an answer and replace the body that
the SDK parses afterwards.
Source: https://github.com/boto/botocore/blob/develop/botocore/endpoint.py
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from ...aws.session import instant

OPERATIONS = ("DescribeInstances",)
PIECE = 2**16  # bytes at a time; expat copies its input
_OK = 200
_REQUEST_ID = "requestId"

type Read = Callable[[str], Any]


class UnexpectedError(ValueError):
    """A page that this parser does not understand. The SDK parses it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Element:
    """One element that the parser reads: a value, a structure with members, or a list with items."""

    member: str = ""
    read: Read | None = None
    members: dict[str, "Element"] = field(default_factory=dict)
    is_list: bool = False


def install_page_parser(client: Any) -> None:
    """Make the client use this parser for its listings."""
    for operation in OPERATIONS:
        root = element(client.meta.service_model.operation_model(operation).output_shape)
        if root is None:
            continue
        root.members[_REQUEST_ID] = Element(member=_REQUEST_ID, read=str)
        client.meta.events.register(f"before-parse.ec2.{operation}", _handler(operation, root))


def _handler(operation: str, root: Element) -> Callable[..., None]:
    name = f"{operation}Response"

    def pull(
        *, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        if response_dict["status_code"] != _OK:
            return
        try:
            members = page(response_dict["body"], name, root)
        except (expat.ExpatError, ValueError):
            return
        request_id = members.pop(_REQUEST_ID, None)
        customized_response_dict.update(members)
        # The SDK still parses the root and the request id.
        rest = "" if request_id is None else f"<{_REQUEST_ID}>{escape(request_id)}</{_REQUEST_ID}>"
        response_dict["body"] = f"<{name}>{rest}</{name}>".encode()

    return pull


def element(shape: Any, member: str = "") -> Element | None:
    """Return the element that the model describes; None if this parser does not support it."""
    if shape.type_name in _VALUES:
        return Element(member=member, read=_VALUES[shape.type_name])
    unsupported = {"flattened", "location", "xmlAttribute"} & set(shape.serialization)
    if unsupported or shape.type_name not in {"list", "structure"}:
        return None
    parent = Element(member=member, is_list=shape.type_name == "list")
    if parent.is_list:
        inner = {"": shape.member}
    elif shape.is_tagged_union:
        return None
    else:
        inner = shape.members
    for name, part in inner.items():
        child = element(part, name)
        if child is None:
            return None
        parent.members[part.serialization.get("name", name)] = child
    return parent


_VALUES: Mapping[str, Read] = {
    "string": str,
    "boolean": lambda text: text == "true",
    "integer": int,
    "timestamp": instant,
}


def page(body: bytes, name: str, root: Element) -> dict[str, Any]:
    """Return the members of a whole answer. Raises ExpatError or ValueError if the SDK must parse it."""
    if not isinstance(body, bytes):
        raise UnexpectedError
    reader = _Reader(name, root)
    try:
        return reader.read(body)
    finally:
        reader.close()


class _Reader:
    """Reads one page, without missing or confusing an element.

    An element that is not needed is skipped: only end tags are handled until its own. If an element inside has the
    same name, the skipping stops too early; then start and end tags no longer match, and the page is rejected, at the
    end of the root at the latest.
    """

    __slots__ = ("around", "into", "opened", "pages", "parser", "passed", "text", "texts", "value")

    def __init__(self, name: str, root: Element) -> None:
        self.pages: list[dict[str, Any]] = []
        # The open element, and its members or items so far.
        self.around = Element(members={name: root}, is_list=True)
        self.into: Any = self.pages
        # The open elements: each with its name, the element around it, and that one's members or items so far.
        self.opened: list[tuple[str, Element, Any]] = []
        self.value: Element | None = None
        self.text = ""
        self.texts: dict[str, str] = {}  # each text once: most of them occur many times in a page
        self.passed = ""
        self.parser = expat.ParserCreate("utf-8")

    def read(self, body: bytes) -> dict[str, Any]:
        parser = self.parser
        parser.buffer_text = True
        self._handle_all()
        parser.CommentHandler = parser.ProcessingInstructionHandler = _unexpected
        parser.StartDoctypeDeclHandler = _unexpected
        whole = memoryview(body)
        for start in range(0, len(body), PIECE):
            parser.Parse(whole[start : start + PIECE])
        parser.Parse(b"", True)  # noqa: FBT003  there is no name for it
        if self.passed or self.value or self.opened:
            raise UnexpectedError
        (members,) = self.pages
        return members

    def close(self) -> None:
        """Break the reference cycle with the parser, so that the page is freed immediately."""
        self.parser.StartElementHandler = self.parser.EndElementHandler = None
        self.parser.CharacterDataHandler = None

    def _handle_all(self) -> None:
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end

    def _start(self, tag: str, _attributes: Any) -> None:
        if self.passed:
            if tag == self.passed:
                raise UnexpectedError
            self.parser.StartElementHandler = None
            self.parser.EndElementHandler = self._skip
            return
        around = self.around
        inner = around.members.get(tag)
        if inner is None:
            # An element may be skipped only inside a structure.
            if self.value or around.is_list or ":" in tag:
                raise UnexpectedError
            self.passed = tag
        elif self.value:
            raise UnexpectedError
        elif inner.read:
            self.value = inner
            self.text = ""
            self.parser.CharacterDataHandler = self._data
        else:
            content: Any = [] if inner.is_list else {}
            self._put(inner, content)
            self.opened.append((tag, around, self.into))
            self.around, self.into = inner, content

    def _put(self, inner: Element, content: Any) -> None:
        into = self.into
        if self.around.is_list:
            into.append(content)
        elif inner.member in into:
            raise UnexpectedError
        else:
            into[inner.member] = content

    def _data(self, text: str) -> None:
        self.text += text

    def _end(self, tag: str) -> None:
        if self.passed:
            self.passed = ""
        elif (value := self.value) is not None:
            self.parser.CharacterDataHandler = None
            self.value = None
            text = self.texts.setdefault(self.text, self.text)
            self._put(value, value.read(text))  # type: ignore[misc]  # a value has a reader
        else:
            if not self.opened:
                raise UnexpectedError
            name, self.around, self.into = self.opened.pop()
            if name != tag:
                raise UnexpectedError

    def _skip(self, tag: str) -> None:
        if tag == self.passed:
            self.passed = ""
            self._handle_all()


def _unexpected(*_: Any) -> None:
    raise UnexpectedError
