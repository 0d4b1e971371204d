"""Send requests in API Gateway's format to the real handler, with an application in memory."""

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from curfew.app import App
from curfew.config.policy_file import PolicyFile
from curfew.config.settings import Settings
from curfew.core.instance import Instance
from curfew.core.target import Mode, Target
from curfew.handlers import http_api
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.protocols import Ledger
from curfew.providers.memory import MemoryProvider
from curfew.schemas.messages import Job
from curfew.schemas.policy_file import File
from tests.builders import HERE
from tests.night import Time

OWNER = "arn:aws:sts::123456789012:assumed-role/Developer/kim"
STRANGER = "arn:aws:sts::123456789012:assumed-role/Developer/lee"
ADMINISTRATOR = "arn:aws:sts::123456789012:assumed-role/Operations/ada"
POLICIES: dict[str, Any] = {
    "protect": {"tags": ["curfew:keep", "precious"], "min_age": "15m"},
    "limits": {"per_sweep": 20, "percent": 100, "per_day": 200},
    "policies": {
        "nightly": {
            "select": {"states": ["running"], "tags": {"env": "dev"}},
            "action": "terminate",
        },
        "leases": {
            "select": {"lease": "expired"},
            "action": "terminate",
            "limits": {"per_sweep": 40},
        },
        "abroad": {
            "select": {
                "states": ["running"],
                "tags": {"env": "dev"},
                "regions": ["eu-central-1", "eu-west-1"],
            },
            "action": "stop",
        },
    },
    "fleets": {
        "pair": {
            "image": "ami-08111162",
            "instance_types": ["t2.micro"],
            "count": {"default": 2, "max": 40},
            "ttl": {"default": "8h", "max": "2d"},
            "tags": {"env": "sandbox"},
        }
    },
}


def policies(version: str = "v1", **more: Any) -> PolicyFile:
    """Return a policy file that exists only in memory."""
    return PolicyFile(
        path=Path("curfew.yaml"), version=version, content=File.model_validate(POLICIES | more)
    )


class Context:
    """The context that Lambda passes with an event."""

    function_name = "fleets"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:fleets"
    aws_request_id = "one"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 90_000


