"""The rules that protect an instance, each with a reason. Unknown means keep. The second half of *decide*.

The rules are applied again just before a call. Nothing lifts or overrides a protection. A rule is a pure function that
returns a ``Finding`` or None; adding a rule can only keep more instances.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from .instance import ActionKind, Attributes, Instance
from .lease import format_utc
from .policy import Finding, Policy, format_duration, normalize_key

type Rule = Callable[[Instance, Policy, datetime], Finding | None]

# A service launched the instance that has one of these tags, and would replace it or fail without it; the first match
# names the service. Users can neither set nor delete ``aws:`` tags, so an unknown one is evidence too.
# Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html and the user guides of the services.
GROUP_TAG = "aws:autoscaling:groupname"
HARMLESS_TAGS = ("aws:ec2launchtemplate:",)
SERVICE_TAGS = (
    ("aws:cloudformation:", "CloudFormation"),
    ("aws:elasticmapreduce:", "Amazon EMR"),
    ("aws:eks:", "Amazon EKS"),
    ("aws:ec2:fleet-id", "an EC2 Fleet"),
    ("aws:ec2spot:", "a Spot Fleet"),
    ("aws:servicecatalog:", "Service Catalog"),
    ("aws:", "an AWS service"),
    ("eks:", "Amazon EKS"),
    ("kubernetes.io/cluster/", "a Kubernetes cluster"),
    ("k8s.io/", "a Kubernetes cluster"),
    ("karpenter.sh/", "Karpenter"),
    ("karpenter.k8s.aws/", "Karpenter"),
    ("elasticbeanstalk:", "Elastic Beanstalk"),
    ("amazonecsmanaged", "Amazon ECS"),
    ("aws-parallelcluster", "ParallelCluster"),
    ("parallelcluster:", "ParallelCluster"),
)
ORDINARY_LIFECYCLES = ("on-demand", "spot")
SHELVING = ("openstack", "memory")


def protected(instance: Instance, policy: Policy, now: datetime) -> Finding | None:
    """Return the finding of the first rule that protects the instance, as far as its description shows, or None."""
    findings = (rule(instance, policy, now) for rule in RULES)
    return next(filter(None, findings), None)


def attribute_protection(attributes: Attributes | None) -> Finding | None:
    """Return the attribute that protects the instance, or None. Attributes that could not be read protect it.

    EC2's stop protection blocks termination, too.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
    """
    if attributes is None:
        return Finding(rule="protection-unknown", reason="its protection is not known")
    if attributes.termination_protected:
        return Finding(rule="termination-protection", reason="has termination protection")
    if attributes.stop_protected:
        return Finding(rule="stop-protection", reason="has stop protection, which blocks both")
    return None


def _protect_tag(instance: Instance, policy: Policy, _now: datetime) -> Finding | None:
    wanted = {normalize_key(key) for key in policy.protection.tags}
    for key in instance.tags:
        if normalize_key(key) in wanted:
            return Finding(rule="protect-tag", reason=f"has the tag {key}")
    return None


def _locked(instance: Instance, _policy: Policy, _now: datetime) -> Finding | None:
    # OpenStack lets an administrator end a locked server; Curfew keeps it even then.
    return Finding(rule="locked", reason="is locked") if instance.locked else None


def _auto_scaling_group(instance: Instance, _policy: Policy, _now: datetime) -> Finding | None:
    for key, value in instance.tags.items():
        if normalize_key(key) == GROUP_TAG:
            return Finding(
                rule="auto-scaling-group",
                reason=f"belongs to the Auto Scaling group {value}, which would replace it",
            )
    return None


def _managed_by_service(instance: Instance, _policy: Policy, _now: datetime) -> Finding | None:
    if instance.managed_by:
        return _managed(instance.managed_by)
    for key in instance.tags:
        spelt = normalize_key(key)
        if spelt.startswith(HARMLESS_TAGS):
            continue
        for prefix, service in SERVICE_TAGS:
            if spelt.startswith(prefix):
                return _managed(f"{service} (tag {key})")
    return None


def _managed(owner: str) -> Finding:
    return Finding(rule="managed-by-service", reason=f"is managed by {owner}")


def _reserved_capacity(instance: Instance, _policy: Policy, _now: datetime) -> Finding | None:
    if instance.lifecycle in ORDINARY_LIFECYCLES:
        return None
    return Finding(
        rule="reserved-capacity",
        reason=f"its capacity is paid for ahead ({instance.lifecycle})",
    )


def _ambiguous_tag(instance: Instance, policy: Policy, _now: datetime) -> Finding | None:
    read = {normalize_key(key) for key in policy.selector.keys}
    for key in instance.ambiguous:
        if normalize_key(key) in read:
            return Finding(
                rule="ambiguous-tag",
                reason=f"has several values of the tag {key}: which one counts?",
            )
    spellings = Counter(normalize_key(key) for key in instance.tags)
    for key, count in sorted(spellings.items()):
        if count > 1 and key in read:
            return Finding(
                rule="ambiguous-tag",
                reason=f"has the tag {key} in {count} spellings: which one counts?",
            )
    return None


def _leased(instance: Instance, policy: Policy, now: datetime) -> Finding | None:
    lease = instance.lease
    if policy.ends_leases or lease is None or not lease.is_active(now):
        return None
    return Finding(rule="leased", reason=f"has a lease until {format_utc(lease.expires_at)}")


def _being_launched(instance: Instance, _policy: Policy, _now: datetime) -> Finding | None:
    # The ledger does not have its lease yet, since the answer to its launch call was lost.
    if not instance.launching:
        return None
    return Finding(
        rule="being-launched",
        reason=f"belongs to the fleet {instance.launching}, whose launch is not finished",
    )


def _cannot_stop(instance: Instance, policy: Policy, _now: datetime) -> Finding | None:
    if policy.action is not ActionKind.STOP:
        return None
    if instance.root_device != "ebs":
        return Finding(
            rule="cannot-stop", reason="its root disk is an instance store: stopping would lose it"
        )
    if instance.lifecycle == "spot":
        return Finding(rule="cannot-stop", reason="is a Spot Instance, which may not be stopped")
    return None


def _cannot_shelve(instance: Instance, policy: Policy, _now: datetime) -> Finding | None:
    if policy.action is not ActionKind.SHELVE or instance.target.provider in SHELVING:
        return None
    return Finding(
        rule="cannot-shelve", reason=f"{instance.target.provider} has no shelf: use stop"
    )


def _min_age(instance: Instance, policy: Policy, now: datetime) -> Finding | None:
    if instance.started_at is None:
        return Finding(rule="unknown-launch-time", reason="its launch time is unknown")
    age = now - instance.started_at
    if age < policy.protection.min_age:
        least = format_duration(policy.protection.min_age)
        return Finding(
            rule="min-age", reason=f"started {format_duration(age)} ago, less than {least}"
        )
    return None


RULES: tuple[Rule, ...] = (
    _protect_tag,
    _locked,
    _auto_scaling_group,
    _managed_by_service,
    _reserved_capacity,
    _ambiguous_tag,
    _leased,
    _being_launched,
    _cannot_stop,
    _cannot_shelve,
    _min_age,
)
