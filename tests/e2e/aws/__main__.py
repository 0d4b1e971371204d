"""Deploys two stacks side by side, and watches the first one run by itself; whatever is not as it should be ends it."""

import json
import signal
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.aws.cloud import ACCOUNT, REGION, ROOT, Cloud, running
from tests.e2e.aws.inventory import Inventory, added, inventory, retained
from tests.e2e.aws.stack import Stack
from tools import story
from tools.story import check, say

FOLDER = ROOT / ".cache" / "e2e-aws"
POLICIES = """
timezone: UTC
protect: { tags: [curfew:keep], min_age: 15m }
limits: { per_sweep: 30, percent: 100, per_day: 50 }
targets: { accounts: ["123456789012"], regions: [eu-central-1] }
policies:
  nightly:
    select: { states: [running], tags: { env: sandbox } }
    action: terminate
  leases:
    select: { lease: expired }
    action: terminate
    limits: { per_sweep: 50 }
schedules:
  nightly: { policy: nightly, every: 5m }
  leases: { policy: leases, every: 15m }
fleets:
  pair:
    image: ami-08111162
    instance_types: [t2.micro]
    count: { default: 2, max: 30 }
    tags: { env: lab }
"""
# The emulator launches one instance a call, and the rate lets a call through every two seconds: longer than a request.
CROWD = 21
PATIENCE = 150  # seconds that anything may take
until = partial(story.until, patience=PATIENCE)


def main() -> None:
    """Run every step. Exit with 0 if all checks hold; an interruption stops the servers, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with running(FOLDER) as cloud:
        say(f"an empty cloud: ministack {cloud.url}, moto {cloud.ec2_url}")
        before = inventory(cloud)
        kept = cloud.launch("protected", env="sandbox", **{"Curfew:Keep": ""})
        stranger = cloud.launch("production", env="prod")
        gone = [cloud.launch(f"forgotten-{number}", env="sandbox") for number in (1, 2)]
        first, second = (Stack(cloud, FOLDER / name, f"curfew-{name}") for name in ("one", "two"))
        first.build(POLICIES)
        say("sam build: done")
        first.deploy(
            Mode="act",
            TickSchedule="'rate(1 minute)'",
            EndpointUrl=cloud.url,
            ReservedConcurrency="-1",  # the emulator takes a number that is a parameter for a text
            Administrators=f"arn:aws:iam::{ACCOUNT}:root",
        )
        say("sam deploy: curfew-one is there, in act mode")
        by_itself(cloud, first, gone, {kept, stranger})
        over_http(cloud, first)
        put_off(cloud, first, {kept, stranger})
        by_message(cloud, first, {kept, stranger})
        ledgers = [first.physical(name) for name in retained(ROOT / "template.yaml")]
        ledgers += side_by_side(cloud, first, second)
        leave_nothing(cloud, first, before, set(ledgers))
    say("all as it should be")


def by_itself(cloud: Cloud, stack: Stack, gone: list[str], kept: set[str]) -> None:
    """The schedule fires; nothing else acts."""
    names = [one["Name"] for one in cloud.client("scheduler").list_schedules()["Schedules"]]
    check(f"the schedule is the stack's own: {stack.name}-tick", f"{stack.name}-tick" in names)
    until(
        f"the tick came by itself, and {len(gone)} forgotten instances are gone",
        lambda: all(cloud.states()[id_] == "terminated" for id_ in gone),
    )
    states = cloud.states()
    check(
        "every protected instance, and every instance of other owners, still runs",
        all(states[i] == "running" for i in kept),
    )


def over_http(cloud: Cloud, stack: Stack) -> None:
    """The routes answer: launched once whatever is repeated, listed, ended."""
    api = Api(cloud, stack)
    status, launched = api.ask("POST", "/fleets", {"template": "pair", "name": "lab"}, key="one")
    check(f"POST /fleets: {status}, {len(launched['instances'])} instances", status == 201)
    status, _ = api.ask("POST", "/fleets", {"template": "pair", "name": "lab"}, key="one")
    check(f"the same again: {status}, and nothing more is launched", status == 200)
    running_ = [id_ for id_, state in cloud.states().items() if state in {"running", "pending"}]
    check(f"{len(running_)} instances run", len(running_) == 2 + 2)
    status, listed = api.ask("GET", "/fleets")
    check(f"GET /fleets: {status}, {len(listed['fleets'])} fleet", status == 200)
    status, _ = api.ask("DELETE", "/fleets/lab")
    check(f"DELETE /fleets/lab: {status}", status in {200, 202})
    until(
        "its instances are gone",
        lambda: sum(state == "running" for state in cloud.states().values()) == 2,
    )


def put_off(cloud: Cloud, stack: Stack, kept: set[str]) -> None:
    """What would outlast a request is answered at once, and done from the work queue."""
    api = Api(cloud, stack)
    wanted = {"template": "pair", "name": "crowd", "count": CROWD}
    status, _ = api.ask("POST", "/fleets", wanted, key="two")
    check(f"POST /fleets for {CROWD}: {status}, continued by a job", status == 202)
    members: set[str] = set()

    def launched() -> bool:
        fleet = api.ask("GET", "/fleets/crowd")[1]
        members.update(one["id"] for one in fleet["instances"])
        return bool(fleet["phase"] == "launched")

    until("the job is done: the launch is complete", launched)
    check(f"{len(members)} instances, none twice", len(members) == CROWD)
    status, _ = api.ask("DELETE", "/fleets/crowd")
    check(f"DELETE /fleets/crowd: {status}, left to a job", status == 202)
    until(
        f"the message is worked off: all {len(members)} are gone",
        lambda: all(cloud.states()[id_] == "terminated" for id_ in members),
    )
    until(
        "the work queue is empty",
        lambda: waiting(cloud.client("sqs"), stack.outputs["WorkQueueUrl"]) == 0,
    )
    check(
        "and no other instance was touched", all(cloud.states()[id_] == "running" for id_ in kept)
    )


def by_message(cloud: Cloud, stack: Stack, kept: set[str]) -> None:
    """The queues are worked off, and what cannot be done ends as a dead letter."""
    sqs, outputs = cloud.client("sqs"), stack.outputs
    late = cloud.launch("late", env="sandbox")
    message = {
        "policy": "nightly",
        "account": ACCOUNT,
        "region": REGION,
        "asked_at": datetime.now(UTC).isoformat(),
    }
    sqs.send_message(QueueUrl=outputs["TargetQueueUrl"], MessageBody=json.dumps(message))
    until(
        "a target that was asked for by message is swept",
        lambda: cloud.states()[late] == "terminated",
    )
    stale = message | {"asked_at": (datetime.now(UTC) - timedelta(days=7)).isoformat()}
    other = cloud.launch("kept", env="prod")
    for name, body in (
        ("WorkQueue", '{"work": "no such thing"}'),
        ("TargetQueue", json.dumps(stale)),
    ):
        # The shipped queues hide a message for as long as its function may take, six times over.
        url = outputs[f"{name}Url"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
        sqs.send_message(QueueUrl=url, MessageBody=body)
    for name, what in (("Dead", "a poison message"), ("TargetDead", "a message of last week")):
        url = outputs[f"{name}LetterQueueUrl"]
        until(f"{what} is a dead letter", lambda url=url: waiting(sqs, url) == 1)  # type: ignore[misc]
    states = cloud.states()
    check("and no instance was touched", all(states[id_] == "running" for id_ in {*kept, other}))


def side_by_side(cloud: Cloud, first: Stack, second: Stack) -> list[str]:
    """A second stack in the same account has its own schedule, and leaves the first one's alone: what it leaves."""
    alone = inventory(cloud)
    second.build(POLICIES)
    second.deploy(
        Mode="report", RolePrefix="second", EndpointUrl=cloud.url, ReservedConcurrency="-1"
    )
    scheduler = cloud.client("scheduler")

    def ticks() -> set[str]:
        names = {one["Name"] for one in scheduler.list_schedules()["Schedules"]}
        return {name for name in names if name.endswith("-tick")}

    check(
        "a second stack lives beside the first",
        ticks() == {f"{first.name}-tick", f"{second.name}-tick"},
    )
    ledgers = [second.physical(name) for name in retained(ROOT / "template.yaml")]
    second.delete()
    check("and goes alone", ticks() == {f"{first.name}-tick"})
    gone = added(inventory(cloud), alone)
    check(f"nothing of the first went with it{_listed(gone)}", not gone)
    return ledgers


