"""The emulated AWS: ministack in a process of its own, and moto's EC2 and STS behind it, in this one."""

import logging
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[3]
ACCOUNT = "123456789012"
REGION = "eu-central-1"
START = 60  # seconds, at most


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where the emulator listens, and the clients that look into it."""

    url: str
    ec2_url: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """What SAM and the SDK take for the cloud. Nothing of this machine's own AWS configuration is left in it."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return own | {
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_EC2": self.ec2_url,
            "AWS_ENDPOINT_URL_STS": self.ec2_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SAM_CLI_TELEMETRY": "0",
        }

    def client(self, service: Any) -> Any:
        """A client for looking, and for what a person would do by hand."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.ec2_url if service == "ec2" else self.url,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="test",
        )

    def launch(self, name: str, **tags: str) -> str:
        """Launch an instance outside of Curfew, which has run since yesterday."""
        wanted = [{"Key": key, "Value": value} for key, value in {"Name": name, **tags}.items()]
        answer = self.client("ec2").run_instances(
            ImageId="ami-08111162",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": wanted}],
        )
        id_: str = answer["Instances"][0]["InstanceId"]
        since = datetime.now(UTC) - timedelta(days=1)
        machine: Any = get_backend("ec2")[ACCOUNT][REGION].get_instance(id_)
        machine.launch_time = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        return id_

    def states(self) -> dict[str, str]:
        """The state of every instance."""
        answer = self.client("ec2").describe_instances()
        return {
            one["InstanceId"]: one["State"]["Name"]
            for reservation in answer["Reservations"]
            for one in reservation["Instances"]
        }


@contextmanager
def running(folder: Path) -> Iterator[Cloud]:
    """Both servers, for as long as this lasts."""
    os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each call
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    ec2_url, gateway = f"http://{host}:{port}", _free_port()
    temporary = folder / "tmp"  # each function's code is unpacked there, and only we clear it away
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    cloud = Cloud(f"http://127.0.0.1:{gateway}", ec2_url, folder / "ministack.log")
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(gateway),
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "LAMBDA_EXECUTOR": "local",
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(temporary),
        "DOCKER_HOST": f"unix://{folder}/no-docker",  # else it looks for containers of its own
    }
    with cloud.log.open("w") as log:
        server = subprocess.Popen(
            [ROOT / ".ministack" / "bin" / "ministack"],
            env=cloud.environment | settings,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(cloud, server)
            yield cloud
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
            moto.stop()
            shutil.rmtree(temporary, ignore_errors=True)


def _wait(cloud: Cloud, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START
    while time.monotonic() < until:
        if server.poll() is not None:
            raise SystemExit(f"ministack ended: see {cloud.log}")
        try:
            with urllib.request.urlopen(f"{cloud.url}/_ministack/health", timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"ministack does not answer: see {cloud.log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
