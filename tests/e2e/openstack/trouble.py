"""What goes wrong on a cloud, provoked on one of our own: each has its right outcome, and touches nothing else."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.e2e.openstack.cloud import Lab
from tests.e2e.openstack.curfew import Curfew, written
from tools.story import check

HUGE = "t1.huge"  # more disk than any host of the control plane has, of which there is no quota
type Check = Callable[..., None]
type Active = Callable[[Lab, str], list[Any]]


def prepare(lab: Lab) -> None:
    """Make a flavour that no host has room for, and a quota as Nova gives it."""
    cloud: Any = lab.connect(lab.administrator)
    if cloud.compute.find_flavor(HUGE) is None:
        cloud.compute.create_flavor(name=HUGE, vcpus=1, ram=64, disk=9_000_000)


def trouble(lab: Lab, curfew: Curfew, run: str, *, active: Active) -> None:
    """A quota that runs out, servers that find no host, a reader's credentials, an administrator's."""
    _own(lab.connect(lab.administrator), lab, run)
    _quota(curfew, run)
    _no_host(curfew, run)
    time.sleep(60)  # until each server that is left is old enough
    there = sorted(server.id for server in active(lab, run))
    for name, why in ((lab.reader, "403"), (lab.administrator, "role admin")):
        other = replace(curfew, policies=written(replace(lab, name=name), run))
        answer = other.run("sweep", "--policy", "nightly", "--json", "--act", "--yes", ends=1)
        (swept,) = answer["sweeps"]
        rows = [row for row in swept["rows"] if row["verdict"] != "keep"]
        right = bool(rows) and all(why in f"{row['detail']} {swept['problem']}" for row in rows)
        right &= {row["outcome"] for row in rows} <= {"failed", "not-attempted"}
        check(f"as {name}: {swept['status']}: {swept['problem']}", right, swept)
    check("and nothing is gone", sorted(s.id for s in active(lab, run)) == there, there)
    _end(curfew, f"{run}-two")


def _quota(curfew: Curfew, run: str) -> None:
    """Launch ten servers where the quota has room for fewer: the second fleet is partial and says why."""
    steps = []
    for name in ("one", "two"):
        body = {"template": "lab", "name": f"{run}-{name}", "count": 5}
        status, fleet = curfew.ask("POST", "/fleets", body, **{"idempotency-key": f"{run}-{name}"})
        steps.append(
            (status, fleet.get("phase"), len(fleet.get("instances", ())), fleet.get("problem", ""))
        )
    (_, first, had, _), (_, second, rest, problem) = steps
    # Nova counts again after it has accepted a server: the one too many is refused, or ends in error and never ran.
    fewer = 0 < rest < 5 or (rest == 5 and "never ran" in problem)
    right = (first, had, second) == ("launched", 5, "partial") and fewer
    right &= "quota" in problem.lower()
    check(f"5 and 5 of a quota of 10 with others: {had}, and {rest}: {problem}", right, steps)


def _no_host(curfew: Curfew, run: str) -> None:
    _end(curfew, f"{run}-one")
    body = {"template": "huge", "name": f"{run}-huge"}
    status, fleet = curfew.ask("POST", "/fleets", body, **{"idempotency-key": f"{run}-huge"})
    right = (status, fleet.get("phase")) == (201, "failed") and "No valid host" in fleet.get(
        "problem", ""
    )
    check(f"no host has room: {status}, {fleet.get('phase')}: {fleet.get('problem')}", right, fleet)
    _end(curfew, f"{run}-huge")


def _end(curfew: Curfew, fleet: str) -> None:
    status, ended = curfew.ask("DELETE", f"/fleets/{fleet}")
    outcomes = {row["outcome"] for row in ended.get("rows", ()) if row["verdict"] != "keep"}
    check(
        f"DELETE /fleets/{fleet.rpartition('-')[2]}: {status}, {outcomes}",
        outcomes == {"verified"},
        ended,
    )


def _own(connection: Any, lab: Lab, run: str) -> None:
    """Something that the policy means, in the administrator's own project."""
    server = connection.compute.create_server(
        name=f"{run}-own",
        image_id=connection.image.find_image(lab.image).id,
        flavor_id=connection.compute.find_flavor(lab.flavour).id,
        networks="none",
        tags=[f"lab={run}"],
    )
    connection.compute.wait_for_server(server, wait=180)
