"""Roles, sessions and policies: the credentials that act can do no more than they were given for.

Sources: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from curfew_simulator.cloud import iam
from curfew_simulator.cloud.world import ACCOUNT, World
from tests.simulator.asking import code, launch, refusal
from tests.simulator.conftest import Reach

SPOKE = "210987654321"
ROLE = f"arn:aws:iam::{SPOKE}:role/curfew/act"
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def arn(id_: str) -> str:
    """An instance's ARN in the other account."""
    return f"arn:aws:ec2:eu-central-1:{SPOKE}:instance/{id_}"


def assumed(reach: Reach, *statements: Mapping[str, Any], session: Any = None, **more: Any) -> Any:
    """A client of EC2 in the other account, by a role with these statements and a session policy."""
    reach.world.role(ROLE, {"Version": "2012-10-17", "Statement": list(statements)})
    asked = {"RoleArn": ROLE, "RoleSessionName": "curfew-sweep"} | more
    if session is not None:
        asked["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": session})
    given = reach.client("sts").assume_role(**asked)["Credentials"]
    keys = {"access_key": given["AccessKeyId"], "token": given["SessionToken"]}
    return reach.client("ec2", **keys)


class TestIdentity:
    def test_a_key_that_is_an_account_is_its_administrator(self, both: Reach) -> None:
        me = both.client("sts").get_caller_identity()
        assert (me["Account"], me["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
        other = both.client("sts", access_key=SPOKE).get_caller_identity()
        assert other["Account"] == SPOKE

    def test_a_session_is_in_the_account_of_its_role_and_has_its_name(self, both: Reach) -> None:
        assumed(both, ALL)
        (session,) = both.world.identities.sessions.values()
        client = both.client("sts", access_key=session.access_key, token=session.token)
        me = client.get_caller_identity()
        assert me["Account"] == SPOKE
        assert me["Arn"] == f"arn:aws:sts::{SPOKE}:assumed-role/act/curfew-sweep"

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"RoleSessionName": "x" * 65}, "ValidationError"),
            ({"RoleSessionName": "with space"}, "ValidationError"),
            ({"SourceIdentity": "with space"}, "ValidationError"),
            ({"DurationSeconds": 3601}, "ValidationError"),
            ({"Policy": " " * 2_049}, "ValidationError"),
            ({"Policy": "{"}, "MalformedPolicyDocument"),
            ({"ExternalId": "other"}, "AccessDenied"),
            ({"RoleArn": f"arn:aws:iam::{SPOKE}:role/missing"}, "AccessDenied"),
        ],
        ids=str,
    )
    def test_an_invalid_request_gives_no_session(
        self, cloud: Reach, wrong: dict[str, Any], error: str
    ) -> None:
        cloud.world.role(ROLE, {"Statement": ALL}, external_id="ours")
        asked = {"RoleArn": ROLE, "RoleSessionName": "me", "ExternalId": "ours"} | wrong
        assert code(lambda: cloud.client("sts").assume_role(**asked)) == error
        assert cloud.world.identities.sessions == {}

    def test_a_role_trusts_only_the_principals_that_it_names(self, cloud: Reach) -> None:
        cloud.world.role(ROLE, {"Statement": ALL}, trusts=f"arn:aws:iam::{ACCOUNT}:*")
        asked = {"RoleArn": ROLE, "RoleSessionName": "me"}
        cloud.client("sts").assume_role(**asked)
        stranger = cloud.client("sts", access_key="333333333333")
        assert code(lambda: stranger.assume_role(**asked)) == "AccessDenied"

    def test_a_policy_of_2048_characters_fits(self, cloud: Reach) -> None:
        policy = json.dumps({"Statement": ALL})
        assumed(cloud, ALL, Policy=policy + " " * (2_048 - len(policy)))

    def test_an_expired_session_is_refused(self, cloud: Reach) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html, RequestExpired."""
        ec2 = assumed(cloud, ALL, DurationSeconds=900)
        ec2.describe_instances()
        cloud.world.clock.advance(timedelta(minutes=15))
        assert code(ec2.describe_instances) == "RequestExpired"

    def test_a_session_without_its_token_is_refused(self, cloud: Reach) -> None:
        assumed(cloud, ALL)
        (session,) = cloud.world.identities.sessions.values()
        naked = cloud.client("ec2", access_key=session.access_key)
        assert refusal(naked.describe_instances)[0::2] == ("AuthFailure", 401)


class TestPolicies:
    def test_a_denial_has_an_encoded_message(self, both: Reach) -> None:
        """Recorded in public: "is not authorized to perform: ... because no identity-based policy allows"."""
        region = both.world.region(SPOKE)
        id_ = region.add().id
        ec2 = assumed(both, {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"})
        ec2.describe_instances()
        said, message, status = refusal(lambda: ec2.terminate_instances(InstanceIds=[id_]))
        assert (said, status) == ("UnauthorizedOperation", 403)
        assert f"to perform: ec2:TerminateInstances on resource: {arn(id_)}" in message
        assert (
            "because no identity-based policy allows the ec2:TerminateInstances action" in message
        )
        assert "Encoded authorization failure message: " in message

    def test_a_session_policy_names_the_instances_that_may_end(self, both: Reach) -> None:
        region = both.world.region(SPOKE)
        named, other = region.add().id, region.add(zone="eu-central-1b").id
        only = {"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": [arn(named)]}
        ec2 = assumed(both, ALL, session=[only])
        said, message, _ = refusal(lambda: ec2.terminate_instances(InstanceIds=[named, other]))
        assert (said, "no session policy" in message) == ("UnauthorizedOperation", True)
        assert len(region.ids("running")) == 2
        ec2.terminate_instances(InstanceIds=[named])
        assert region.ids("running") == {other}

    def test_a_session_policy_gives_nothing_that_the_role_does_not(self, cloud: Reach) -> None:
        id_ = cloud.world.region(SPOKE).add().id
        reads = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}
        ec2 = assumed(cloud, reads, session=[ALL])
        assert code(lambda: ec2.terminate_instances(InstanceIds=[id_])) == "UnauthorizedOperation"

    @pytest.mark.parametrize("key", ["curfew:keep", "Curfew:Keep", "CURFEW:KEEP"])
    def test_a_deny_on_a_tag_holds_in_every_case_of_its_key(self, cloud: Reach, key: str) -> None:
        """Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
        region = cloud.world.region(SPOKE)
        kept, other = region.add(tags={key: ""}).id, region.add().id
        deny = {
            "Effect": "Deny", "Action": "ec2:TerminateInstances", "Resource": "*",
            "Condition": {"Null": {"aws:ResourceTag/curfew:keep": "false"}},
        }  # fmt: skip
        ec2 = assumed(cloud, ALL, deny)
        said, message, _ = refusal(lambda: ec2.terminate_instances(InstanceIds=[other, kept]))
        assert said == "UnauthorizedOperation"
        assert "with an explicit deny in an identity-based policy" in message
        ec2.terminate_instances(InstanceIds=[other])
        assert region.ids("running") == {kept}

    def test_iam_knows_a_tag_only_after_a_while(self, cloud: Reach) -> None:
        region = cloud.world.region(SPOKE)
        region.tag_lag = timedelta(seconds=30)
        early, late = region.add().id, region.add().id
        deny = {
            "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"StringLike": {"ec2:ResourceTag/keep": "*"}},
        }  # fmt: skip
        ec2 = assumed(cloud, ALL, deny)
        for id_ in (early, late):
            region.tag(id_, keep="x")
        ec2.terminate_instances(InstanceIds=[early])
        cloud.world.clock.sleep(30)
        assert code(lambda: ec2.terminate_instances(InstanceIds=[late])) == "UnauthorizedOperation"

    def test_iam_judges_a_launch_by_its_request(self, cloud: Reach) -> None:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html"""
        small = {
            "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*",
            "Condition": {"StringEqualsIfExists": {
                "ec2:InstanceType": ["t2.micro"], "ec2:MetadataHttpTokens": "required",
            }},
        }  # fmt: skip
        tagging = {
            "Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*",
            "Condition": {
                "StringEquals": {"ec2:CreateAction": "RunInstances"},
                "ForAllValues:StringLike": {"aws:TagKeys": ["curfew:*"]},
                "Null": {"aws:TagKeys": "false"},
            },
        }  # fmt: skip
        ec2 = assumed(cloud, small, tagging)
        safe = {"MetadataOptions": {"HttpTokens": "required"}}

        def tagged(key: str) -> dict[str, Any]:
            tags = [{"Key": key, "Value": "x"}]
            return {**safe, "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}]}

        assert len(launch(ec2, **safe)) == len(launch(ec2, **tagged("curfew:fleet"))) == 1
        for wrong in ({}, {**safe, "InstanceType": "m7i.large"}, tagged("owner")):
            assert code(partial(launch, ec2, **wrong)) == "UnauthorizedOperation"

    def test_stops_tags_and_spot_requests_are_judged_as_well(self, cloud: Reach) -> None:
        region = cloud.world.region(SPOKE)
        id_ = region.add().id
        admin = cloud.client("ec2", access_key=SPOKE)
        launch(admin, InstanceMarketOptions={"MarketType": "spot"})
        request = next(iter(region.spot_requests))
        ec2 = assumed(cloud, {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"})
        tags = [{"Key": "a", "Value": "b"}]
        for call in (
            lambda: ec2.stop_instances(InstanceIds=[id_]),
            lambda: ec2.create_tags(Resources=[id_], Tags=tags),
            lambda: ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request]),
        ):
            assert code(call) == "UnauthorizedOperation"

    def test_dynamodb_has_its_own_denial_code(self, cloud: Reach) -> None:
        cloud.world.tables(SPOKE).make("t")
        assumed(cloud, {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"})
        (session,) = cloud.world.identities.sessions.values()
        db = cloud.client("dynamodb", access_key=session.access_key, token=session.token)
        key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
        db.get_item(TableName="t", Key=key)
        assert code(lambda: db.put_item(TableName="t", Item=key)) == "AccessDeniedException"

    @pytest.mark.parametrize(
        "statement",
        [
            {"Effect": "Allow", "NotAction": "x", "Resource": "*"},
            {**ALL, "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}},
            {**ALL, "Effect": "Perhaps"},
        ],
        ids=str,
    )
    def test_an_unknown_policy_element_is_an_error_and_never_allows(
        self, statement: dict[str, Any]
    ) -> None:
        with pytest.raises((ValueError, KeyError)):
            World().role(ROLE, {"Statement": statement})

    def test_for_all_values_is_true_without_values(self) -> None:
        """Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_multi-value-conditions.html"""
        assert iam.holds("ForAllValues:StringLike", "aws:tagkeys", ("a*",), {})
        assert not iam.holds("ForAnyValue:StringLike", "aws:tagkeys", ("a*",), {})
        assert iam.holds("StringNotEquals", "k", ("v",), {})
        assert not iam.holds("StringEquals", "k", ("v",), {})
