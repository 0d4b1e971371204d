"""Curfew as it is used: the HTTP API's own handler, and the terminal in a process of its own."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer

from demo import world
from demo.life import request
from tests.e2e.openstack.cloud import ROOT, Lab

FOLDER = ROOT / ".cache" / "e2e-openstack"
POLICIES = """
timezone: UTC
protect: {{ tags: [curfew:keep], min_age: 1m }}
limits: {{ per_sweep: 20, percent: 100, per_day: 50 }}
targets:
  clouds:
    {name}: {{ regions: [{region}] }}
policies:
  nightly:
    select: {{ states: [running], tags: {{ lab: "{run}" }} }}
    action: terminate
  leases:
    select: {{ lease: expired }}
    action: terminate
    limits: {{ per_sweep: 50 }}
fleets:
  lab:
    cloud: {name}
    image: {image}
    instance_types: [{flavour}]
    count: {{ default: 3, max: 5 }}
    ttl: {{ default: 1h, max: 1d }}
    tags: {{ lab: "{run}" }}
  huge:
    cloud: {name}
    image: {image}
    instance_types: [{huge}]
    count: {{ default: 2, max: 5 }}
    tags: {{ lab: "{run}" }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curfew:
    """One deployment: its policy file, and a ledger in the process that began it."""

    policies: Path
    context: Any

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """What API Gateway would hand over, put to the handler; its log is not for the terminal."""
        log = io.StringIO()
        with redirect_stdout(log):
            return request(self.context, method, path, body, **headers)

    def run(self, *words: str, ends: int = 0) -> Any:
        """A command of the terminal; its JSON, if it is asked for."""
        done = subprocess.run(
            [Path(sys.executable).parent / "curfew", *words, "--file", self.policies],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != ends:
            said = done.stderr or done.stdout
            raise SystemExit(f"curfew {' '.join(words)} ended with {done.returncode}: {said}")
        return json.loads(done.stdout) if "--json" in words else done.stdout


def written(lab: Lab, run: str, *, huge: str = "") -> Path:
    """The policy file for a cloud."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    policies = FOLDER / f"{lab.name}.yaml"
    policies.write_text(
        POLICIES.format(
            name=lab.name,
            region=lab.region,
            image=lab.image,
            flavour=lab.flavour,
            run=run,
            huge=huge or lab.flavour,
        )
    )
    return policies


@contextmanager
def deployed(lab: Lab, run: str, *, huge: str = "") -> Iterator[Curfew]:
    """Curfew on that cloud, in act mode. The ledger is DynamoDB's API on loopback; EC2 is nowhere in it."""
    policies = written(lab, run, huge=huge)
    for name in [one for one in os.environ if one.startswith(("AWS_", "CURFEW_"))]:
        del os.environ[name]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        os.environ.update(
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_REGION=world.REGION,
            AWS_DEFAULT_REGION=world.REGION,
            AWS_ENDPOINT_URL=f"http://{host}:{port}",
            AWS_EC2_METADATA_DISABLED="true",
            CURFEW_MODE="act",
            CURFEW_TABLE=world.TABLE,
            CURFEW_POLICIES=str(policies),
        )
        world.make_table()
        from curfew import bootstrap  # noqa: PLC0415  reads the environment
        from demo.__main__ import Context  # noqa: PLC0415

        bootstrap.app.cache_clear()
        yield Curfew(policies=policies, context=Context())
    finally:
        server.stop()
