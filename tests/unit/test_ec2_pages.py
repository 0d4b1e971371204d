"""The fast parser of listings against the SDK's parser: equal results for the same bytes, or the SDK parses them."""

import gc
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.parsers import EC2QueryParser
from hypothesis import given, settings
from hypothesis import strategies as st

from curfew.aws import session as sdk
from curfew.core.instance import Instance, State
from curfew.providers.ec2 import page_parser
from curfew.providers.ec2.instances import instance_of
from curfew_simulator.cloud.protocols import NAMESPACES, ApiError, refused
from tests.answers import Everything, Rng
from tests.builders import HERE
from tests.cloud import reply
from tools.trim import INSTANCE

NAME = "DescribeInstancesResponse"
XMLNS = NAMESPACES["ec2"]
HEAD = f'<?xml version="1.0" encoding="UTF-8"?><{NAME} xmlns="{XMLNS}"><requestId>r-1</requestId>'
TAIL = f"</{NAME}>"


class Wire:
    """A client that receives the same bytes for every call."""

    def __init__(self, session: Any, *, fast: bool) -> None:
        config = Config(retries={"mode": "standard", "total_max_attempts": 1})
        self._client = session.create_client("ec2", HERE.region, config=config)
        self.body, self.status = b"", 200
        if fast:
            page_parser.install_page_parser(self._client)
        self._client.meta.events.register_first("before-send.ec2", self._answer)

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        return reply(request, self.status, self.body)

    @property
    def shape(self) -> Any:
        """Return the shape of a page in this client's model."""
        model = self._client.meta.service_model
        return model.operation_model("DescribeInstances").output_shape

    def read(self, body: bytes, status: int = 200) -> Any:
        """Return the whole response of the client, or the error that it raises."""
        self.body, self.status = body, status
        try:
            answer = self._client.describe_instances()
        except Exception as error:  # noqa: BLE001  any error has to be the same
            said = re.sub(r" at 0x[0-9a-f]+", "", str(error))
            return type(error), said, plain(getattr(error, "response", None))
        return plain(answer)


def plain(thing: Any) -> Any:
    """Return a value with its XML elements as text. The SDK returns elements where a value occurs twice."""
    if isinstance(thing, dict):
        return {key: plain(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [plain(item) for item in thing]
    return ET.tostring(thing) if isinstance(thing, ET.Element) else thing


def clients(make: Callable[[], Any]) -> tuple[Wire, Wire]:
    return Wire(make(), fast=True), Wire(make(), fast=False)


def whole_model() -> Any:
    """Return a session with the SDK's own model and Curfew's parser of times, which other tests cover."""
    session: Any = botocore.session.Session()
    factory = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=sdk.instant)
    return session


with pytest.MonkeyPatch.context() as patch:
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    FAST, SLOW = clients(lambda: sdk.session(HERE.region))
    FAST_WHOLE, SLOW_WHOLE = clients(whole_model)


def same(body: bytes, status: int = 200) -> Any:
    """Return the parsed page. Assert that both parsers give the same, with each model."""
    assert FAST_WHOLE.read(body, status) == SLOW_WHOLE.read(body, status)
    found = FAST.read(body, status)
    assert found == SLOW.read(body, status)
    return found


def is_fast(body: bytes) -> bool:
    """Return whether the fast parser accepts the page, rather than leave it to the SDK."""
    root = page_parser.element(SLOW.shape)
    assert root is not None
    root.members["requestId"] = page_parser.Element(read=str, member="requestId")
    try:
        page_parser.page(body, NAME, root)
    except (ValueError, expat.ExpatError):
        return False
    return True


def paged(inside: str) -> bytes:
    return f"{HEAD}{inside}{TAIL}".encode()


def listed(*instances: str) -> bytes:
    items = "".join(f"<item>{one}</item>" for one in instances)
    return paged(
        "<reservationSet><item><reservationId>r-0</reservationId><groupSet/>"
        f"<instancesSet>{items}</instancesSet></item></reservationSet>"
    )


def instance(body: bytes) -> Instance:
    """Return the only instance of a page. Assert that the fast parser accepts it and the SDK gives the same."""
    assert is_fast(body)
    ((raw,),) = [reservation["Instances"] for reservation in same(body)["Reservations"]]
    return instance_of(raw, HERE)


# Ordinary pages.

BARE = "<instanceId>i-1</instanceId>"
STRANGE = (
    "<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><status>in-use</status>"
    "<state><name>terminated</name></state><instanceState><name>terminated</name></instanceState>"
    "<tagSet><item><key>theirs</key><value>1</value></item></tagSet><groupSet><item><groupId>sg-1"
    "</groupId></item></groupSet><attachment><attachTime>2026-01-01T00:00:00.000Z</attachTime>"
    "<deleteOnTermination>true</deleteOnTermination></attachment></item></networkInterfaceSet>"
)


def test_page_with_every_member_is_parsed_fast_and_identically() -> None:
    body = Everything().say(SLOW_WHOLE.shape, NAME).encode()

    assert is_fast(body)
    assert same(body)["Reservations"]


@pytest.mark.parametrize("path", INSTANCE)
def test_each_member_that_is_read_is_parsed_alone(path: str) -> None:
    first, *rest = path.split(".")

    class Only(Everything):
        def wants(self, shape: Any, member: str) -> bool:
            wanted = {
                "DescribeInstancesResult": {"Reservations"},
                "Reservation": {"Instances"},
                "Instance": {first},
            }
            return member in wanted.get(shape.name, set(rest))

    body = Only().say(SLOW_WHOLE.shape, NAME).encode()

    assert is_fast(body)
    found: Any = same(body)["Reservations"][0]["Instances"][0]
    for member in (first, *rest):
        found = found[member]
        found = found[0] if isinstance(found, list) else found
    assert found in {True, "v1"} or isinstance(found, datetime)


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<nextToken>t</nextToken>",
        "<reservationSet/>",
        "<reservationSet/><nextToken>a&amp;b</nextToken>",
        "<reservationSet></reservationSet><nextToken/>",
        "<reservationSet><item/></reservationSet>",
        "<reservationSet><item><instancesSet/></item></reservationSet>",
        "<reservationSet><item><instancesSet><item/></instancesSet></item></reservationSet>",
        "\n <reservationSet>\n  <item>\n <instancesSet>\n </instancesSet> </item> </reservationSet>\n",
        "<nobodyKnows><it><really/></it></nobodyKnows>",
    ],
)
def test_a_page_with_little_in_it_is_read_fast(inside: str) -> None:
    assert is_fast(paged(inside))
    same(paged(inside))


