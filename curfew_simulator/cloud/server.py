"""Serve a world over HTTP on the loopback address, for programs outside this process.

    with Server(World(seed=7)) as server:
        boto3.client("ec2", endpoint_url=server.url)

One endpoint serves every service, account and region; the signature of a request names them. A slow response takes
simulated time only. A cut closes the connection.
"""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from . import gateway
from .protocols import CutError, Request
from .world import World


class Server:
    """An HTTP server for a world, to use as a context manager. Port 0 means any free port."""

    def __init__(self, world: World, *, port: int = 0) -> None:
        self.world = world
        self.problems: list[BaseException] = []
        server = self

        class Handler(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self._thread = Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Return the URL for ``endpoint_url`` or ``AWS_ENDPOINT_URL``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection, which stays open for further calls."""

    owner: Server
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; without this, the client would wait for the second.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """Answer one call. Every call of these services is a POST."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        try:
            response = gateway.answer(self.owner.world, Request(headers=headers, body=body))
        except CutError:
            self.close_connection = True
            return
        except BaseException as error:  # noqa: BLE001  an exception of a hook ends this call, not the server
            # A hook interrupted the call, or the simulator failed: the test reads ``problems``.
            self.owner.problems.append(error)
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the base class
        """Log nothing, since the history has every call."""
