"""The floor: the least that the bytes cost. It signs, uses one connection, parses bytes as they arrive, nothing else.

It reads the id, state, launch time and tags of each instance, and checks nothing.
The parser is ElementTree's pull parser, which uses expat and is the usual choice; with ``--expat``, expat with handlers
for only these texts, which is too special to maintain. With ``--filtered``, the server filters by state and tag.
"""

import hashlib
import hmac
import os
import sys
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element, XMLPullParser
from xml.parsers import expat

NS = "{http://ec2.amazonaws.com/doc/2016-11-15/}"
type Row = tuple[str, str, str, dict[str, str]]

TEXTS = {
    ("instancesSet", "item", "instanceId"): "id",
    ("instancesSet", "item", "launchTime"): "launched",
    ("item", "instanceState", "name"): "state",
    ("tagSet", "item", "key"): "key",
    ("tagSet", "item", "value"): "value",
}
LAST = {path[-1] for path in TEXTS} | {"nextToken"}


class Pulled:
    """Reads instances with the pull parser as a page arrives, and frees each element after it is read."""

    def __init__(self) -> None:
        self.found: list[Row] = []
        self.token = ""
        self._parser: XMLPullParser[Element] = XMLPullParser(events=("end",))

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Parse what came."""
        self._parser.feed(data)
        if last:
            self._parser.close()
        events: Any = self._parser.read_events()
        for _, element in events:
            if element.tag == NS + "instancesSet":
                self.found += map(_row, element)
                element.clear()
            elif element.tag == NS + "nextToken":
                self.token = element.text or ""


def _row(one: Element) -> Row:
    return (
        one.findtext(NS + "instanceId", ""),
        one.findtext(f"{NS}instanceState/{NS}name", ""),
        one.findtext(NS + "launchTime", ""),
        {
            tag.findtext(NS + "key", ""): tag.findtext(NS + "value", "")
            for tag in one.iterfind(f"{NS}tagSet/{NS}item")
        },
    )


class Handled:
    """Reads instances with expat handlers."""

    def __init__(self) -> None:
        self.found: list[Row] = []
        self.token = ""
        self._path = [""] * 3
        self._text = ""
        self._one: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Parse what came."""
        self._parser.Parse(data, last)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._path.append(name)
        if name in LAST:
            self._text = ""
            self._parser.CharacterDataHandler = self._more

    def _more(self, text: str) -> None:
        self._text += text

    def _end(self, name: str) -> None:
        path = self._path
        if name in LAST:
            self._parser.CharacterDataHandler = None
            if name == "nextToken":
                self.token = self._text
            elif place := TEXTS.get((path[-3], path[-2], name)):
                if place == "value":
                    self._tags[self._one["key"]] = self._text
                else:
                    self._one[place] = self._text
        elif name == "item" and path[-2] == "instancesSet":
            one = self._one
            self.found.append((one["id"], one["state"], one["launched"], self._tags))
            self._one, self._tags = {}, {}
        path.pop()


def call(connection: HTTPConnection, pairs: list[tuple[str, str]]) -> HTTPResponse:
    """Make one signed call and return the response.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
    """
    body = "&".join(f"{k}={quote(v, safe='-_.~')}" for k, v in [*pairs, ("Version", "2016-11-15")])
    now = datetime.now(UTC)
    day, instant = f"{now:%Y%m%d}", f"{now:%Y%m%dT%H%M%SZ}"
    region = os.environ["AWS_REGION"]
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": f"{connection.host}:{connection.port}",
        "x-amz-date": instant,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    asked = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body.encode()).hexdigest()}"
    scope = f"{day}/{region}/ec2/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in (day, region, "ec2", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
        f"SignedHeaders={names}, Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"
    )
    connection.request("POST", "/", body, headers)
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(response.read().decode())
    return response


def main() -> None:
    """List the instances, select those that are due, terminate them."""
    url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    connection = HTTPConnection(url.hostname or "", url.port)
    query = [("Action", "DescribeInstances"), ("MaxResults", "1000")]
    if "--filtered" in sys.argv:
        query += [("Filter.1.Name", "instance-state-name"), ("Filter.1.Value.1", "running")]
        query += [("Filter.2.Name", "tag:janitor"), ("Filter.2.Value.1", "ephemeral")]
    cutoff = f"{datetime.now(UTC) - timedelta(days=7):%Y-%m-%dT%H:%M:%S.000Z}"
    doomed: list[str] = []
    token = ""
    while True:
        response = call(connection, query + ([("NextToken", token)] if token else []))
        listing = Handled() if "--expat" in sys.argv else Pulled()
        while data := response.read(65_536):
            listing.feed(data)
        listing.feed(b"", last=True)
        doomed += (
            id_
            for id_, state, launched, tags in listing.found
            if state == "running" and tags.get("janitor") == "ephemeral" and launched < cutoff
        )
        token = listing.token
        if not token:
            break
    for start in range(0, len(doomed), 1000):
        some = enumerate(doomed[start : start + 1000], 1)
        ids = [(f"InstanceId.{number}", id_) for number, id_ in some]
        call(connection, [("Action", "TerminateInstances"), *ids]).read()
    print(len(doomed))


main()
