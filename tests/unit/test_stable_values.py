"""Words and numbers that must not change unnoticed.

Ledgers, tags and logs contain the words: with another word, Curfew would not recognize existing records. The numbers
and defaults determine how much may be lost, and what an absent key means.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from curfew import concurrency
from curfew.clock import Clock
from curfew.core import (
    audit,
    instance,
    launch,
    lease,
    plan,
    policy,
    protection,
    report,
    target,
)
from curfew.core.access import Caller
from curfew.fleets import launcher
from curfew.ledger.records import ContinuationPhase
from curfew.sweep import batch, execution, run_state, zone_worker
from tests.builders import HERE, NOW, SANDBOX, a_policy, an_instance

NIGHTLY = a_policy()
HASH = "f60cda5fc26f5ea8a022ee931b3a321118535917378bea85852092c8bd733d28"


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (audit.EntryKind, "intent outcome event"),
        (launch.AttemptResult, "open launched empty refused mismatch"),
        (lease.Phase, "launching launched partial failed needs-attention"),
        (
            instance.State,
            "pending running stopping stopped shutting-down terminated unknown",
        ),
        (instance.ActionKind, "terminate stop shelve"),
        (target.Mode, "report act"),
        (
            report.Result,
            "verified accepted kept-at-recheck failed unknown not-attempted",
        ),
        (
            report.Status,
            "completed refused incomplete paused stopped failed continued duplicate disabled",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_stored_ledger_words_never_change(words: Any, values: str) -> None:
    assert [word.value for word in words] == values.split()


def test_tag_keys_never_change() -> None:
    assert (lease.FLEET_TAG, lease.OWNER_TAG) == ("curfew:fleet", "curfew:owner")
    assert (lease.LEASE_TAG, lease.LAUNCH_ID_TAG) == ("curfew:lease", "curfew:launch-id")
    assert (policy.ALWAYS_PROTECTED, policy.NOT_SELECTED) == ("curfew:keep", "not-selected")
    assert lease.TAG_VALUE_LENGTH == 256


def test_the_audit_begins_with_as_many_zeros_as_a_hash_is_long() -> None:
    assert audit.GENESIS == "0" * 64


def test_constants_of_execution_never_change() -> None:
    assert execution.BATCH == 20
    assert timedelta(minutes=1) == run_state.ROOM
    assert timedelta(minutes=15) == run_state.SHELF_LIFE
    assert execution.WAITS == (0, 2, 4, 8, 16, 30)
    assert zone_worker.PATIENCE == 4
    assert concurrency.ZONES_AT_ONCE == 4
    assert concurrency.ZONES_AT_ONCE == 4


def test_constants_of_a_launch_never_change() -> None:
    assert timedelta(minutes=3) == launcher.LOCK
    assert timedelta(seconds=10) == launcher.ROOM
    assert launcher.LOOKS == (0, 2, 4, 8)
    assert launcher.PATIENCE == 4
    assert launcher.DELIVERY_LOOKS == (0, 1, 2)
    assert timedelta(minutes=20) == lease.CLAIM


def test_default_limits_and_protection_never_change() -> None:
    assert policy.Limits() == policy.Limits(per_sweep=20, percent=10, per_day=50)
    assert policy.Protection() == policy.Protection(
        tags=("curfew:keep",), min_age=timedelta(minutes=15)
    )
    assert (policy.PERCENT_FROM, policy.EVERYTHING) == (10, 100)
    assert protection.ORDINARY_LIFECYCLES == ("on-demand", "spot")


def test_minimal_policy_has_every_safeguard() -> None:
    asked = policy.Selector(states=frozenset({instance.State.RUNNING}))
    bare = policy.Policy(name="bare", selector=asked, action=instance.ActionKind.STOP)

    assert bare.older_than is None
    assert bare.protection == policy.Protection()
    assert bare.limits == policy.Limits()
    assert bare.version == ""
    assert bare.ends_leases is False


def test_a_condition_that_is_not_given_is_none() -> None:
    asked = policy.Selector(states=frozenset())

    assert (asked.tags, asked.with_tags, asked.without_tags) == ((), (), ())
    assert (asked.instance_types, asked.regions, asked.launch_id) == ((), (), "")
    assert asked.expired is False
    assert asked.keys == frozenset()
    assert policy.TagFilter(key="env") == policy.TagFilter(key="env", values=(), like=())


def test_the_keys_of_a_selector_are_all_that_it_reads() -> None:
    asked = policy.Selector(
        states=frozenset(), tags=(SANDBOX,), with_tags=("a", "b"), without_tags=("c",)
    )

    assert asked.keys == {"env", "a", "b", "c"}


def test_filter_values_are_described_in_words() -> None:
    asked = policy.TagFilter(key="env", values=("dev", "test"), like=("pr-*", "x?"))

    assert asked.wanted == "dev or test or like pr-* or like x?"


def test_what_is_not_known_of_an_instance_is_what_keeps_it() -> None:
    bare = instance.Instance(
        id="i-1", target=HERE, zone="", state=instance.State.RUNNING, instance_type="t2.micro"
    )

    assert (bare.started_at, bare.first_seen_at, bare.proof_of_life) == (None, None, None)
    assert bare.lease is None
    assert (bare.tags, bare.volumes) == ({}, ())
    assert (bare.lifecycle, bare.root_device) == ("on-demand", "ebs")
    assert (bare.image, bare.spot_request, bare.managed_by, bare.state_reason) == ("", "", "", "")
    assert (bare.ambiguous, bare.locked) == ((), False)


def test_people_know_an_instance_by_its_name_tag() -> None:
    assert an_instance(tags={"Name": "web", "name": "no"}).name == "web"
    assert an_instance(tags={"name": "no"}).name == ""


def test_an_instance_lives_since_the_oldest_instant_that_is_known() -> None:
    hour = timedelta(hours=1)

    assert an_instance(age=hour, first_seen_at=NOW - 2 * hour).proof_of_life == NOW - 2 * hour
    assert an_instance(age=2 * hour, first_seen_at=NOW - hour).proof_of_life == NOW - 2 * hour
    assert an_instance(started_at=None, first_seen_at=NOW).proof_of_life == NOW


def test_each_action_has_taken_hold_in_two_states() -> None:
    assert instance.ActionKind.TERMINATE.ends == {
        instance.State.SHUTTING_DOWN,
        instance.State.TERMINATED,
    }
    assert instance.ActionKind.STOP.ends == {instance.State.STOPPING, instance.State.STOPPED}
    assert instance.ActionKind.SHELVE.ends == instance.ActionKind.STOP.ends


def test_caller_is_no_administrator_by_default() -> None:
    assert Caller(id="kim").administrator is False


def test_launch_spec_defaults_ask_for_nothing_and_hide_user_data() -> None:
    bare = launch.LaunchSpec(
        launch_id="op-1", target=HERE, image="ami-1", instance_types=("t",), count=1, tags={}
    )

    assert (bare.subnets, bare.security_groups, bare.networks) == ((), (), ())
    assert bare.hints == {}
    assert (bare.key, bare.profile, bare.user_data, bare.version) == ("", "", "", "")
    assert bare.spot is False
    assert "user_data" not in repr(bare)
    assert launch.Pool(instance_type="t").subnet == ""
    assert bare.pools == (launch.Pool(instance_type="t", subnet=""),)


def test_an_attempt_begins_without_an_answer() -> None:
    assert launch.Attempt(number=1, pool=0, count=2) == launch.Attempt(
        number=1, pool=0, count=2, result=launch.AttemptResult.OPEN, launched=0, problem=""
    )
    assert launch.Finished(phase=lease.Phase.LAUNCHED).problem == ""


def test_a_fleet_begins_unclaimed_with_a_launch_that_goes_on() -> None:
    fleet = lease.Fleet(
        name="lab",
        launch_id="op-1",
        template="pair",
        target=HERE,
        owner="kim",
        count=2,
        created_at=NOW,
        expires_at=NOW,
        longest=timedelta(days=1),
    )

    assert (fleet.phase, fleet.problem) == (lease.Phase.LAUNCHING, "")
    assert (fleet.claimed_by, fleet.claimed_at, fleet.ended_at) == ("", None, None)
    assert fleet.lease == lease.Lease(fleet="lab", launch_id="op-1", owner="kim", expires_at=NOW)
    assert lease.Member(instance_id="i-1", launched_at=NOW).ended_at is None


def test_only_a_launch_that_goes_on_is_unfinished() -> None:
    assert [phase for phase in lease.Phase if not phase.finished] == [lease.Phase.LAUNCHING]


def test_a_plan_begins_empty_and_has_no_candidates() -> None:
    bare = plan.Plan(policy=NIGHTLY, made_at=NOW)

    assert (bare.actions, bare.kept, bare.refused, bare.asked_by) == ((), (), None, "")
    assert bare.candidates == 0


def test_hash_of_a_plan_never_changes() -> None:
    planned = plan.decide([an_instance(), an_instance(2, tags={})], NIGHTLY, NOW)

    assert planned.candidates == 2
    assert planned.hash == HASH


def test_a_report_begins_with_nothing_done() -> None:
    bare = a_report(report.Status.COMPLETED)

    assert (bare.listed, bare.plan, bare.outcomes, bare.resolved_intents) == (0, None, (), ())
    assert (bare.problem, bare.cut) == ("", False)
    assert (bare.throttles, bare.rate_limited) == (0, 0.0)
    assert (bare.root_sweep_id, bare.attempt) == ("", 0)


def test_a_report_counts_the_outcomes_of_one_result() -> None:
    actions = plan.decide([an_instance(n) for n in (1, 2, 3)], NIGHTLY, NOW).actions
    ends = (report.Result.VERIFIED, report.Result.FAILED, report.Result.VERIFIED)
    outcomes = tuple(
        report.Outcome(action=action, result=end) for action, end in zip(actions, ends, strict=True)
    )
    made = replace(a_report(report.Status.FAILED), outcomes=outcomes)

    counted = {result: made.count(result) for result in report.Result if made.count(result)}

    assert counted == {report.Result.VERIFIED: 2, report.Result.FAILED: 1}


def test_a_sweep_may_be_asked_for_again_after_three_of_its_ends() -> None:
    assert {
        report.Status.INCOMPLETE,
        report.Status.STOPPED,
        report.Status.FAILED,
    } == report.PASSING


def test_the_ledger_stores_the_phase_of_a_continuation_by_these_words() -> None:
    assert list(ContinuationPhase) == ["waiting", "resumed", "ended"]


@pytest.mark.parametrize(
    ("status", "in_report_mode", "in_act_mode"),
    [
        (report.Status.COMPLETED, False, False),
        (report.Status.PAUSED, False, False),
        (report.Status.DUPLICATE, False, False),
        (report.Status.REFUSED, False, True),
        (report.Status.INCOMPLETE, True, True),
        (report.Status.STOPPED, True, True),
        (report.Status.FAILED, True, True),
    ],
)
def test_unsuccessful_status_makes_the_report_failed(
    status: report.Status, in_report_mode: bool, in_act_mode: bool
) -> None:
    assert a_report(status).failed is in_report_mode
    assert a_report(status, mode=target.Mode.ACT).failed is in_act_mode


def test_default_outcome_has_no_detail_and_default_run_no_problem() -> None:
    (action,) = plan.decide([an_instance()], NIGHTLY, NOW).actions

    assert report.Outcome(action=action, result=report.Result.VERIFIED).detail == ""
    assert execution.Executed(outcomes=()).problem == ""
    assert not execution.Executed(outcomes=()).cut


def test_stopped_clock_shows_its_instant_and_keeps_the_rest() -> None:
    deadline = NOW + timedelta(minutes=1)
    clock = Clock(now=lambda: NOW, sleep=lambda _: None, deadline=deadline)

    stopped = clock.stopped_at(NOW - timedelta(seconds=1))

    assert stopped.now() == NOW - timedelta(seconds=1)
    assert (stopped.sleep, stopped.deadline) == (clock.sleep, deadline)


def test_a_clock_without_a_deadline_has_all_the_time() -> None:
    clock = Clock(now=lambda: NOW, sleep=lambda _: None)

    assert clock.deadline is None
    assert clock.has(timedelta(days=9))


def test_new_batch_was_neither_rechecked_nor_tried() -> None:
    made = batch.Batch([])

    assert made.looked_at is None
    assert made.tries == 0


def test_halves_of_a_batch_keep_its_tries_and_need_a_recheck() -> None:
    some: Any = ["a", "b", "c"]

    halves = batch.Batch(some, looked_at=NOW, tries=2).split()

    assert [list(map(str, half.actions)) for half in halves] == [["a"], ["b", "c"]]
    assert [half.tries for half in halves] == [2, 2]
    assert [half.looked_at for half in halves] == [None, None]


def a_report(status: report.Status, mode: target.Mode = target.Mode.REPORT) -> report.Report:
    return report.Report(
        sweep_id="sweep-1",
        target=HERE,
        policy="nightly",
        mode=mode,
        status=status,
        started_at=NOW,
        finished_at=NOW,
    )


# The tags of instances that a service manages, and the names of the services.
SERVICES = {
    "aws:cloudformation:stack-name": "CloudFormation",
    "aws:elasticmapreduce:job-flow-id": "Amazon EMR",
    "aws:eks:cluster-name": "Amazon EKS",
    "aws:ec2:fleet-id": "an EC2 Fleet",
    "aws:ec2spot:fleet-request-id": "a Spot Fleet",
    "aws:servicecatalog:productArn": "Service Catalog",
    "aws:whatever": "an AWS service",
    "eks:nodegroup-name": "Amazon EKS",
    "kubernetes.io/cluster/one": "a Kubernetes cluster",
    "k8s.io/role": "a Kubernetes cluster",
    "karpenter.sh/nodepool": "Karpenter",
    "karpenter.k8s.aws/ec2nodeclass": "Karpenter",
    "elasticbeanstalk:environment-id": "Elastic Beanstalk",
    "AmazonECSManaged": "Amazon ECS",
    "aws-parallelcluster-node-type": "ParallelCluster",
    "parallelcluster:cluster-name": "ParallelCluster",
}


@pytest.mark.parametrize("key", SERVICES)
def test_each_service_is_known_by_its_tag_and_called_by_its_name(key: str) -> None:
    found = protection.protected(an_instance(tags={key: "x"}), NIGHTLY, NOW)

    assert found == policy.Finding(
        rule="managed-by-service", reason=f"is managed by {SERVICES[key]} (tag {key})"
    )
    assert len(SERVICES) == len(protection.SERVICE_TAGS)


def test_launch_template_tag_means_no_manager() -> None:
    tags = {"aws:ec2launchtemplate:id": "lt-1"}

    assert protection.protected(an_instance(tags=tags), NIGHTLY, NOW) is None
    assert protection.HARMLESS_TAGS == ("aws:ec2launchtemplate:",)
    assert protection.GROUP_TAG == "aws:autoscaling:groupname"
