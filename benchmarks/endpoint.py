"""``python -m benchmarks.endpoint``: serve the benchmark's endpoint on the loopback, in a separate process.

One port serves EC2 and STS (``ec2``), and, for the ledger, DynamoDB from the simulated cloud without faults. Each
response waits for ``--latency-ms`` first, and delays no other. The signature of a request names its account, region
and service; the endpoint does not verify signatures. The benchmark itself uses these paths:

    GET /_reset          restore all instances, empty the ledger, set the counters to zero
    GET /_zero           set only the counters to zero
    GET /_stats          return calls by kind, the most at once, and the terminated instances
    GET /_due            return the instances to terminate, which independent code determines
    GET /_latency?ms=80  set the latency from now on
    GET /_quit           stop
"""

import argparse
import asyncio
import gc
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from curfew_simulator.cloud import gateway
from curfew_simulator.cloud.ec2.machine import State
from curfew_simulator.cloud.protocols import Request
from curfew_simulator.cloud.world import World

from . import rendering
from .ec2 import Ec2, RefusedError, digest
from .fleet import ACCOUNT

TABLE = "curfew-ledger"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Endpoint:
    """The state of the endpoint: EC2, the ledger's DynamoDB, and the counters."""

    def __init__(self, ec2: Ec2, *, latency: float) -> None:
        self.ec2 = ec2
        self.latency = latency
        self.stopped = asyncio.Event()
        self.world = World()
        self.calls: Counter[str] = Counter()
        self.calls_by_region: dict[str, Counter[str]] = {}
        self.units: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self.reset()

    def reset(self) -> None:
        """Restore all instances, empty the ledger, and set the counters to zero."""
        self.ec2.reset()
        self.world = World()
        for region in self.ec2.names:
            self.world.tables(ACCOUNT, region).make(TABLE)
        self.zero()

    def zero(self) -> None:
        """Set the counters to zero."""
        self.calls, self.calls_by_region, self.units = Counter(), {}, Counter()
        self.most_at_once = 0

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Return the status, content type and body of the response to an API call."""
        signed = _CREDENTIAL.search(headers.get("authorization", ""))
        key, region = (signed[1], signed[2]) if signed else (ACCOUNT, "us-east-1")
        if "x-amz-target" in headers:
            self._count(headers["x-amz-target"].replace("_20120810.", " "), region)
            response = gateway.answer(self.world, Request(headers=headers, body=body))
            self.units.update(units(headers["x-amz-target"], body, response.body))
            return response.status, "application/x-amz-json-1.0", response.body
        params = dict(parse_qsl(body.decode(), keep_blank_values=True))
        self._count(params.get("Action", "?"), region)
        try:
            return 200, "text/xml;charset=UTF-8", self.ec2.answer(params, key, region)
        except RefusedError as refused:
            return 400, "text/xml;charset=UTF-8", rendering.error(refused.code, str(refused))

    def control(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Answer a control request of the benchmark."""
        match path:
            case "/_reset":
                self.reset()
            case "/_zero":
                self.zero()
            case "/_latency":
                before, self.latency = self.latency, float(query["ms"]) / 1_000
                return {"before": before * 1_000}
            case "/_due":
                due = self.ec2.due()
                return {
                    "count": len(due),
                    "digest": digest(due),
                    "ids": sorted(due),
                    "candidates": self.ec2.tagged(["running"]),
                    "tagged": self.ec2.tagged([*State]),
                }
            case "/_stats":
                ended = self.ec2.ended()
                return {
                    "calls": self.calls,
                    "calls_by_region": self.calls_by_region,
                    "units": self.units,
                    "most_at_once": self.most_at_once,
                    "ended": len(ended),
                    "digest": digest(ended),
                }
            case "/_quit":
                self.stopped.set()
            case _:
                return {"error": f"{path} is not known"}
        return {}

    def _count(self, name: str, region: str) -> None:
        self.calls[name] += 1
        self.calls_by_region.setdefault(region, Counter())[name] += 1


def units(target: str, body: bytes, answer: bytes) -> dict[str, int]:
    """Return the units that DynamoDB charges: one per KB written, two in a transaction; one per 4 KB read consistently.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    match target.partition(".")[2]:
        case "GetItem":
            return {"read": 1}
        case "Query":
            return {"read": max(1, -(-len(answer) // 4_096))}
        case "BatchGetItem":
            asked = json.loads(body)["RequestItems"].values()
            return {"read": sum(len(one["Keys"]) for one in asked)}
        case "TransactWriteItems":
            items = json.loads(body)["TransactItems"]
            return {"write": sum(2 * -(-len(json.dumps(one)) // 1_024) for one in items)}
    return {"write": max(1, len(body) // 1_024)}


class Connection(asyncio.Protocol):
    """One connection that stays open. It answers complete requests, one after the other."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for the responses."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for the types: TCP has no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Buffer the data, and answer each request as soon as it is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body = bytes(self._buffer[end + 4 : whole])
            del self._buffer[:whole]
            self._serve(head.decode("latin-1"), body)

    def _serve(self, head: str, body: bytes) -> None:
        first, *lines = head.split("\r\n")
        target = urlsplit(first.split(" ")[1])
        endpoint = self._endpoint
        if target.path.startswith("/_"):
            answer = endpoint.control(target.path, dict(parse_qsl(target.query)))
            self._send(200, "application/json", json.dumps(answer).encode())
            return
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        endpoint.at_once += 1
        endpoint.most_at_once = max(endpoint.most_at_once, endpoint.at_once)
        asyncio.get_running_loop().call_later(
            endpoint.latency, self._reply, *endpoint.answer(headers, body)
        )

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self._endpoint.at_once -= 1
        self._send(status, kind, body)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\nx-amzn-RequestId: {rendering.REQUEST}\r\n\r\n"
        )
        self._transport.writelines([head.encode(), body])


async def serve(options: argparse.Namespace) -> None:
    """Serve until a request or a signal stops it."""
    ec2 = Ec2(options.size, regions=options.regions, now=datetime.now(UTC).replace(microsecond=0))
    due = ec2.due()
    gc.freeze()  # the fleet stays in memory; the garbage collector can skip it
    endpoint = Endpoint(ec2, latency=options.latency_ms / 1_000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(endpoint), options.host, options.port, backlog=512
    )
    port = server.sockets[0].getsockname()[1]
    first = ec2.region(ACCOUNT, ec2.names[0])
    weight = len(first.page((), 0, 1_000)) / min(1_000, max(1, options.size))
    print(json.dumps({"port": port, "due": len(due), "bytes": round(weight)}), flush=True)
    await endpoint.stopped.wait()
    server.close()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoint", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="any free one if not given")
    parser.add_argument("--size", type=int, default=1_000, help="instances in each region")
    parser.add_argument("--regions", type=int, default=1, help="how many regions are enabled")
    parser.add_argument("--latency-ms", type=float, default=0, help="before every answer")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
