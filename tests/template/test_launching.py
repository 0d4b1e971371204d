"""What a launch may do: tag instances with an owner and an end, and pass the one role that is named, if any."""

import json
import re

import pytest

from tests.template.reading import ROOT, Statement, Template

TEMPLATE = Template.read(ROOT / "spoke.yaml")
INSTANCE = "arn:${AWS::Partition}:ec2:*:${AWS::AccountId}:instance/*"
LAUNCHED = {"instance", "network-interface", "spot-instances-request", "volume"}


def kinds(statement: Statement) -> set[str]:
    """The kinds of resource that a statement is about."""
    return {
        resource["Fn::Sub"].rpartition(":")[2].removesuffix("/*")
        for resource in statement.resources
    }


def test_an_instance_is_launched_with_imdsv2_and_the_tags_that_end_it() -> None:
    about_instances = [
        one for _, one in TEMPLATE.allowing("ec2:RunInstances") if "instance" in kinds(one)
    ]

    assert about_instances
    for one in about_instances:
        assert one.resources == ({"Fn::Sub": INSTANCE},)
        assert one.condition == {
            "StringEquals": {"ec2:MetadataHttpTokens": "required"},
            "Null": {
                "aws:RequestTag/curfew:fleet": "false",
                "aws:RequestTag/curfew:owner": "false",
                "aws:RequestTag/curfew:lease": "false",
                "aws:RequestTag/curfew:launch-id": "false",
            },
        }


def test_launch_role_reaches_only_what_it_needs_in_its_account() -> None:
    reached = {
        resource["Fn::Sub"]
        for _, one in TEMPLATE.allowing("ec2:RunInstances")
        for resource in one.resources
    }

    ours = LAUNCHED | {"key-pair", "security-group", "subnet"}
    assert reached == {
        *(f"arn:${{AWS::Partition}}:ec2:*:${{AWS::AccountId}}:{kind}/*" for kind in ours),
        "arn:${AWS::Partition}:ec2:*::image/*",
        "arn:${AWS::Partition}:ec2:*::snapshot/*",
    }


AT_LAUNCH = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
LEASE_OF_OURS = {
    "ForAllValues:StringEquals": {"aws:TagKeys": "curfew:lease"},
    "Null": {"aws:TagKeys": "false", "aws:ResourceTag/curfew:launch-id": "false"},
}


def test_tags_are_set_at_a_launch_and_later_only_the_lease_of_what_was_launched() -> None:
    setting = [one for _, one in TEMPLATE.allowing("ec2:CreateTags")]

    assert {json.dumps(one.condition, sort_keys=True) for one in setting} == {
        json.dumps(condition, sort_keys=True) for condition in (AT_LAUNCH, LEASE_OF_OURS)
    }
    for one in setting:
        assert one.actions == {"ec2:CreateTags"}
        assert kinds(one) == (LAUNCHED if one.condition == AT_LAUNCH else {"instance"})
        assert all(":${AWS::AccountId}:" in resource["Fn::Sub"] for resource in one.resources)


def test_a_lease_is_repeated_in_a_tag_by_the_role_that_acts_on_what_is_there() -> None:
    assert {
        role for role, one in TEMPLATE.allowing("ec2:CreateTags") if one.condition == LEASE_OF_OURS
    } == {"ActRole"}


def test_only_the_role_that_the_stack_names_is_passed_and_only_to_ec2() -> None:
    for _, one in TEMPLATE.allowing("iam:PassRole"):
        assert one.only_if == {"PassesRole"}
        assert one.actions == {"iam:PassRole"}
        assert one.resources == ({"Ref": "InstanceRoleArn"},)
        assert one.condition == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert TEMPLATE.body["Parameters"]["InstanceRoleArn"]["Default"] == ""
    assert TEMPLATE.body["Conditions"]["PassesRole"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "InstanceRoleArn"}, ""]}]
    }


@pytest.mark.parametrize(
    ("arn", "fits"),
    [
        ("", True),
        ("arn:aws:iam::123456789012:role/fleet/worker", True),
        ("arn:aws:iam::123456789012:role/*", False),
        ("arn:aws:iam::*:role/worker", False),
        ("*", False),
    ],
)
def test_the_role_that_is_passed_cannot_be_a_pattern(arn: str, fits: bool) -> None:
    pattern = TEMPLATE.body["Parameters"]["InstanceRoleArn"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, arn)) is fits


def test_images_are_named_by_public_parameters_and_those_of_one_prefix() -> None:
    for _, one in TEMPLATE.allowing("ssm:GetParameter"):
        assert one.actions == {"ssm:GetParameter"}
        assert one.resources == (
            {"Fn::Sub": "arn:${AWS::Partition}:ssm:*::parameter/aws/service/*"},
            {
                "Fn::Sub": "arn:${AWS::Partition}:ssm:*:${AWS::AccountId}:parameter${ImageParameterPrefix}*"
            },
        )


@pytest.mark.parametrize(
    ("prefix", "fits"),
    [("/curfew/", True), ("/a/b/", True), ("/", False), ("", False), ("/*/", False), ("/a", False)],
)
def test_the_prefix_of_those_parameters_is_never_all_of_them(prefix: str, fits: bool) -> None:
    pattern = TEMPLATE.body["Parameters"]["ImageParameterPrefix"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, prefix)) is fits
