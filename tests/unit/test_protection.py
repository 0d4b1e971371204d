"""Which instances are exempt, and the reason for each."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.core.instance import ActionKind, Attributes, Instance
from curfew.core.policy import Policy, Protection
from curfew.core.protection import RULES, SERVICE_TAGS, attribute_protection, protected
from tests.builders import HERE, NOW, a_policy, a_selector, an_instance
from tests.unit.test_lease import a_lease

DEV = {"env": "dev"}


def finding(instance: Instance, policy: Policy | None = None) -> tuple[str, str]:
    found = protected(instance, policy or a_policy(), NOW)
    assert found is not None
    return found.rule, found.reason


def rule_for(tags: Mapping[str, str], policy: Policy | None = None) -> str | None:
    found = protected(an_instance(tags=tags), policy or a_policy(), NOW)
    return None if found is None else found.rule


def stopping(**more: Any) -> Policy:
    return a_policy(action=ActionKind.STOP, **more)


def test_an_ordinary_instance_is_not_protected() -> None:
    assert protected(an_instance(), a_policy(), NOW) is None
    assert protected(an_instance(), stopping(), NOW) is None


# The protect tag


@pytest.mark.parametrize(
    "key",
    [
        "curfew:keep",
        "Curfew:Keep",
        "CURFEW:KEEP",
        "cUrFeW:kEeP",
        " curfew:keep",
        "curfew:keep ",
        "\tcurfew:keep\n",
        "\N{NO-BREAK SPACE}Curfew:Keep",
        "curfew:\N{KELVIN SIGN}eep",
    ],
)
def test_the_protect_tag_counts_in_any_spelling(key: str) -> None:
    assert finding(an_instance(tags={**DEV, key: "true"})) == ("protect-tag", f"has the tag {key}")


@pytest.mark.parametrize("value", ["", " ", "true", "false", "no", "0", "never", "2020-01-01"])
def test_the_protect_tag_counts_with_any_value(value: str) -> None:
    assert rule_for({**DEV, "curfew:keep": value}) == "protect-tag"


@pytest.mark.parametrize("key", ["keep", "curfew", "curfew:keeper", "xcurfew:keep", "curfew: keep"])
def test_another_tag_is_no_protect_tag(key: str) -> None:
    assert rule_for({**DEV, key: "true"}) is None


@pytest.mark.parametrize("key", ["DoNotDelete", "donotdelete", "Critical"])
def test_every_protect_tag_of_the_policy_counts(key: str) -> None:
    policy = a_policy(protection=Protection(tags=("curfew:keep", "DoNotDelete", "critical")))

    assert rule_for({**DEV, key: ""}, policy) == "protect-tag"
    assert rule_for({**DEV, "curfew:keep": ""}, policy) == "protect-tag"


def test_the_protect_tag_is_named_before_any_other_protection() -> None:
    instance = an_instance(
        age=timedelta(0),
        lifecycle="capacity-block",
        managed_by="x",
        tags={"aws:autoscaling:groupName": "g", "curfew:keep": ""},
    )

    assert finding(instance)[0] == "protect-tag"


# Services


def test_a_member_of_an_auto_scaling_group_is_kept_with_the_name_of_the_group() -> None:
    assert finding(an_instance(tags={**DEV, "aws:autoscaling:groupName": "workers"})) == (
        "auto-scaling-group",
        "belongs to the Auto Scaling group workers, which would replace it",
    )


@pytest.mark.parametrize("key", ["AWS:AutoScaling:GroupName", " aws:autoscaling:groupname "])
def test_the_group_tag_counts_in_any_spelling(key: str) -> None:
    assert rule_for({**DEV, key: "workers"}) == "auto-scaling-group"


def test_what_an_operator_manages_is_kept_with_its_name() -> None:
    assert finding(an_instance(managed_by="eks.amazonaws.com")) == (
        "managed-by-service",
        "is managed by eks.amazonaws.com",
    )


@pytest.mark.parametrize(("prefix", "service"), SERVICE_TAGS)
def test_every_service_is_known_by_its_tag(prefix: str, service: str) -> None:
    for key in (f"{prefix}x", f"{prefix}x".upper(), f" {prefix}x"):
        rule, reason = finding(an_instance(tags={**DEV, key: "owned"}))

        assert rule == "managed-by-service"
        assert reason == f"is managed by {service} (tag {key})"


@pytest.mark.parametrize(
    ("key", "service"),
    [
        ("aws:cloudformation:stack-name", "CloudFormation"),
        ("aws:elasticmapreduce:job-flow-id", "Amazon EMR"),
        ("aws:eks:cluster-name", "Amazon EKS"),
        ("eks:nodegroup-name", "Amazon EKS"),
        ("aws:ec2:fleet-id", "an EC2 Fleet"),
        ("aws:ec2spot:fleet-request-id", "a Spot Fleet"),
        ("aws:servicecatalog:productArn", "Service Catalog"),
        ("kubernetes.io/cluster/blue", "a Kubernetes cluster"),
        ("k8s.io/role/node", "a Kubernetes cluster"),
        ("karpenter.sh/nodepool", "Karpenter"),
        ("karpenter.k8s.aws/ec2nodeclass", "Karpenter"),
        ("elasticbeanstalk:environment-id", "Elastic Beanstalk"),
        ("AmazonECSManaged", "Amazon ECS"),
        ("aws-parallelcluster-node-type", "ParallelCluster"),
        ("parallelcluster:node-type", "ParallelCluster"),
    ],
)
def test_the_tags_that_services_really_set_protect(key: str, service: str) -> None:
    rule, reason = finding(an_instance(tags={**DEV, key: "x"}))

    assert rule == "managed-by-service"
    assert f"is managed by {service} (" in reason


@pytest.mark.parametrize("key", ["aws:something-new:id", "aws:", "AWS:x", "aws:ec2:other"])
def test_an_unknown_tag_of_a_service_protects(key: str) -> None:
    assert finding(an_instance(tags={**DEV, key: "x"})) == (
        "managed-by-service",
        f"is managed by an AWS service (tag {key})",
    )


@pytest.mark.parametrize("part", ["id", "version", "ID"])
def test_the_tag_of_a_launch_template_does_not_protect(part: str) -> None:
    assert rule_for({**DEV, f"aws:ec2launchtemplate:{part}": "lt-1"}) is None


def test_the_tag_of_a_launch_template_hides_no_other() -> None:
    tags = {**DEV, "aws:ec2launchtemplate:id": "lt-1", "aws:eks:cluster-name": "blue"}

    assert rule_for(tags) == "managed-by-service"


@pytest.mark.parametrize("key", ["aws", "myaws:x", "eks", "team/k8s.io/x", "aws_x"])
def test_a_tag_that_only_resembles_a_service_does_not_protect(key: str) -> None:
    assert rule_for({**DEV, key: "x"}) is None


# Capacity


@pytest.mark.parametrize("lifecycle", ["on-demand", "spot"])
def test_an_ordinary_lifecycle_does_not_protect(lifecycle: str) -> None:
    assert protected(an_instance(lifecycle=lifecycle), a_policy(), NOW) is None


@pytest.mark.parametrize(
    "lifecycle", ["capacity-block", "scheduled", "interruptible-capacity-reservation", "", "SPOT"]
)
def test_any_other_lifecycle_protects(lifecycle: str) -> None:
    assert finding(an_instance(lifecycle=lifecycle)) == (
        "reserved-capacity",
        f"its capacity is paid for ahead ({lifecycle})",
    )


# Ambiguity


@pytest.mark.parametrize(
    "tags",
    [
        {"env": "dev", "Env": "prod"},
        {"env": "dev", "ENV": "dev"},
        {"env": "dev", "env ": ""},
    ],
)
def test_repeated_tag_that_is_read_protects(tags: Mapping[str, str]) -> None:
    assert finding(an_instance(tags=tags)) == (
        "ambiguous-tag",
        "has the tag env in 2 spellings: which one counts?",
    )


def test_a_tag_that_must_be_present_is_read_too() -> None:
    policy = a_policy(selector=a_selector(tags=(), with_tags=("Temporary",)))

    assert rule_for({"Temporary": "", "temporary": ""}, policy) == "ambiguous-tag"


def test_repeated_tag_that_no_selector_reads_is_harmless() -> None:
    assert rule_for({**DEV, "owner": "kim", "Owner": "ali"}) is None


def test_a_third_spelling_of_a_tag_is_counted() -> None:
    assert finding(an_instance(tags={"env": "dev", "Env": "dev", "ENV": "dev"})) == (
        "ambiguous-tag",
        "has the tag env in 3 spellings: which one counts?",
    )


def test_a_later_tag_in_two_spellings_protects() -> None:
    tags = {**DEV, "a": "1", "A": "2", "b": "1", "zone": "x", "Zone": "y"}
    policy = a_policy(selector=a_selector(with_tags=("b", "zone")))

    assert finding(an_instance(tags=tags), policy) == (
        "ambiguous-tag",
        "has the tag zone in 2 spellings: which one counts?",
    )


@pytest.mark.parametrize("key", ["env", "ENV", " Env "])
def test_a_tag_with_several_values_protects_in_any_spelling(key: str) -> None:
    assert finding(an_instance(ambiguous=("owner", key))) == (
        "ambiguous-tag",
        f"has several values of the tag {key}: which one counts?",
    )


def test_a_tag_with_several_values_that_no_selector_reads_is_harmless() -> None:
    assert protected(an_instance(ambiguous=("owner",)), a_policy(), NOW) is None


# Locks, leases and launches


def test_a_locked_instance_is_kept_with_the_reason() -> None:
    assert finding(an_instance(locked=True)) == ("locked", "is locked")


def test_an_instance_under_a_lease_is_kept_until_the_lease_ends() -> None:
    assert finding(an_instance(lease=a_lease(timedelta(hours=1)))) == (
        "leased",
        "has a lease until 2026-03-04T03:00:00Z",
    )
    assert protected(an_instance(lease=a_lease(timedelta(0))), a_policy(), NOW) is None


def test_an_instance_of_an_unfinished_launch_is_kept_with_its_fleet() -> None:
    assert finding(an_instance(launching="lab")) == (
        "being-launched",
        "belongs to the fleet lab, whose launch is not finished",
    )


# Stopping


def test_an_instance_store_is_never_stopped() -> None:
    instance = an_instance(root_device="instance-store")

    assert finding(instance, stopping()) == (
        "cannot-stop",
        "its root disk is an instance store: stopping would lose it",
    )
    assert protected(instance, a_policy(), NOW) is None


def test_an_unknown_root_disk_is_never_stopped() -> None:
    assert finding(an_instance(root_device=""), stopping())[0] == "cannot-stop"


def test_a_spot_instance_is_never_stopped() -> None:
    spot = an_instance(lifecycle="spot")

    assert finding(spot, stopping()) == (
        "cannot-stop",
        "is a Spot Instance, which may not be stopped",
    )
    assert protected(spot, a_policy(), NOW) is None


# Shelving


def on(provider: str) -> Instance:
    return an_instance(target=replace(HERE, provider=provider))


def test_an_instance_is_shelved_only_by_a_provider_that_has_a_shelf() -> None:
    shelve = a_policy(action=ActionKind.SHELVE)

    assert finding(on("ec2"), shelve) == ("cannot-shelve", "ec2 has no shelf: use stop")
    assert finding(on("openstack-2"), shelve)[0] == "cannot-shelve"
    assert protected(on("openstack"), shelve, NOW) is None
    assert protected(on("memory"), shelve, NOW) is None


@pytest.mark.parametrize("action", [ActionKind.STOP, ActionKind.TERMINATE])
def test_an_action_other_than_shelving_needs_no_shelf(action: ActionKind) -> None:
    assert protected(on("ec2"), a_policy(action=action), NOW) is None


# Age


@pytest.mark.parametrize(
    ("age", "young"),
    [
        (timedelta(minutes=15, microseconds=1), False),
        (timedelta(minutes=15), False),
        (timedelta(minutes=15) - timedelta(microseconds=1), True),
        (timedelta(0), True),
    ],
)
def test_exactly_the_minimum_age_is_no_longer_too_young(age: timedelta, young: bool) -> None:
    found = protected(an_instance(age=age), a_policy(), NOW)

    assert (found is not None) == young
    assert found is None or found.rule == "min-age"


def test_too_young_is_said_with_the_age_and_the_least() -> None:
    assert finding(an_instance(age=timedelta(minutes=4))) == (
        "min-age",
        "started 4m ago, less than 15m",
    )


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(days=400)])
@pytest.mark.parametrize("least", [timedelta(0), timedelta(minutes=15)])
def test_a_launch_in_the_future_protects(ahead: timedelta, least: timedelta) -> None:
    policy = a_policy(protection=Protection(min_age=least))

    assert finding(an_instance(age=-ahead), policy)[0] == "min-age"


def test_a_restart_makes_an_instance_young_again_for_the_minimum_age() -> None:
    instance = an_instance(age=timedelta(minutes=4), first_seen_at=NOW - timedelta(days=9))

    assert finding(instance)[0] == "min-age"


def test_an_unknown_launch_time_protects() -> None:
    instance = an_instance(started_at=None, first_seen_at=NOW - timedelta(days=9))

    assert finding(instance) == ("unknown-launch-time", "its launch time is unknown")


def test_a_longer_minimum_age_protects_longer() -> None:
    policy = a_policy(protection=Protection(min_age=timedelta(hours=10)))

    assert finding(an_instance(age=timedelta(hours=9)), policy)[0] == "min-age"


# Attributes


@pytest.mark.parametrize(
    ("attributes", "rule", "reason"),
    [
        (
            Attributes(termination_protected=True, stop_protected=False),
            "termination-protection",
            "has termination protection",
        ),
        (
            Attributes(termination_protected=False, stop_protected=True),
            "stop-protection",
            "has stop protection, which blocks both",
        ),
        (
            Attributes(termination_protected=True, stop_protected=True),
            "termination-protection",
            "has termination protection",
        ),
        (None, "protection-unknown", "its protection is not known"),
    ],
)
def test_an_attribute_protects(attributes: Attributes | None, rule: str, reason: str) -> None:
    found = attribute_protection(attributes)

    assert found is not None
    assert (found.rule, found.reason) == (rule, reason)


def test_an_instance_without_either_protection_is_open() -> None:
    assert (
        attribute_protection(Attributes(termination_protected=False, stop_protected=False)) is None
    )


# All rules


def test_every_rule_by_itself_is_enough() -> None:
    """There is one instance for each rule, in the rules' order, that no other rule keeps."""
    stop, shelve = stopping(), a_policy(action=ActionKind.SHELVE)
    alone = [
        (an_instance(tags={**DEV, "curfew:keep": ""}), stop),
        (an_instance(locked=True), stop),
        (an_instance(tags={**DEV, "aws:autoscaling:groupName": "g"}), stop),
        (an_instance(managed_by="eks"), stop),
        (an_instance(lifecycle="capacity-block"), stop),
        (an_instance(tags={**DEV, "ENV": "dev"}), stop),
        (an_instance(lease=a_lease(timedelta(hours=1))), stop),
        (an_instance(launching="lab"), stop),
        (an_instance(root_device="instance-store"), stop),
        (an_instance(), shelve),
        (an_instance(started_at=None), stop),
    ]

    # The third rule's tag is a service's tag too.
    hits = [[bool(rule(i, policy, NOW)) for rule in RULES] for i, policy in alone]
    hits[2][3] = False

    assert hits == [[n == m for m in range(len(RULES))] for n in range(len(alone))]
    assert [protected(i, policy, NOW) is not None for i, policy in alone] == [True] * len(RULES)
