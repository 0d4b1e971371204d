"""The world behind a real HTTP server on the loopback: for whatever does not run in this process.

    with Server(World(seed=7)) as server:
        boto3.client("ec2", endpoint_url=server.url)

One endpoint serves every service, account and region: a request says in its signature which it is for. A slow answer
takes time on the world's clock alone; one that is cut closes the connection.
"""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from .protocols import CutError, Request
from .world import World


class Server:
    """Serves a world until it is closed. Port 0 is any that is free."""

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
        """What to give as ``endpoint_url``, or as ``AWS_ENDPOINT_URL``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection, which is kept for the next call."""

    owner: Server
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes; the client must not wait for the second.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """Every call of these services is a POST."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        try:
            response = self.owner.world.answer(Request(headers=headers, body=body))
        except CutError:
            self.close_connection = True
            return
        except BaseException as error:  # noqa: BLE001  whatever a hook raises ends this call, not the server
            # A hook broke off the call, or the world is wrong: the test looks at the problems, the client sees a cut.
            self.owner.problems.append(error)
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its base calls it so
        """The journal has it."""