def test_empty_page_has_its_token_and_request_id() -> None:
    answer = same(paged("<reservationSet/><nextToken>a&amp;b</nextToken>"))

    assert answer["Reservations"] == []
    assert answer["NextToken"] == "a&b"
    assert answer["ResponseMetadata"]["RequestId"] == "r-1"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("number", ["", "<requestId/>", "<requestId>a&amp;b</requestId>"])
def test_request_id_is_parsed_if_present(number: str) -> None:
    body = f"<{NAME}>{number}<reservationSet/></{NAME}>".encode()
    assert is_fast(body)
    same(body)


def test_response_without_a_reservation_set_has_none() -> None:
    assert "Reservations" not in same(paged(""))


def test_member_of_another_element_is_not_the_instances() -> None:
    found = instance(
        listed(f"{BARE}{STRANGE}<tagSet><item><key>env</key><value>dev</value></item></tagSet>")
    )

    assert dict(found.tags) == {"env": "dev"}
    assert found.state is State.UNKNOWN
    assert found.started_at is None


def test_order_of_members_does_not_matter() -> None:
    state = "<instanceState><name>stopped</name><code>80</code></instanceState>"
    tag = "<tagSet><item><value>1</value><key>a</key></item></tagSet>"

    first, second = (
        instance(listed(f"{state}{STRANGE}{tag}{BARE}")),
        instance(listed(f"{BARE}{tag}{state}")),
    )

    assert first == second
    assert (first.state, dict(first.tags)) == (State.STOPPED, {"a": "1"})


def test_no_tags_are_none_whether_or_not_there_is_an_element() -> None:
    assert dict(instance(listed(BARE)).tags) == {}
    assert dict(instance(listed(f"{BARE}<tagSet/>")).tags) == {}
    assert "Tags" not in same(listed(BARE))["Reservations"][0]["Instances"][0]
    assert same(listed(f"{BARE}<tagSet/>"))["Reservations"][0]["Instances"][0]["Tags"] == []


def test_tags_are_as_they_were_written() -> None:
    tags = (
        "<tagSet><item><key>a&amp;&lt;&#x1F319;</key><value>&quot;ü&apos;\n x </value></item>"
        "<item><key>cdata</key><value><![CDATA[</value></item>]]></value></item>"
        "<item><key>empty</key><value/></item><item><key>none</key></item></tagSet>"
    )
    assert dict(instance(listed(f"{BARE}{tags}")).tags) == {
        "a&<🌙": "\"ü'\n x ",
        "cdata": "</value></item>",
        "empty": "",
        "none": "",
    }


