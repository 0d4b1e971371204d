"""Launches a fleet, keeps who is locked, ends the others, lets the lease run out; what is not so ends the program."""

import signal
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from tests.e2e.openstack.cloud import ROOT, Lab, lab
from tests.e2e.openstack.curfew import Curfew, deployed
from tests.e2e.openstack.trouble import HUGE, prepare, trouble
from tools import story
from tools.story import check, say

PATIENCE = 180  # seconds that anything may take
until = partial(story.until, patience=PATIENCE)


def main() -> None:
    """Run every step. Exit with 0 if all checks hold; the control plane that it started is removed in any case."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with lab() as cloud:
        run = f"run-{uuid4().hex[:8]}"
        say(
            f"the cloud {cloud.name}, region {cloud.region}, image {cloud.image}, flavour {cloud.flavour}"
        )
        if cloud.administrator:
            prepare(cloud)
        with deployed(cloud, run, huge=HUGE if cloud.administrator else "") as curfew:
            stranger = _stranger(cloud, run)
            try:
                life(cloud, curfew, run)
                if cloud.administrator:
                    trouble(cloud, curfew, run, active=_active)
                left = [s.status for s in _servers(cloud, run) if s.id == stranger]
                check(
                    "a stranger of the same name, without the tag, still runs",
                    left == ["ACTIVE"],
                    left,
                )
            finally:
                for name in filter(None, (cloud.name, cloud.administrator)):
                    _clear(cloud, run, name)
        if cloud.fresh:  # it empties the project for each test
            _contract()
    say("all as it should be")


def life(cloud: Lab, curfew: Curfew, run: str) -> None:
    """Launched over HTTP, looked for and ended from the terminal."""
    asked = {"template": "lab", "name": run, "ttl": "1h"}
    status, fleet = curfew.ask("POST", "/fleets", asked, **{"idempotency-key": run})
    ids = sorted(one["id"] for one in fleet.get("instances", ()))
    check(
        f"POST /fleets: {status}, {fleet.get('phase')}, 3 servers with a lease",
        (status, len(ids)) == (201, 3),
        fleet,
    )
    status, again = curfew.ask("POST", "/fleets", asked, **{"idempotency-key": run})
    same = sorted(one["id"] for one in again["instances"]) == ids
    check(
        f"the same again: {status}, and nothing more is launched",
        (status, same) == (200, True),
        again,
    )

    active = _active(cloud, run)
    until("all 3 are ACTIVE", lambda: sorted(s.id for s in _active(cloud, run)) == ids)
    check("and nothing else has their tag", len(active := _active(cloud, run)) == 3, active)
    rows = _rows(curfew.run("sweep", "--policy", "nightly", "--json"))
    kept = {row["id"]: row["rule"] for row in rows}
    check(
        "a sweep finds the 3 by state and tag, and keeps them: leased",
        kept == dict.fromkeys(ids, "leased"),
        rows,
    )

    by_hand: Any = cloud.connect()
    locked = ids[0]
    by_hand.compute.lock_server(locked)
    status, ended = curfew.ask("DELETE", f"/fleets/{run}")
    rows = ended.get("rows", ())
    outcomes = {row["id"]: (row["rule"], row["outcome"]) for row in rows}
    gone = [outcomes.get(id_, ("", ""))[1] for id_ in ids[1:]]
    check(f"one is locked; DELETE /fleets: {status}, 2 verified", gone == ["verified"] * 2, ended)
    check(
        "1 kept: " + next(r["reason"] for r in rows if r["id"] == locked),
        outcomes[locked][0] == "locked",
        ended,
    )
    until("Nova has 1 of the 3 left", lambda: [s.id for s in _active(cloud, run)] == [locked])

    by_hand.compute.unlock_server(locked)
    status, lease = curfew.ask("PATCH", f"/fleets/{run}", {"ttl": "1m"})
    check(
        f"unlocked, and its lease is set: {status}, until {lease.get('expires_at')}",
        status == 200,
        lease,
    )
    check("without a warning: its tag says so too", not lease.get("warning"), lease)
    rows = _rows(curfew.run("sweep", "--policy", "leases", "--json", "--act", "--yes"))
    check("a sweep before that keeps it", all(r["verdict"] == "keep" for r in rows), rows)
    ends = datetime.fromisoformat(lease["expires_at"])
    until("the lease has run out", lambda: datetime.now(UTC) > ends)
    rows = _rows(curfew.run("sweep", "--policy", "leases", "--json", "--act", "--yes"))
    outcome = [(r["id"], r["rule"], r["outcome"]) for r in rows if r["verdict"] != "keep"]
    check(
        "a sweep ends it: lease-expired, verified",
        outcome == [(locked, "lease-expired", "verified")],
        rows,
    )
    until("gone: Nova has none of the 3", lambda: _active(cloud, run) == [])
    status, fleet = curfew.ask("GET", f"/fleets/{run}")
    check(
        f"GET /fleets: {status}, ended at {fleet.get('ended_at')}",
        bool(fleet.get("ended_at")),
        fleet,
    )
    audit = curfew.run("audit", "--account", cloud.name, "--region", cloud.region)
    check(f"the audit: {audit.splitlines()[-1]}", "an unbroken chain" in audit, audit)


def _contract() -> None:
    """What every provider keeps, tried on this control plane in place of its recordings."""
    tests = ["tests/contract/test_providers.py", "-k", "openstack", "--openstack", "live", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().rpartition("\n")[2]
    check(f"the contract of all providers, live: {last}", done.returncode == 0, done.stdout)


def _rows(answer: Any) -> list[Any]:
    (sweep,) = answer["sweeps"]
    return list(sweep["rows"])


def _servers(cloud: Lab, run: str, name: str = "") -> list[Any]:
    connection: Any = cloud.connect(name)
    return [
        s
        for s in connection.compute.servers(details=True)
        if run in s.name or f"lab={run}" in (s.tags or ())
    ]


def _active(cloud: Lab, run: str) -> list[Any]:
    return [
        s
        for s in _servers(cloud, run)
        if s.status == "ACTIVE" and not s.task_state and f"lab={run}" in (s.tags or ())
    ]


def _stranger(cloud: Lab, run: str) -> str:
    """Launch a server of another user in the same project."""
    connection: Any = cloud.connect()
    server = connection.compute.create_server(
        name=f"{run}-stranger",
        image_id=connection.image.find_image(cloud.image).id,
        flavor_id=connection.compute.find_flavor(cloud.flavour).id,
        networks="none",
    )
    connection.compute.wait_for_server(server, wait=PATIENCE)
    return str(server.id)


def _clear(cloud: Lab, run: str, name: str) -> None:
    connection: Any = cloud.connect(name)
    for server in _servers(cloud, run, name):
        connection.compute.unlock_server(server)
        connection.compute.delete_server(server)


if __name__ == "__main__":
    main()
