"""The benchmark's endpoint, asked as its peers ask it, and the judge of what they chose."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from benchmarks.cases import BY_NAME, Case, peer
from benchmarks.measure import Endpoint, endpoint, one, series

SIZE = 2_500


@pytest.fixture(scope="module")
def at() -> Iterator[Endpoint]:
    with endpoint(size=SIZE, regions=2) as served:
        yield served


@pytest.fixture
def whole(at: Endpoint) -> Endpoint:
    at.ask("reset")
    return at


def client(at: Endpoint, service: str, region: str = "us-east-1") -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=at.url,
        region_name=region,
        aws_access_key_id="123456789012",
        aws_secret_access_key="any",
    )


def listed(ec2: Any, **asked: Any) -> list[dict[str, Any]]:
    pages = ec2.get_paginator("describe_instances").paginate(**asked)
    return [i for page in pages for one in page["Reservations"] for i in one["Instances"]]


def test_pages_together_are_the_fleet(whole: Endpoint) -> None:
    found = listed(client(whole, "ec2"), PaginationConfig={"PageSize": 1_000})

    assert len({instance["InstanceId"] for instance in found}) == len(found) == SIZE
    assert whole.ask("stats")["calls"] == {"DescribeInstances": 3}


def test_filters_return_exactly_the_matching_instances(whole: Endpoint) -> None:
    ec2 = client(whole, "ec2")
    wanted = [
        {"Name": "tag:janitor", "Values": ["ephemeral"]},
        {"Name": "instance-state-name", "Values": ["running", "pending"]},
    ]

    found = {instance["InstanceId"] for instance in listed(ec2, Filters=wanted)}

    assert found == {
        instance["InstanceId"]
        for instance in listed(ec2)
        if instance["State"]["Name"] in {"running", "pending"}
        and {"Key": "janitor", "Value": "ephemeral"} in instance["Tags"]
    }
    assert found


def test_terminated_instance_stays_terminated_until_the_next_reset(whole: Endpoint) -> None:
    ec2 = client(whole, "ec2")
    doomed = listed(ec2)[7]["InstanceId"]

    ec2.terminate_instances(InstanceIds=[doomed])

    by_id = {"Filters": [{"Name": "instance-id", "Values": [doomed]}]}
    assert [i["State"]["Name"] for i in listed(ec2, **by_id)] == ["terminated"]
    everywhere = {i["InstanceId"]: i["State"]["Name"] for i in listed(ec2)}
    assert everywhere[doomed] == "terminated"
    assert whole.ask("stats")["ended"] == 1
    whole.ask("reset")
    assert [i["State"]["Name"] for i in listed(ec2, **by_id)] != ["terminated"]


@pytest.mark.parametrize(
    ("call", "asked", "code"),
    [
        ("terminate_instances", {"InstanceIds": ["i-none"]}, "InvalidInstanceID.NotFound"),
        ("describe_instances", {"Filters": [{"Name": "moon", "Values": ["full"]}]}, "InvalidParameterValue"),
        ("describe_instances", {"NextToken": "none"}, "InvalidNextToken"),
        ("describe_volumes", {}, "InvalidAction"),
    ],
)  # fmt: skip
def test_unknown_call_is_refused(
    whole: Endpoint, call: str, asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client(whole, "ec2"), call)(**asked)

    assert refused.value.response["Error"]["Code"] == code


def test_the_ledger_s_units_are_counted_as_they_are_charged(whole: Endpoint) -> None:
    dynamodb = client(whole, "dynamodb")
    items = [{"pk": {"S": "a"}, "sk": {"S": str(n)}} for n in range(3)]
    dynamodb.put_item(TableName="curfew-ledger", Item=items[0])
    dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": "curfew-ledger", "Item": i}} for i in items[1:]]
    )
    dynamodb.batch_get_item(RequestItems={"curfew-ledger": {"Keys": items}})

    assert whole.ask("stats")["units"] == {"write": 1 + 2 * 2, "read": 3}


def run(at: Endpoint, case: Case) -> str:
    due = at.ask("due")
    due["ids"] = set(due["ids"])
    return one(case, at, due=due).wrong


def naive(region: str) -> str:
    """A program that sweeps one region by the tutorial."""
    return f"import sys; sys.argv[1:] = ['{region}']; exec(open({peer('naive.py')[1]!r}).read())"


def test_run_that_terminates_all_due_instances_is_right(whole: Endpoint) -> None:
    regions = ("us-east-1", "us-east-2")

    assert run(whole, Case(name="naive", label="", command=peer("naive.py", *regions))) == ""


def test_run_that_skips_a_region_is_wrong(whole: Endpoint) -> None:
    said = run(whole, Case(name="naive", label="", command=peer("naive.py", "us-east-1")))

    assert said.startswith("ended ")


def test_interrupted_run_is_wrong(whole: Endpoint) -> None:
    broken = Case(name="broken", label="", command=(sys.executable, "-c", "raise SystemExit(7)"))

    assert run(whole, broken) == "exit code 7"


def test_report_that_terminates_an_instance_is_wrong(whole: Endpoint) -> None:
    report = Case(name="r", label="", kind="report", command=peer("naive.py", "us-east-1"))

    assert run(whole, report).startswith("a report ended ")


def test_curfew_chooses_as_its_peers_do() -> None:
    names = ("naive", "floor", "floor-expat", "floor-filtered", "report", "report-all")
    cases = [BY_NAME[name] for name in (*names, "report-limited", "report-all-limited", "act")]
    with endpoint(size=300) as at:
        ran = series(cases, at, rounds=1, slow_rounds=1, log=lambda _: None)

    assert ran.wrong() == []
    assert {name for name, runs in ran.runs.items() if len(runs) == 1} == {c.name for c in cases}
    assert ran.runs["act"][0].writes > 0


def test_latency_is_waited_for_side_by_side() -> None:
    with endpoint(size=20, latency_ms=300) as at:
        program = (
            "import boto3, threading, time; c = boto3.client('ec2'); t = time.monotonic();"
            "ts = [threading.Thread(target=c.describe_regions) for _ in range(5)];"
            "[x.start() for x in ts]; [x.join() for x in ts]; print(time.monotonic() - t)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env=at.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert 0.3 <= float(ran.stdout) < 1.2
        assert at.ask("stats")["most_at_once"] == 5
