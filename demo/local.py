"""`make local`: serve the demo's fleets on a real port, for `sam local invoke` in another terminal.

The server listens on loopback and, if Docker has its bridge on this machine, on the bridge's address as well: a
container reaches that address as host.docker.internal. Nothing else can reach the server.
"""

import argparse
import shutil
import signal
import socket
import subprocess
from ipaddress import ip_network

from moto import mock_aws
from moto.server import ThreadedMotoServer

from . import world

PORT = 4577
IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    port = parser.parse_args().port
    cloud = mock_aws()
    cloud.start()
    world.build()
    cloud.stop(remove_data=False)  # the servers serve this data
    addresses = _addresses()
    servers = [
        ThreadedMotoServer(ip_address=address, port=port, verbose=False) for address in addresses
    ]
    for server in servers:
        server.start()
    _provide_image()
    print(f"ready: {' and '.join(addresses)} port {port}; Ctrl-C ends it")
    print("in another terminal: sam local invoke SweepFunction --event events/nightly.json")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    for server in servers:
        server.stop()


def _addresses() -> list[str]:
    return ["127.0.0.1", *filter(_is_ours, _bridge())]


def _bridge() -> list[str]:
    """Return the first address of each network of the bridge, which Docker assigns to this machine."""
    asked = _docker(
        "network", "inspect", "bridge", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}"
    )
    return [str(ip_network(subnet)[1]) for subnet in asked.split()]


def _is_ours(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _provide_image() -> None:
    if not _docker("image", "inspect", IMAGE):
        _docker("pull", "--quiet", IMAGE)


def _docker(*words: str) -> str:
    if not shutil.which("docker"):
        return ""
    ran = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return ran.stdout if ran.returncode == 0 else ""


if __name__ == "__main__":
    main()
