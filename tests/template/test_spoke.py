"""Which roles of an account may be assumed, by which principals, and what is always denied."""

from typing import Any

import pytest

from tests.template.reading import ROOT, Statement, Template

HUB = Template.read(ROOT / "template.yaml")
SPOKE = Template.read(ROOT / "spoke.yaml")
ROLES = SPOKE.of_type("AWS::IAM::Role")
KINDS = {"ReadRole": "Readers", "ActRole": "Actors", "LaunchRole": "Launchers"}
DESTROYING = {"ec2:StopInstances", "ec2:TerminateInstances"}
ENDING = {*DESTROYING, "ec2:CancelSpotInstanceRequests"}
# What would lift a protection, or reach further than an instance.
NEVER = {
    "autoscaling:TerminateInstanceInAutoScalingGroup",
    "ec2:CancelSpotFleetRequests",
    "ec2:CreateFleet",
    "ec2:DeleteFleets",
    "ec2:DeleteTags",
    "ec2:DeleteVolume",
    "ec2:ModifyInstanceAttribute",
    "sts:AssumeRole",
}
ACTING = {*ENDING, "ec2:CreateTags", "ec2:RunInstances", "iam:PassRole"}
NO_VALUE = {"Ref": "AWS::NoValue"}


def allowed(role: str, template: Template = SPOKE) -> set[str]:
    return {
        action
        for one in template.statements(role)
        if one.effect == "Allow"
        for action in one.actions
    }


def denials(role: str) -> list[Statement]:
    return [one for one in SPOKE.statements(role) if one.effect == "Deny"]


def test_no_functions_own_role_can_act() -> None:
    for function in HUB.functions:
        assert not allowed(HUB.role_of(function), HUB) & ACTING


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        ("SweepFunction", {"read", "act", "launch"}),
        ("FleetsFunction", {"read", "act", "launch"}),
        ("LaunchFunction", {"read", "launch"}),
        ("TargetFunction", {"read", "act"}),
    ],
)
def test_function_assumes_only_the_roles_that_it_needs(function: str, kinds: set[str]) -> None:
    borrowing = [
        one for one in HUB.statements(HUB.role_of(function)) if "sts:AssumeRole" in one.actions
    ]

    role = "arn:${AWS::Partition}:iam::*:role/${RolePrefix}-"
    assert {one.resources[0]["Fn::Sub"].removeprefix(role) for one in borrowing} == kinds
    for one in borrowing:
        assert one.actions == {"sts:AssumeRole", "sts:SetSourceIdentity"}
        assert len(one.resources) == 1
        reading = one.resources[0]["Fn::Sub"].endswith("-read")
        assert one.only_if == (frozenset() if reading else {"ActMode"})


@pytest.mark.parametrize(("role", "who"), KINDS.items())
def test_role_trusts_named_principals_with_external_id_and_organization(
    role: str, who: str
) -> None:
    (trust,) = ROLES[role]["AssumeRolePolicyDocument"]["Statement"]

    assert trust["Principal"] == {"AWS": {"Ref": who}}
    assert set(trust["Action"]) == {"sts:AssumeRole", "sts:SetSourceIdentity"}
    assert trust["Condition"] == {
        "StringEquals": {
            "sts:ExternalId": {"Ref": "ExternalId"},
            "aws:PrincipalOrgID": {
                "Fn::If": ["HasOrganization", {"Ref": "OrganizationId"}, NO_VALUE]
            },
        }
    }
    assert "Default" not in SPOKE.body["Parameters"]["ExternalId"]
    assert "Default" not in SPOKE.body["Parameters"][who]


def test_hub_names_exactly_its_own_roles_each_for_its_purpose() -> None:
    given = HUB.of_type("AWS::CloudFormation::Stack")["OwnAccount"]
    assert given["TemplateURL"] == "spoke.yaml"

    def named(parameter: str) -> set[str]:
        separator, roles = given["Parameters"][parameter]["Fn::Join"]
        assert separator == ","
        return {role["Fn::GetAtt"].removesuffix(".Arn") for role in roles}

    for parameter, kind in (("Readers", "read"), ("Actors", "act"), ("Launchers", "launch")):
        borrowers = {
            HUB.role_of(function)
            for function in HUB.functions
            for one in HUB.statements(HUB.role_of(function))
            if "sts:AssumeRole" in one.actions and one.resources[0]["Fn::Sub"].endswith(f"-{kind}")
        }
        assert named(parameter) == borrowers
        assert HUB.body["Outputs"][parameter]["Value"] == given["Parameters"][parameter]


