"""``python -m curfew_simulator``: a populated world on the loopback, for every client that takes an endpoint."""

import argparse
import time
from datetime import timedelta

from .cloud.faults import PROFILES
from .cloud.population import populate
from .cloud.server import Server
from .cloud.world import ACCOUNT, World


def main() -> None:
    """Serve until Ctrl-C. The world's clock follows the real one."""
    parser = argparse.ArgumentParser(prog="python -m curfew_simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="any free one if not given")
    parser.add_argument("--seed", type=int, default=0, help="one seed is one world")
    parser.add_argument("--faults", choices=sorted(PROFILES), default="calm")
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--instances", type=int, default=50)
    parser.add_argument("--table", default="curfew-ledger", help="a table with the keys pk and sk")
    asked = parser.parse_args()
    world = World(seed=asked.seed, faults=asked.faults, throttled=True)
    populate(world.region(ACCOUNT, asked.region), asked.instances)
    world.tables(ACCOUNT, asked.region).make(asked.table)
    with Server(world, port=asked.port) as server:
        print(f"export AWS_ENDPOINT_URL={server.url} AWS_REGION={asked.region}")  # noqa: T201
        print(f"export AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=any", flush=True)  # noqa: T201
        _run(world)


def _run(world: World) -> None:
    before = time.monotonic()
    try:
        while True:
            time.sleep(0.5)
            now = time.monotonic()
            with world.lock:
                world.clock.advance(timedelta(seconds=now - before))
            before = now
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