def event(
    method: str,
    path: str,
    *,
    query: str | Mapping[str, str] | Iterable[tuple[str, str]] = "",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    caller: str = OWNER,
    encoded: bool = False,
) -> dict[str, Any]:
    """Return a request in the payload format 2.0 of an HTTP API. Without a caller, the request is unauthenticated.

    A text is sent as the body unchanged, any other value as JSON.
    """
    raw_query = query if isinstance(query, str) else urlencode(list(_pairs(query)))
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    sent = {"host": "api.example.com"}
    if text is not None:
        sent["content-type"] = "application/json"
    sent |= {name.lower(): value for name, value in (headers or {}).items()}
    joined: dict[str, str] = {}
    for name, value in parse_qsl(raw_query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    context: dict[str, Any] = {
        "accountId": "123456789012",
        "apiId": "api",
        "http": {
            "method": method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": "test",
        },
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": "$default",
        "stage": "$default",
        "time": "04/Mar/2026:02:00:00 +0000",
        "timeEpoch": 1772589600000,
    }
    if caller:
        context["authorizer"] = {"iam": {"userArn": caller, "accountId": "123456789012"}}
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": raw_query,
        "headers": sent,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if joined:
        made["queryStringParameters"] = joined
    if text is not None:
        made["body"] = base64.b64encode(text.encode()).decode() if encoded else text
        made["isBase64Encoded"] = encoded
    return made


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the API."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def kind(self) -> str:
        """Return the kind of problem."""
        assert self.headers["Content-Type"] == "application/problem+json"
        return str(self.json["type"]).removeprefix("urn:curfew:problem:")


def reply(answer: Mapping[str, Any]) -> Reply:
    """Return a response to API Gateway as a client receives it, decoded and decompressed."""
    body = answer["body"]
    if answer["isBase64Encoded"]:
        sent = base64.b64decode(body)
        body = gzip.decompress(sent).decode() if sent[:2] == b"\x1f\x8b" else sent.decode()
    return Reply(answer["statusCode"], answer["headers"], body)


@dataclass(slots=True, kw_only=True)
class Service:
    """The API with a cloud, a ledger and a manual clock in memory. ``enqueued`` has the jobs sent to the queue."""

    time: Time = field(default_factory=Time)
    ledger: Ledger = field(default_factory=MemoryLedger)
    mode: Mode = Mode.ACT
    file: PolicyFile = field(default_factory=policies)
    queue: bool = False
    local: bool = False
    enqueued: list[Job] = field(default_factory=list)
    clouds: dict[str, MemoryProvider] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for region in (HERE.region, "eu-west-1"):
            target = Target(provider="ec2", account=HERE.account, region=region)
            self.clouds.setdefault(region, MemoryProvider(target=target, clock=self.time.now))

    @property
    def cloud(self) -> MemoryProvider:
        """Return the cloud of the deployment's own region."""
        return self.clouds[HERE.region]

    def add(self, *instances: Instance) -> None:
        """Add instances to the cloud."""
        self.cloud.instances |= {instance.id: instance for instance in instances}

    @property
    def app(self) -> App:
        return App(
            settings=Settings(
                region=HERE.region,
                mode=self.mode,
                administrators=frozenset({ADMINISTRATOR}),
                local=self.local,
            ),
            policies=self.file,
            ledger=self.ledger,
            provider=lambda region, _account="": self.clouds[region],
            regions=lambda _account="": frozenset(self.clouds),
            enqueue=self.enqueued.append if self.queue else None,
            now=self.time.now,
            sleep=self.time.sleep,
        )

    def ask(self, method: str, path: str, **more: Any) -> Reply:
        """Send one request to the handler, and return the response."""
        return self.put(event(method, path, **more))

    def put(self, asked: dict[str, Any]) -> Reply:
        """Send an event to the handler, and return the response."""
        return reply(http_api.answer(asked, Context(), self.app))  # type: ignore[arg-type]

    def launch(self, key: str = "one", *, caller: str = OWNER, **body: Any) -> Reply:
        """Request the launch of a pair, or of the fleet in the body."""
        return self.ask(
            "POST",
            "/fleets",
            body={"template": "pair"} | body,
            headers={"Idempotency-Key": key},
            caller=caller,
        )

    def orders(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return every call that changed something in a cloud."""
        return [call for cloud in self.clouds.values() for call in cloud.calls]


type StartResponse = Callable[[str, list[tuple[str, str]]], object]


AUTHORIZATION = "AWS4-HMAC-SHA256 as API Gateway likes it"


def wsgi(
    service: Callable[[], Service], caller: str
) -> Callable[[dict[str, Any], StartResponse], list[bytes]]:
    """Return the handler as a WSGI application for HTTP clients; ``caller`` is the caller that API Gateway reports.

    A request without the right Authorization has no caller, as if API Gateway had admitted it by mistake.
    """

    def application(environ: dict[str, Any], start: StartResponse) -> list[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body: BytesIO = environ["wsgi.input"]
        sent = body.read(length)
        headers = dict(_headers(environ))
        headers.pop("accept-encoding", None)  # a WSGI client may not decompress what it accepts
        made = event(
            environ["REQUEST_METHOD"],
            # WSGI decodes the path as latin-1, API Gateway as UTF-8.
            environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
            query=environ.get("QUERY_STRING", ""),
            headers=headers,
            caller=caller if headers.get("authorization") == AUTHORIZATION else "",
        )
        if sent:
            made |= {"body": base64.b64encode(sent).decode(), "isBase64Encoded": True}
        answer = http_api.answer(made, Context(), service().app)  # type: ignore[arg-type]
        start(f"{answer['statusCode']} x", list(answer["headers"].items()))
        encoded, text = answer["isBase64Encoded"], answer["body"]
        return [base64.b64decode(text) if encoded else text.encode()]

    return application


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name.removeprefix("HTTP_").replace("_", "-").lower(), str(value)
    if environ.get("CONTENT_TYPE"):
        yield "content-type", str(environ["CONTENT_TYPE"])


def _pairs(query: Mapping[str, str] | Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield from query.items() if isinstance(query, Mapping) else query


def utc_text(at: datetime) -> str:
    """Return a time in the API's format."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