def leave_nothing(cloud: Cloud, stack: Stack, before: Inventory, ledgers: set[str]) -> None:
    """What stays is what the template says has to stay: the ledgers."""
    stack.delete()
    left = added(before, inventory(cloud))
    check(f"both stacks are deleted, and left are{_listed(left)}", left == {"tables": ledgers})
    check(f"those are the ledgers of both, kept on purpose: {len(ledgers)}", len(ledgers) == 2)


def _listed(found: dict[str, set[str]]) -> str:
    return "".join(f" {kind} {', '.join(sorted(names))};" for kind, names in found.items())[:-1]


def waiting(sqs: Any, url: str) -> int:
    """How many messages are in a queue."""
    name = "ApproximateNumberOfMessages"
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(answer["Attributes"][name])


class Api:
    """The HTTP API of a stack, asked by the administrator with a signature."""

    def __init__(self, cloud: Cloud, stack: Stack) -> None:
        id_ = stack.outputs["ApiUrl"].split("//")[1].split(".")[0]
        self.base = f"{cloud.url}/_aws/execute-api/{id_}/$default"

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> tuple[int, Any]:
        """The status and the body of the answer."""
        data = json.dumps(body).encode() if body is not None else None
        request = AWSRequest(method=method, url=self.base + path, data=data)
        request.headers["content-type"] = "application/json"
        if key:
            request.headers["idempotency-key"] = key
        SigV4Auth(Credentials(ACCOUNT, "test"), "execute-api", REGION).add_auth(request)
        asked = urllib.request.Request(  # noqa: S310
            str(request.url), data=data, headers=dict(request.headers), method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")


if __name__ == "__main__":
    main()
