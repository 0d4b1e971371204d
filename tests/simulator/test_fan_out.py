"""Forty accounts with seventeen regions each: every target is swept once, and what is odd about one stays with it.

Through the real handlers and the real clients, from the schedule's event to the last message.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.session import Session

from curfew import bootstrap
from curfew.app import App
from curfew.config.policy_file import load
from curfew.config.settings import Settings
from curfew.core.errors import ProviderError, RequestError
from curfew.core.target import Mode, Target
from curfew.handlers import sweep, sweep_target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.schemas.messages import SweepRequest, TargetRequest
from curfew_simulator.cloud.ec2.describe import ENABLED as REGIONS
from curfew_simulator.cloud.ec2.region import AT_ONCE
from curfew_simulator.cloud.history import Change
from curfew_simulator.cloud.protocols import ApiError, Message
from curfew_simulator.cloud.throttle import Throttle
from curfew_simulator.cloud.transport import Cloud
from curfew_simulator.cloud.world import World
from curfew_simulator.simulation.process import Context

HOME = "eu-central-1"
ACCOUNTS = tuple(f"{number:012}" for number in range(1, 41))
REFUSING, DISABLED, THROTTLED = ACCOUNTS[3], (ACCOUNTS[7], "sa-east-1"), (ACCOUNTS[11], "us-east-1")
TWICE, LATE = (ACCOUNTS[20], "eu-west-1"), (ACCOUNTS[30], "ap-south-1")
LENT = {
    "read": ["ec2:DescribeInstances", "ec2:DescribeInstanceAttribute", "ec2:DescribeRegions"],
    "act": ["ec2:TerminateInstances"],
}
POLICIES = """
timezone: Europe/Zurich
targets:
  accounts: [{accounts}]
  regions: [{regions}]
limits: {{ percent: 100 }}
policies:
  nightly:
    select: {{ states: [running], tags: {{ env: dev }} }}
    action: terminate
