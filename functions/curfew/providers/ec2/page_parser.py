"""*find*, fast: the pages of a listing, pulled out of their bytes as they are read.

The SDK builds a tree of a whole page, and then looks at every element in Python. Most of a page is what nobody here
reads. This reader walks through it once with expat, and makes of it what the SDK would have made, member for member,
driven by the same model; ``tests/unit/test_ec2_pages.py`` holds the two against each other. Whatever is not exactly
as it knows it, is left to the SDK, whole: an error, an element that comes twice or where it should not, a prefix, a
comment, a value that is none.

It hangs on the SDK's event ``before-parse``, which lets a handler say what members an answer has, and read or replace
what is parsed after it.
Source: https://github.com/boto/botocore/blob/develop/botocore/endpoint.py
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from ...aws.session import instant

OPERATIONS = ("DescribeInstances",)
PIECE = 2**16  # bytes; expat copies what it is given
_OK = 200
_REQUEST_ID = "requestId"

type Read = Callable[[str], Any]


class UnexpectedError(ValueError):
    """A page that is not as this reader knows it. The SDK reads it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Element:
    """One element that is read: a value, a structure with its members, or a list with its items."""

    member: str = ""
    read: Read | None = None
    members: dict[str, "Element"] = field(default_factory=dict)
    is_list: bool = False


def hasten(client: Any) -> None:
    """From now on the client's listings are read here, as far as they can be."""
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
            found = page(response_dict["body"], name, root)
        except (expat.ExpatError, ValueError):
            return
        request_id = found.pop(_REQUEST_ID, None)
        customized_response_dict.update(found)
        # What is left for the SDK to read: that there was an answer, and under which number.
        rest = "" if request_id is None else f"<{_REQUEST_ID}>{escape(request_id)}</{_REQUEST_ID}>"
        response_dict["body"] = f"<{name}>{rest}</{name}>".encode()

    return pull


def element(shape: Any, member: str = "") -> Element | None:
    """What the model says of an element; None if it says something that this reader does not know."""
    if shape.type_name in _VALUES:
        return Element(member=member, read=_VALUES[shape.type_name])
    odd = {"flattened", "location", "xmlAttribute"} & set(shape.serialization)
    if odd or shape.type_name not in {"list", "structure"}:
        return None
    made = Element(member=member, is_list=shape.type_name == "list")
    if made.is_list:
        inner = {"": shape.member}
    elif shape.is_tagged_union:
        return None
    else:
        inner = shape.members
    for name, part in inner.items():
        child = element(part, name)
        if child is None:
            return None
        made.members[part.serialization.get("name", name)] = child
    return made


_VALUES: Mapping[str, Read] = {
    "string": str,
    "boolean": lambda text: text == "true",
    "integer": int,
    "timestamp": instant,
}


def page(body: bytes, name: str, root: Element) -> dict[str, Any]:
    """A whole answer as its members. Raises ExpatError or ValueError for one that the SDK should read."""
    if not isinstance(body, bytes):
        raise UnexpectedError
    reader = _Reader(name, root)
    try:
        return reader.read(body)
    finally:
        reader.let_go()


class _Reader:
    """Reads one page. No element is missed, and none is taken for another's.

    What nobody reads is passed over as a whole, and only the ends of elements are looked at until its own comes. If
    something inside of it has the same name, that end comes too early: then starts and ends no longer match, and the
    page is given up, at the end of the root at the latest.
    """

    __slots__ = ("around", "into", "opened", "pages", "parser", "passed", "text", "texts", "value")

    def __init__(self, name: str, root: Element) -> None:
        self.pages: list[dict[str, Any]] = []
        # The element that is open, and what it has so far: members by their names, or items.
        self.around = Element(members={name: root}, is_list=True)
        self.into: Any = self.pages
        # All that is open: its name, the element around it, and what that one has so far.
        self.opened: list[tuple[str, Element, Any]] = []
        self.value: Element | None = None
        self.text = ""
        self.texts: dict[str, str] = {}  # most texts of a page stand in it many times
        self.passed = ""
        self.parser = expat.ParserCreate("utf-8")

    def read(self, body: bytes) -> dict[str, Any]:
        parser = self.parser
        parser.buffer_text = True
        self._look()
        parser.CommentHandler = parser.ProcessingInstructionHandler = _unexpected
        parser.StartDoctypeDeclHandler = _unexpected
        whole = memoryview(body)
        for start in range(0, len(body), PIECE):
            parser.Parse(whole[start : start + PIECE])
        parser.Parse(b"", True)  # noqa: FBT003  there is no name for it
        if self.passed or self.value or self.opened:
            raise UnexpectedError
        (found,) = self.pages
        return found

    def let_go(self) -> None:
        """Of the parser, which holds this reader, and so the page: pages would pile up until they are collected."""
        self.parser.StartElementHandler = self.parser.EndElementHandler = None
        self.parser.CharacterDataHandler = None

    def _look(self) -> None:
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end

    def _start(self, tag: str, _attributes: Any) -> None:
        if self.passed:
            if tag == self.passed:
                raise UnexpectedError
            self.parser.StartElementHandler = None
            self.parser.EndElementHandler = self._wait
            return
        around = self.around
        inner = around.members.get(tag)
        if inner is None:
            # Neither in a list nor in a value, nor outside of all, is there anything that may be passed over.
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
            made: Any = [] if inner.is_list else {}
            self._put(inner, made)
            self.opened.append((tag, around, self.into))
            self.around, self.into = inner, made

    def _put(self, inner: Element, made: Any) -> None:
        into = self.into
        if self.around.is_list:
            into.append(made)
        elif inner.member in into:
            raise UnexpectedError
        else:
            into[inner.member] = made

    def _data(self, some: str) -> None:
        self.text += some

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

    def _wait(self, tag: str) -> None:
        if tag == self.passed:
            self.passed = ""
            self._look()


def _unexpected(*_: Any) -> None:
    raise UnexpectedError
