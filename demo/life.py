"""The life of a fleet: launched over HTTP with a lease, renewed, and terminated by a sweep after the lease expires.

Requests and events go through the real handlers; the demo sets the clock forward instead of waiting for hours.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from aws_lambda_powertools.utilities.typing import LambdaContext

OWNER = "arn:aws:sts::123456789012:assumed-role/Lecturer/kim"
LAB = {"template": "t2-pair", "name": "lab", "ttl": "2h"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One step of the demo: its time, the request, and the result."""

    at: datetime
    asked: str
    answer: str


def life(context: LambdaContext) -> Iterator[Moment]:
    """Yield the steps of a fleet's life. Requires active moto and the ledger's table."""
    began = datetime.now(UTC).replace(microsecond=0)
    key = {"idempotency-key": "lecture-7"}

    def after(hours: float) -> datetime:
        return began + timedelta(hours=hours)

    for said in ("", ", again with the same key"):
        status, fleet = request(context, "POST", "/fleets", LAB, **key)
        launched = f"{status}, {fleet['phase']}: {_instances(fleet)}, until {_clock(fleet)}"
        yield Moment(at=began, asked=f"POST /fleets{said}", answer=launched)
    with time_machine.travel(at := after(1.5)):
        status, fleet = request(context, "PATCH", "/fleets/lab", {"ttl": "4h"})
        answer = f"{status}, until {_clock(fleet)}"
        yield Moment(at=at, asked='PATCH /fleets/lab {"ttl": "4h"}', answer=answer)
    for hours in (2.25, 5.75):
        with time_machine.travel(at := after(hours)):
            yield Moment(at=at, asked='sweep "leases"', answer=_swept(context))
    with time_machine.travel(at := after(6)):
        status, fleet = request(context, "GET", "/fleets/lab")
        ended = f"{status}, ended at {_clock(fleet, 'ended_at')}"
        yield Moment(at=at, asked="GET /fleets/lab", answer=ended)


def request(
    context: LambdaContext, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Invoke the FleetsFunction with a request as API Gateway sends it. Return the status and the body."""
    from curfew.handlers.http_api import handler  # noqa: PLC0415  the logger keeps the stdout that it finds

    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", **headers},
        "requestContext": {
            "authorizer": {"iam": {"userArn": OWNER}},
            "http": {"method": method, "path": path},
            "requestId": "demo",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = json.dumps(body)
    answer = handler(event, context)
    return answer["statusCode"], json.loads(answer["body"])


def _swept(context: LambdaContext) -> str:
    from curfew.handlers.sweep import handler  # noqa: PLC0415  as above

    (sweep,) = handler({"policy": "leases"}, context)["sweeps"]
    rows = [row for row in sweep["rows"] if row["name"] == "t2-pair"]
    if not rows:
        return "nothing has run out"
    return "; ".join(
        f"{row['verdict']} {row['id']}: {row['reason']}: {row['outcome']}" for row in rows
    )


def _instances(fleet: dict[str, Any]) -> str:
    return " and ".join(instance["id"] for instance in fleet["instances"])


def _clock(fleet: dict[str, Any], field: str = "expires_at") -> str:
    return f"{datetime.fromisoformat(fleet[field]):%H:%M}"