def test_hub_passes_every_shared_parameter_to_the_spoke() -> None:
    given = HUB.of_type("AWS::CloudFormation::Stack")["OwnAccount"]["Parameters"]
    both = set(HUB.body["Parameters"]) & set(SPOKE.body["Parameters"])

    assert {"Regions", "PermissionsBoundaryArn"} < both
    for name in both:
        assert given[name] in ({"Ref": name}, {"Fn::Join": [",", {"Ref": name}]})
        ours, theirs = HUB.body["Parameters"][name], SPOKE.body["Parameters"][name]
        assert ours.get("AllowedPattern") == theirs.get("AllowedPattern")


def test_each_role_may_do_its_own_part() -> None:
    look = {
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstances",
        "ec2:DescribeRegions",
        "ec2:DescribeSpotInstanceRequests",
        "ssm:GetParameter",
    }
    assert allowed("ReadRole") == look
    assert allowed("ActRole") == {*ENDING, "ec2:CreateTags"}
    assert allowed("LaunchRole") == {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"}


@pytest.mark.parametrize("role", KINDS)
def test_calls_that_lift_a_protection_are_always_denied(role: str) -> None:
    denied = {
        action
        for one in denials(role)
        if one.resources == ("*",) and not one.condition
        for action in one.actions
    }
    assert denied >= NEVER
    assert {"iam:Create*", "iam:Put*", "iam:Attach*", "iam:Update*", "iam:Delete*"} <= denied
    assert not {action for action in denied if action.startswith("iam:P")} - {"iam:Put*"}


@pytest.mark.parametrize(
    "tag", ["aws:ResourceTag/${ProtectTag}", "aws:ResourceTag/aws:autoscaling:groupName"]
)
def test_a_protecting_tag_with_any_value_denies_stop_and_terminate(tag: str) -> None:
    """IAM compares the key of a tag without regard to case."""
    denying = [one for one in denials("ActRole") if one.condition == {"Null": {tag: "false"}}]

    assert len(denying) == 1
    assert denying[0].actions == DESTROYING
    assert denying[0].resources == ("*",)
    assert denying[0].only_if == frozenset()


@pytest.mark.parametrize("role", ["ActRole", "LaunchRole"])
def test_the_regions_bound_whatever_changes_something(role: str) -> None:
    (bound,) = [one for one in denials(role) if "LimitsRegions" in one.only_if]

    assert bound.actions == {"ec2:*"}
    assert bound.condition == {"StringNotEquals": {"aws:RequestedRegion": {"Ref": "Regions"}}}


@pytest.mark.parametrize("role", KINDS)
def test_a_role_has_its_name_and_the_boundary_that_the_account_asks_for(role: str) -> None:
    kind = role.removesuffix("Role").lower()
    assert ROLES[role]["RoleName"] == {"Fn::Sub": f"${{RolePrefix}}-{kind}"}
    assert ROLES[role]["PermissionsBoundary"] == {
        "Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, NO_VALUE]
    }


def test_no_role_of_the_stack_is_without_its_boundary() -> None:
    """Those that SAM makes for a schedule neither."""
    bound = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, NO_VALUE]}
    schedules = [
        event["Properties"]
        for function in HUB.functions.values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "ScheduleV2"
    ]
    roles = [*HUB.of_type("AWS::IAM::Role").values(), *schedules]
    assert len(roles) == 6
    assert all(one["PermissionsBoundary"] == bound for one in roles)


def test_rights_that_act_are_bound_to_the_account() -> None:
    for action in ENDING:
        for _, one in SPOKE.allowing(action):
            sub: Any = one.resources
            assert all(":${AWS::AccountId}:" in resource["Fn::Sub"] for resource in sub)


def test_nothing_else_is_made_in_the_account() -> None:
    assert {resource["Type"] for resource in SPOKE.body["Resources"].values()} == {
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
    }
