"""Scoped credentials permit exactly the resources that the call names, from the right role and account."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curfew.aws.roles import session_name
from curfew.core.errors import ProviderError, RefusedError, ThrottledError
from curfew.core.report import Result
from curfew.core.target import Target
from curfew.providers.base import LaunchCall
from curfew.providers.ec2.provider import LABELLED
from curfew.providers.ec2.scoped_credentials import (
    LONGEST_POLICY,
    Arns,
    for_instances,
    for_launch,
    for_spot_requests,
    scoped_session,
)
from curfew.sweep.execution import BATCH
from curfew_simulator.cloud.faults import Fault
from tests.builders import HERE, an_id
from tests.cloud import BROKEN, EXTERNAL_ID, NOTHING, SimulatedEc2, a_machine, refusal
from tests.night import Night, results

ONE, TWO = an_id(1), an_id(2)
ARNS = Arns(partition="aws", target=HERE)
INSTANCE = f"arn:aws:ec2:{HERE.region}:{HERE.account}:instance/"


def a_launch(**more: Any) -> LaunchCall:
    ordinary: dict[str, Any] = {
        "image": "ami-08111162", "instance_type": "t2.micro", "count": 2, "tags": {}, "token": "t",
    }  # fmt: skip
    return LaunchCall(**(ordinary | more))


def statements(policy: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found


def test_scoped_call_is_one_action_on_its_named_instances() -> None:
    call = for_instances(ARNS, "ec2:TerminateInstances", [TWO, ONE], by="s")
    assert call.role == "act"
    assert statements(call.policy) == [
        {
            "Effect": "Allow",
            "Action": "ec2:TerminateInstances",
            "Resource": [INSTANCE + ONE, INSTANCE + TWO],
        }
    ]


def test_scoped_call_names_a_spot_request_as_such() -> None:
    (one,) = statements(for_spot_requests(ARNS, ["sir-00000001"], by="s").policy)
    arn = f"arn:aws:ec2:{HERE.region}:{HERE.account}:spot-instances-request/sir-00000001"
    assert (one["Action"], one["Resource"]) == ("ec2:CancelSpotInstanceRequests", [arn])


def test_launch_policy_names_what_it_uses_and_what_it_creates() -> None:
    launch = a_launch(subnet="subnet-1", security_groups=("sg-2", "sg-1"), key="kim")
    call = for_launch(ARNS, launch, by="o")
    run, tag = statements(call.policy)
    place = f"arn:aws:ec2:{HERE.region}:{HERE.account}:"
    made = [place + kind + "/*" for kind in ("instance", "volume", "network-interface")]
    used = ["subnet/subnet-1", "security-group/sg-1", "security-group/sg-2", "key-pair/kim"]

    assert call.role == "launch"
    assert run["Action"] == "ec2:RunInstances"
    assert run["Resource"] == [
        *made,
        f"arn:aws:ec2:{HERE.region}::image/ami-08111162",
        f"arn:aws:ec2:{HERE.region}::snapshot/*",
        *(place + one for one in used),
    ]
    assert tag["Resource"] == made
    assert tag["Condition"] == {"StringEquals": {"ec2:CreateAction": "RunInstances"}}


def test_profile_is_passed_only_to_ec2_and_only_if_the_launch_has_one() -> None:
    *_, passing = statements(for_launch(ARNS, a_launch(profile="worker"), by="o").policy)
    assert passing["Action"] == "iam:PassRole"
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert "iam:PassRole" not in for_launch(ARNS, a_launch(), by="o").policy
    spot = for_launch(ARNS, a_launch(spot=True), by="o").policy
    assert "spot-instances-request/*" in spot
    assert "spot-instances-request" not in for_launch(ARNS, a_launch(), by="o").policy


@pytest.mark.parametrize("count", [BATCH, LABELLED], ids=["order", "label"])
def test_policy_of_a_full_batch_fits_in_every_region(count: int) -> None:
    """The test uses the longest partition with the longest region."""
    target = Target(provider="ec2", account=HERE.account, region="us-isob-northcentral-12")
    arns = Arns(partition="aws-us-gov-b", target=target)
    ids = [an_id(number) for number in range(count)]
    for action in ("ec2:TerminateInstances", "ec2:CreateTags"):
        assert len(for_instances(arns, action, ids, by="s").policy) <= LONGEST_POLICY
    assert (
        len(for_spot_requests(arns, [f"sir-{n:08}" for n in range(count)], by="s").policy) <= 2_048
    )


def test_policy_of_a_launch_with_the_most_security_groups_fits() -> None:
    groups = tuple(f"sg-{number:017x}" for number in range(16))
    launch = a_launch(
        subnet="subnet-0123456789abcdef0",
        security_groups=groups,
        key="k" * 60,
        profile="p",
        spot=True,
    )
    call = for_launch(ARNS, launch, by="o")
    assert len(call.policy) <= LONGEST_POLICY
    assert all(f"security-group/{group}" in call.policy for group in groups)


def test_oversized_policy_is_refused_before_any_call() -> None:
    with pytest.raises(RefusedError, match="more than 2048"):
        _ = for_instances(ARNS, "ec2:CreateTags", [an_id(n) for n in range(40)], by="s").policy


@given(st.text(max_size=100))
def test_session_name_is_valid_for_sts(by: str) -> None:
    name = session_name(by)
    assert 2 <= len(name) <= 64
    assert name.isascii()
    assert not set(name) - set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-"
    )


def test_session_name_identifies_the_sweep() -> None:
    assert session_name("20260304T020000Z-1a2b3c4d") == "curfew-20260304T020000Z-1a2b3c4d"


# The effect on sweeps.


def two_zones() -> SimulatedEc2:
    return SimulatedEc2(*(a_machine(id=an_id(n), zone="ab"[n % 2]) for n in range(4)))


def test_each_batch_has_scoped_credentials_that_name_its_instances() -> None:
    night = Night(cloud=two_zones())

    night.sweep()

    named = [sorted(p["Statement"][0]["Resource"]) for p in night.cloud.policies]
    assert named == [sorted(INSTANCE + id_ for id_ in ids) for _, ids in night.cloud.orders]
    assert len(named) == 2
    for request in night.cloud.credential_requests:
        assert request["RoleArn"] == f"arn:aws:iam::{HERE.account}:role/curfew-act"
        assert request["ExternalId"] == EXTERNAL_ID
        assert request["RoleSessionName"] == request["SourceIdentity"] == "curfew-sweep-1"
        assert request["DurationSeconds"] == "900"


def test_credentials_of_another_account_are_refused() -> None:
    night = Night(cloud=two_zones())
    sessions = night.cloud.world.identities.sessions

    def move() -> None:
        sessions.update({k: replace(s, account="999999999999") for k, s in sessions.items()})

    for on in range(1, 10):
        night.cloud.before("GetCallerIdentity", move, on=on)

    report = night.sweep()

    assert night.cloud.orders == []
    assert "has credentials of the account 999999999999, not of" in report.problem
    assert report.failed
    assert set(results(report).values()) == {Result.FAILED, Result.NOT_ATTEMPTED}


def test_role_that_refuses_stops_the_sweep_before_any_call() -> None:
    night = Night(cloud=two_zones())
    night.cloud.fail("AssumeRole", refusal("AccessDenied", 403), times=9)

    report = night.sweep()

    assert night.cloud.orders == []
    assert report.problem.startswith("no scoped credentials: AccessDenied")
    assert len(night.cloud.made("AssumeRole")) == 1


@pytest.mark.parametrize("fault", [NOTHING, refusal("InternalFailure", 500), refusal("Throttling")])
def test_unanswered_assume_role_means_the_call_was_not_made(
    fault: Fault,
) -> None:
    """Curfew sent no order, so the result is not unknown, and Curfew retries."""
    night = Night(cloud=two_zones())
    night.cloud.fail("AssumeRole", fault)

    assert set(results(night.sweep()).values()) == {Result.VERIFIED}

    night = Night(cloud=two_zones())
    night.cloud.fail("AssumeRole", fault, times=99)
    assert set(results(night.sweep()).values()) == {Result.FAILED}
    assert night.cloud.orders == []


@pytest.mark.parametrize(("seconds", "ordered"), [(10, 1), (10.1, 0)])
def test_scoped_credentials_that_arrive_late_are_not_used(seconds: float, ordered: int) -> None:
    """The order relies on an earlier read, so the two responses may take at most 20 seconds."""
    cloud = SimulatedEc2(a_machine(id=ONE))
    for action in ("AssumeRole", "GetCallerIdentity"):
        cloud.before(action, lambda: cloud.world.clock.sleep(seconds))
    with suppress(ThrottledError):
        cloud.provider().terminate([ONE], by="s")
    assert len(cloud.orders) == ordered


def test_acting_client_signs_nothing_without_scoped_credentials() -> None:
    client: Any = scoped_session(HERE.region).create_client("ec2")
    sent: list[str] = []
    client.meta.events.register("before-send", lambda **_: sent.append("sent"))

    with pytest.raises(
        RefusedError, match="call not signed: no scoped credentials are active in this thread"
    ):
        client.terminate_instances(InstanceIds=[ONE])

    assert sent == []


def test_scoped_credentials_end_with_their_call() -> None:
    cloud = two_zones()
    provider = cloud.provider()
    cloud.fail("TerminateInstances", BROKEN)
    with pytest.raises(ProviderError):
        provider.terminate([ONE], by="s")

    with pytest.raises(
        RefusedError, match="call not signed: no scoped credentials are active in this thread"
    ):
        provider._act.terminate_instances(InstanceIds=[ONE])


def test_launch_without_credentials_launches_nothing() -> None:
    cloud = SimulatedEc2()
    cloud.fail("AssumeRole", NOTHING)
    with pytest.raises(ThrottledError, match="no scoped credentials"):
        cloud.provider().launch(a_launch(), by="op")
    assert cloud.machines == {}
    with suppress(ProviderError):
        cloud.provider().launch(a_launch(), by="op")
    assert cloud.credential_requests[0]["RoleArn"].endswith(":role/curfew-launch")
    assert cloud.credential_requests[0]["RoleSessionName"] == "curfew-op"


def test_tags_are_written_with_credentials_for_twenty_at_a_time() -> None:
    ids = [an_id(n) for n in range(45)]
    cloud = SimulatedEc2(*(a_machine(id=id_) for id_ in ids))

    cloud.provider().label(ids, {"curfew:lease": "x"}, by="op")

    assert [len(p["Statement"][0]["Resource"]) for p in cloud.policies] == [20, 20, 5]