def test_repeated_tag_is_kept_twice() -> None:
    tags = "".join(f"<item><key>a</key><value>{n}</value></item>" for n in (1, 2))
    (raw,) = same(listed(f"{BARE}<tagSet>{tags}</tagSet>"))["Reservations"][0]["Instances"]

    assert raw["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]


def test_long_text_is_parsed_whole() -> None:
    text = "x&amp;" * 50_000
    tags = f"<tagSet><item><key>a</key><value>{text}</value></item></tagSet>"
    assert instance(listed(f"{BARE}{tags}")).tags["a"] == "x&" * 50_000


def test_every_protecting_member_is_parsed() -> None:
    found = instance(
        listed(
            f"{BARE}<instanceState><code>99</code><name>hibernating</name></instanceState>"
            "<stateReason><code>Server.SpotInstanceTermination</code><message>why &amp; how</message></stateReason>"
            "<placement><availabilityZone>eu-central-1b</availabilityZone><tenancy>default</tenancy></placement>"
            "<instanceLifecycle>spot</instanceLifecycle><spotInstanceRequestId>sir-1</spotInstanceRequestId>"
            "<operator><managed>true</managed><principal>eks.amazonaws.com</principal></operator>"
            "<launchTime>2026-03-04T05:06:07.000Z</launchTime><rootDeviceType>ebs</rootDeviceType>"
            "<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId>"
            "<deleteOnTermination>true</deleteOnTermination><operator><managed>false</managed></operator></ebs></item>"
            "<item><deviceName>/dev/sdb</deviceName></item></blockDeviceMapping>"
        )
    )

    assert found.state is State.UNKNOWN
    assert found.state_reason == "why & how"
    assert found.zone == "eu-central-1b"
    assert (found.lifecycle, found.spot_request) == ("spot", "sir-1")
    assert found.managed_by == "eks.amazonaws.com"
    assert found.started_at == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert [(v.id, v.device, v.delete_on_termination) for v in found.volumes] == [
        ("vol-1", "/dev/xvda", True),
        ("", "/dev/sdb", False),
    ]


# Unusual pages.

ODD = {
    "a member twice": f"{BARE}{BARE}",
    "tags twice": f"{BARE}<tagSet/><tagSet><item><key>a</key><value>1</value></item></tagSet>",
    "the state twice": f"{BARE}<instanceState><name>running</name></instanceState>" * 2,
    "a prefix": '<instanceId xmlns:e="urn:e">i-1</instanceId><xml:imageId>ami-1</xml:imageId>',
    "another item": f"{BARE}<tagSet><tag><key>a</key><value>1</value></tag></tagSet>",
    "a value with something in it": "<instanceId>i-1<b>2</b></instanceId>",
    "a set in a value": "<instanceId>i-1<tagSet/></instanceId>",
    "a value in a value of its own name": "<instanceId>i-1<instanceId/></instanceId>",
    "a comment": "<instanceId>i-<!-- -->1</instanceId>",
    "a processing instruction": "<instanceId>i-<?php ?>1</instanceId>",
    "a time that is none": f"{BARE}<launchTime>never</launchTime>",
    "its own name inside": f"{BARE}<a><a/></a><tagSet><item><key>a</key></item></tagSet>",
    "its own name deep inside": f"{BARE}<a><b><a/></b><tagSet><item><key>a</key></item></tagSet></a>",
    "an item in an item": f"{BARE}<x><item><x/></item></x><instanceState><name>running</name></instanceState>",
    "as deep as the frames": "<x><item><x/></item><item></item></x>" + BARE,
    "not well-formed": f"{BARE}<tagSet>",
    "an entity that nobody declared": "<instanceId>&nbsp;</instanceId>",
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_unusual_page_is_left_to_the_sdk(case: str) -> None:
    body = listed(ODD[case])
    assert not is_fast(body)
    same(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Service Unavailable</body></html>",
        f"<{NAME}/><{NAME}/>".encode(),
        f"<DescribeRegionsResponse xmlns='{XMLNS}'><reservationSet/></DescribeRegionsResponse>".encode(),
        f"<!DOCTYPE {NAME} [<!ENTITY a 'b'>]><{NAME}><nextToken>&a;</nextToken></{NAME}>".encode(),
        f"<e:{NAME} xmlns:e='{XMLNS}'><e:nextToken>a</e:nextToken></e:{NAME}>".encode(),
        listed("<instanceId>\xff</instanceId>").decode().encode("latin-1"),
        listed(BARE)[:-10],
        # Pages in which the root ends early.
        f"<{NAME}><x><{NAME}><x/></{NAME}></x></{NAME}>".encode(),
        f"<{NAME}><x><{NAME}><x/></{NAME}><nextToken>a</nextToken></x></{NAME}>".encode(),
    ],
)
def test_another_document_is_left_to_the_sdk(body: bytes) -> None:
    assert not is_fast(body)
    same(body)


def test_an_encoding_that_the_parser_knows_is_read_the_same() -> None:
    same(
        f"<?xml version='1.0' encoding='utf-16'?><{NAME}><nextToken>ü</nextToken></{NAME}>".encode(
            "utf-16"
        )
    )
    same(
        f"<?xml version='1.0' encoding='latin-1'?><{NAME}><nextToken>ü</nextToken></{NAME}>".encode(
            "latin-1"
        )
    )


@pytest.mark.parametrize("status", [400, 403, 500, 503])
@pytest.mark.parametrize(
    "body",
    [
        refused("ec2", ApiError("RequestLimitExceeded", "slow down"), "r-1").body,
        listed(BARE),
        b"",
    ],
)
def test_error_response_is_left_to_the_sdk(status: int, body: bytes) -> None:
    same(body, status)


# Random pages.


@given(st.integers(0, 2**64))
@settings(max_examples=150, deadline=None)
def test_generated_pages_are_parsed_fast_and_identically(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    body = Rng(random).say(SLOW_WHOLE.shape, NAME).encode()

    assert is_fast(body)
    same(body)


@given(st.integers(0, 2**64))
@settings(max_examples=300, deadline=None)
def test_damaged_pages_are_parsed_identically(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    text = Rng(random).say(SLOW.shape, NAME)
    for _ in range(random.randint(1, 3)):
        text = mishap(random, text)

    same(text.encode())


ELEMENTS = (
    "item", "tagSet", "key", "value", "instanceState", "name", "instancesSet", "reservationSet", "operator", "managed",
    "nextToken", "requestId", "other", "x:item", "instanceId", NAME,
)  # fmt: skip
PIECES = (
    "<tagSet><item><key>a</key><value>1</value></item></tagSet>", "<other><item><other/></item></other>", "<item/>",
    "<instanceState><name>running</name></instanceState>", "<!-- -->", "<![CDATA[<item>]]>", "&amp;", "text", " ",
    "<other>", "</item>", "<operator><managed>true</managed></operator>", "<nextToken>t</nextToken>", "<?a b?>", "&",
)  # fmt: skip


def mishap(random: Random, text: str) -> str:
    """Return the page with a random change: a part is inserted, removed, repeated, renamed, wrapped or cut off."""
    gaps = [place for place, letter in enumerate(text) if letter == "<"] or [0]
    at, to = sorted(random.choices(gaps, k=2))
    match random.choice(("put in", "take out", "twice", "rename", "wrap", "cut")):
        case "put in":
            return text[:at] + random.choice(PIECES) + text[at:]
        case "take out":
            return text[:at] + text[to:]
        case "twice":
            return text[:to] + text[at:]
        case "rename":
            old, new = random.choice(ELEMENTS), random.choice(ELEMENTS)
            return text.replace(f"<{old}>", f"<{new}>").replace(f"</{old}>", f"</{new}>")
        case "wrap":
            name = random.choice(ELEMENTS)
            return f"{text[:at]}<{name}>{text[at:to]}</{name}>{text[to:]}"
        case _:
            return text[:at]


# Clients.


def test_sdk_still_logs_the_response_body(caplog: pytest.LogCaptureFixture) -> None:
    """The fast parser runs after the SDK logs the page as received."""
    with caplog.at_level(logging.DEBUG, logger="botocore"):
        FAST.read(listed(BARE))
    assert any("Response headers" in record.message for record in caplog.records)


def test_the_sdk_reads_only_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    parse = EC2QueryParser.parse

    def noted(self: EC2QueryParser, answer: Any, shape: Any) -> Any:
        seen.append(answer["body"])
        return parse(self, answer, shape)

    monkeypatch.setattr(EC2QueryParser, "parse", noted)

    answer = FAST.read(listed(BARE))

    assert seen == [f"<{NAME}><requestId>r-1</requestId></{NAME}>".encode()]
    assert answer["Reservations"][0]["Instances"] == [{"InstanceId": "i-1"}]


def test_no_page_is_held_once_it_was_read() -> None:
    """Memory use has to stay constant, and the garbage collector runs late."""
    gc.collect()
    gc.disable()
    try:
        assert is_fast(listed(BARE))
        assert not is_fast(listed(f"{BARE}{BARE}"))
        held = [one for one in gc.get_objects() if isinstance(one, page_parser._Reader)]
    finally:
        gc.enable()
    assert held == []


def test_a_model_with_something_unknown_in_it_is_left_to_the_sdk() -> None:
    shapes: Any = botocore.session.get_session().get_service_model("s3")
    assert page_parser.element(shapes.operation_model("ListObjectsV2").output_shape) is None
