"""`make local`: the demo's fleets behind a real port, for `sam local invoke` in another terminal.

It listens on loopback and, where Docker has its bridge here, on the bridge's address as well: that is what a
container reaches as host.docker.internal. Nothing else can reach it.
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
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    port = parser.parse_args().port
    cloud = mock_aws()
    cloud.start()
    world.build()
    cloud.stop(remove_data=False)  # what it holds is what the servers serve
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
    """The first address of the bridge's network, which Docker gives to this machine."""
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