"""


class OneRegion(Throttle):
    """Buckets for one place alone, and small ones: three calls, and then one a second."""

    def __init__(self, place: tuple[str, str]) -> None:
        super().__init__()
        self.place = place
        self.refused = 0
        self.full: datetime | None = None

    def admit(self, message: Message, account: str, now: datetime) -> None:
        if (account, message.region) != self.place:
            return
        self.full = self.full or now - timedelta(seconds=3)
        self.full = max(self.full, now - timedelta(seconds=3))
        if self.full > now - timedelta(seconds=1):
            self.refused += 1
            raise ApiError("RequestLimitExceeded", "Request limit exceeded.", 503)
        self.full += timedelta(seconds=1)


@dataclass(slots=True)
class Company:
    """A world with all these accounts, and the application that looks after them."""

    world: World
    app: App
    sent: list[TargetRequest]
    victims: dict[tuple[str, str], str]
    kept: set[str]
    dead: list[TargetRequest] = field(default_factory=list)

    def context(self, seconds: int = 300) -> Any:
        until = self.world.clock.now() + timedelta(seconds=seconds)
        return Context(aws_request_id=str(uuid4()), left=lambda: until - self.world.clock.now())

    def dispatch(self) -> Mapping[str, Any]:
        """What EventBridge Scheduler starts."""
        event = {
            "policy": "nightly",
            "schedule": "nightly",
            "scheduled_at": self.world.clock.now().isoformat(),
        }
        return sweep.sweep(SweepRequest.parse(event), self.context(900), self.app)

    def deliver(self, message: TargetRequest, *, at_most: int = 3) -> bool:
        """Hand a message over, as often as its queue does; whether it was taken off in the end."""
        record = {
            "messageId": "m", "receiptHandle": "x", "body": message.model_dump_json(exclude_none=True),
            "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": HOME,
            "eventSourceARN": f"arn:aws:sqs:{HOME}:{ACCOUNTS[0]}:targets",
        }  # fmt: skip
        for _ in range(at_most):
            answer = sweep_target.answer({"Records": [record]}, self.context(), self.app)
            if not answer["batchItemFailures"]:
                return True
        self.dead.append(message)
        return False

    def ended(self) -> Counter[str]:
        """How often each instance was terminated."""
        return self.world.history.of(Change.TERMINATED)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    world = World(seed=40, pace=AT_ONCE, start=datetime.now(UTC), account=ACCOUNTS[0])  # noqa: TID251  the SDK reads the real clock
    world.throttle = OneRegion(THROTTLED)
    world.opted_out.add(DISABLED)
    for account in ACCOUNTS:
        for kind, actions in LENT.items():
            allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            trusts = "nobody" if account == REFUSING else "*"
            world.role(
                f"arn:aws:iam::{account}:role/curfew-{kind}",
                {"Version": "2012-10-17", "Statement": [allowed]},
                trusts=trusts,
                external_id="between-two",
            )
    victims: dict[tuple[str, str], str] = {}
    kept: set[str] = set()
    odd = {DISABLED, THROTTLED, TWICE, LATE, (REFUSING, HOME)}
    for number, account in enumerate(ACCOUNTS):
        for region in REGIONS:
            place = (account, region)
            # One in a region of each account, so that every account is acted in, and wherever something is odd.
            if region == REGIONS[number % len(REGIONS)] or place in odd:
                there = world.region(*place)
                victims[place] = there.add(tags={"env": "dev"}).id
                kept.add(there.add(tags={"env": "dev", "curfew:keep": ""}).id)
    path = tmp_path_factory.mktemp("company") / "curfew.yaml"
    quoted = ", ".join(f'"{account}"' for account in ACCOUNTS)
    path.write_text(POLICIES.format(accounts=quoted, regions=", ".join(REGIONS)))
    cloud = Cloud(world)
    make = Session.create_client
    with pytest.MonkeyPatch.context() as patch:

        def adopted(self: Any, *given: Any, **more: Any) -> Any:
            client = make(self, *given, **more)
            cloud.adopt(client)
            return client

        patch.setattr(Session, "create_client", adopted)
        patch.setenv("AWS_ACCESS_KEY_ID", ACCOUNTS[0])
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        app = bootstrap.build(
            Settings(
                region=HOME,
                mode=Mode.ACT,
                table="curfew-ledger",
                policies=Path(path),
                roles="curfew",
                external_id="between-two",
            )
        )
        sent: list[TargetRequest] = []

        def fan_out(messages: Any) -> list[TargetRequest]:
            sent.extend(messages)
            return []

        app = replace(
            app,
            ledger=MemoryLedger(),
            fan_out=fan_out,
            now=world.clock.now,
            sleep=world.clock.sleep,
        )
        yield Company(world, app, sent, victims, kept)


def metrics(printed: str) -> Counter[str]:
    """What was counted, by name and policy."""
    found: Counter[str] = Counter()
    for line in printed.splitlines():
        if not line.startswith("{") or "_aws" not in line:
            continue
        blob = json.loads(line)
        for metric in blob["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
            value = blob[metric["Name"]]
            found[metric["Name"]] += int(sum(value) if isinstance(value, list) else value)
    return found


def test_each_target_is_swept_once_and_each_problem_is_logged(
    company: Company, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    answer = company.dispatch()
    assert answer == {"dispatched": len(ACCOUNTS) * len(REGIONS)}
    assert len({(one.account, one.region) for one in company.sent}) == 680
    assert company.ended() == Counter()
    late = next(one for one in company.sent if (one.account, one.region) == LATE)
    capsys.readouterr()

    with caplog.at_level(logging.INFO, logger="curfew"):
        for message in company.sent:
            place = (message.account, message.region)
            if message is late:
                continue
            done = company.deliver(message)
            assert done == (message.account != REFUSING), place
            if place == TWICE:
                assert company.deliver(message)
        company.world.clock.sleep(timedelta(hours=7).total_seconds())
        assert not company.deliver(late)

    # Each instance that should be gone is gone, once, and no other.
    unreached = {(REFUSING, HOME), DISABLED, LATE, (REFUSING, REGIONS[3])}
    expected = Counter(id_ for place, id_ in company.victims.items() if place not in unreached)
    assert company.ended() == expected
    assert not company.kept & set(company.ended())
    throttle = company.world.throttle
    assert isinstance(throttle, OneRegion)
    assert throttle.refused > 0
    assert company.victims[THROTTLED] in company.ended()

    # Each odd one is said, and counted for an alarm.
    said = " ".join(record.getMessage() for record in caplog.records)
    assert f"ec2:{DISABLED[0]}:{DISABLED[1]} is not enabled in this account" in said
    assert "is not authorized to perform: sts:AssumeRole" in said
    assert f"the sweep of {LATE[0]} {LATE[1]} was asked for" in said
    assert "a stale message is not obeyed" in said
    assert "this scheduled time has been swept already" in said
    counted = metrics(capsys.readouterr().out)
    assert counted["Stale"] == 3  # each time that it was delivered
    targets = len(ACCOUNTS) * len(REGIONS)
    tries = 3
    assert counted["Troubled"] == 1 + tries * len(
        REGIONS
    )  # the disabled one, and the account that refuses
    assert (
        counted["Completed"] == targets - len(REGIONS) - 1 - 1 + 1
    )  # with the one that came twice
    assert {one.account for one in company.dead} == {REFUSING, LATE[0]}
    assert len(company.dead) == len(REGIONS) + 1


def test_redelivered_messages_sweep_nothing_twice(company: Company) -> None:
    """Every message once more, an hour later: a completed target is not even listed."""
    before = company.ended()
    listed = len(company.world.history.made("DescribeInstances"))
    redelivered = [
        one
        for one in company.sent
        if one.account != REFUSING and (one.account, one.region) not in {DISABLED, LATE}
    ][:60]

    for message in redelivered:
        fresh = message.model_copy(update={"asked_at": company.world.clock.now()})
        assert company.deliver(fresh)

    assert company.ended() == before
    assert len(company.world.history.made("DescribeInstances")) == listed


def test_an_unconfigured_target_is_not_swept(company: Company) -> None:
    stranger = company.sent[0].model_copy(
        update={"account": "999999999999", "asked_at": company.world.clock.now()}
    )
    calls = len(company.world.history.calls)

    assert not company.deliver(stranger, at_most=1)
    assert len(company.world.history.calls) == calls


def test_an_unreachable_target_has_a_report_of_its_own(company: Company) -> None:
    target = Target(provider="ec2", account=REFUSING, region=HOME)
    one = company.app.sweep(company.app.policies.policy("nightly"), target)
    assert one.provider.target == target
    with pytest.raises(ProviderError):
        one.provider.describe([])


def test_units_without_accounts_mean_no_listing(company: Company, tmp_path: Path) -> None:
    """Not the hub in their stead: not by its schedule, and not by a message that names it."""
    path = tmp_path / "curfew.yaml"
    path.write_text(
        POLICIES.format(accounts="", regions=HOME).replace(
            "accounts: []",
            f'organization: {{ units: [ou-abcd-12345678], without: ["{ACCOUNTS[0]}"] }}',
        )
    )
    app = replace(company.app, policies=load(path), members=lambda _units: [ACCOUNTS[0]])
    listed = len(company.world.history.made("DescribeInstances"))
    emptied = replace(company, app=app, sent=[], dead=[])

    with pytest.raises(RequestError, match=r"curfew\.yaml:3: targets: no account is left to sweep"):
        emptied.dispatch()
    message = TargetRequest(
        policy="nightly", region=HOME, account=ACCOUNTS[0], asked_at=company.world.clock.now()
    )
    assert not emptied.deliver(message)
    assert len(company.world.history.made("DescribeInstances")) == listed
