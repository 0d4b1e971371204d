"""Every safeguard holds: each scenario runs once as it is, and once with its safeguard disabled, when it must fail.

The second run proves the test: if all tests pass without a safeguard, none of them tests it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.core import plan, protection
from curfew.core.audit import EntryKind
from curfew.core.errors import LedgerError, RequestError
from curfew.core.instance import ActionKind, State
from curfew.core.policy import Protection
from curfew.core.report import Result
from curfew.core.target import Mode
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Pause
from curfew.orchestration import admission
from curfew.schemas.messages import SweepRequest
from curfew_simulator.ablation.safeguards import ONLY_IN_SCENARIOS
from curfew_simulator.cloud.faults import FaultKind
from tests.builders import HERE, NO_LIMITS, NOW, a_policy, a_selector, an_id, an_instance
from tests.cloud import BROKEN, LOST, ORDERS, SimulatedEc2, a_machine, refusal
from tests.night import Night, begun, leased, results
from tests.safety import test_calls, test_lease_safeguards
from tests.safety.scenario import Scenario, detected

ONE, TWO = an_id(1), an_id(2)


def spared(night: Night) -> None:
    """Sweep, and assert that the first instance runs and no order named it, and that the second was terminated."""
    night.sweep()
    assert ONE in night.cloud.ids("running")
    assert all(ONE not in ids for _, ids in night.cloud.orders)
    assert TWO not in night.cloud.ids("running")


def untouched(night: Night) -> None:
    """Sweep, and assert that it sent no order."""
    night.sweep()
    assert night.cloud.orders == []


def beside_an_ordinary(**odd: Any) -> Night:
    return Night(cloud=SimulatedEc2(a_machine(id=ONE, **odd), a_machine(id=TWO)))


def many(count: int = 5, **more: Any) -> SimulatedEc2:
    return SimulatedEc2(*(a_machine(id=an_id(number), **more) for number in range(1, count + 1)))


# Each protection is a separate safeguard.


def stopping(**odd: Any) -> Night:
    night = beside_an_ordinary(**odd)
    night.policy = a_policy(action=ActionKind.STOP)
    return night


def with_min_age() -> Night:
    night = beside_an_ordinary(started_at=NOW - timedelta(minutes=14))
    night.policy = a_policy(protection=Protection(min_age=timedelta(minutes=15)))
    return night


def with_a_lease() -> Night:
    night = beside_an_ordinary()
    leased(night, ONE, ends_in=timedelta(minutes=1))
    leased(night, TWO, ends_in=timedelta(0), fleet="other")
    return night


def of_a_launch() -> Night:
    night = beside_an_ordinary(tags={"env": "dev", "curfew:launch-id": "op-lab"})
    begun(night, 1)
    return night


# Only other clouds have these, so the scenarios check the plan.


def a_locked_one_is_kept() -> None:
    made = plan.decide([an_instance(locked=True), an_instance(2)], a_policy(), NOW)
    assert [action.instance.id for action in made.actions] == [TWO]


def a_cloud_without_a_shelf_keeps() -> None:
    shelf = replace(HERE, provider="openstack")
    both = [an_instance(), an_instance(2, target=shelf)]
    made = plan.decide(both, a_policy(action=ActionKind.SHELVE), NOW)
    assert [action.instance.id for action in made.actions] == [TWO]


GROUP = {"env": "dev", "aws:autoscaling:groupName": "workers"}
PROTECTIONS = [
    Scenario(
        "protect-tag", lambda: spared(beside_an_ordinary(tags={"env": "dev", " CURFEW:Keep": "no"}))
    ),
    Scenario(
        "auto-scaling-group",  # two rules keep it, since it also has a service's tag
        lambda: spared(beside_an_ordinary(tags=GROUP)),
    ),
    Scenario(
        "managed-by-service", lambda: spared(beside_an_ordinary(managed_by="eks.amazonaws.com"))
    ),
    Scenario("reserved-capacity", lambda: spared(beside_an_ordinary(lifecycle="capacity-block"))),
    Scenario(
        "ambiguous-tag", lambda: spared(beside_an_ordinary(tags={"env": "dev", "Env": "prod"}))
    ),
    Scenario("cannot-stop", lambda: spared(stopping(root_device="instance-store"))),
    Scenario(
        "leased",  # Curfew cannot claim a running lease either: two safeguards
        lambda: spared(with_a_lease()),
    ),
    Scenario("being-launched", lambda: spared(of_a_launch())),
    Scenario("min-age", lambda: spared(with_min_age())),
    Scenario("locked", a_locked_one_is_kept),
    Scenario("cannot-shelve", a_cloud_without_a_shelf_keeps),
]


# The others, in the order of the pipeline.


def a_mode_is_never_strengthened() -> None:
    try:
        admission.effective_mode(Mode.REPORT, Mode.ACT)
    except RequestError:
        return
    raise AssertionError("a reporting stack would act")


def a_late_trigger_is_refused() -> None:
    try:
        admission.reject_stale(
            SweepRequest(policy="nightly", schedule="s", scheduled_at=NOW), NOW + timedelta(days=9)
        )
    except RequestError:
        return
    raise AssertionError("a stale trigger was obeyed")


def a_duplicate_trigger_does_nothing() -> None:
    night = Night(cloud=many(1), scheduled_at=NOW)
    night.sweep()
    night.cloud.add(a_machine(id=TWO))
    night.sweep()
    assert night.cloud.ids("running") == {TWO}


def a_partial_listing_is_not_acted_on() -> None:
    night = Night(cloud=many())
    night.cloud.region.page_size = 2
    night.cloud.fail("DescribeInstances", BROKEN, on=2)
    untouched(night)


def the_selector_is_applied_here_too() -> None:
    night = beside_an_ordinary(tags={"env": "prod"})
    # Below a hundred per cent the cloud lists everything, so that the population can be counted.
    night.policy = a_policy(limits=replace(NO_LIMITS, percent=99))
    spared(night)


def age_is_waited_for() -> None:
    night = beside_an_ordinary(started_at=NOW - timedelta(days=2))
    night.cloud.change(TWO, started_at=NOW - timedelta(days=4))
    night.policy = a_policy(older_than=timedelta(days=3))
    spared(night)


def attributes_protect() -> None:
    spared(beside_an_ordinary(termination_protected=True, zone="eu-central-1b"))


def a_plan_over_a_limit_is_refused() -> None:
    untouched(Night(cloud=many(), policy=a_policy(limits=replace(NO_LIMITS, per_sweep=4))))


def the_days_budget_is_kept() -> None:
    untouched(Night(cloud=many(), policy=a_policy(limits=replace(NO_LIMITS, per_day=4))))


def nothing_is_done_while_paused() -> None:
    night = Night(cloud=many())
    night.ledger.pause(Pause(since=NOW, by="kim", reason="exam"))
    untouched(night)


def a_stale_plan_is_not_applied() -> None:
    night = Night(cloud=SimulatedEc2(a_machine(id=ONE), a_machine(id=TWO, zone="eu-central-1b")))
    night.cloud.before("TerminateInstances", lambda: night.time.sleep(3_600))
    night.sweep()
    assert night.cloud.ids("running") == {TWO}


def no_batch_begins_out_of_time() -> None:
    untouched(Night(cloud=many(), deadline=NOW + timedelta(seconds=30)))


def batches_keep_to_a_zone() -> None:
    zones = ("eu-central-1a", "eu-central-1b")
    night = Night(
        cloud=SimulatedEc2(*(a_machine(id=an_id(n), zone=zones[n % 2]) for n in range(10)))
    )
    night.sweep()
    for _, ids in night.cloud.orders:
        assert len({night.cloud.machines[id_].zone for id_ in ids}) == 1


def batches_are_small() -> None:
    night = Night(cloud=many(50))
    night.sweep()
    assert max(len(ids) for _, ids in night.cloud.orders) <= 20


def each_batch_is_looked_at_again() -> None:
    night = beside_an_ordinary()
    keep = {"env": "dev", "curfew:keep": ""}
    night.cloud.before("DescribeInstances", lambda: night.cloud.change(ONE, tags=keep), on=2)
    spared(night)


def every_group_is_looked_at_again() -> None:
    """IAM refuses one of four. While Curfew retries one half, an operator protects an instance in the other half."""
    night = Night(cloud=many(4))
    night.cloud.deny(ONE)
    night.cloud.before(
        "TerminateInstances", lambda: night.cloud.tag(an_id(4), curfew__keep="yes"), on=2
    )
    night.sweep()
    assert night.cloud.ids("running") == {ONE, an_id(4)}


def a_cancel_is_an_order_too() -> None:
    """The cancellation of a stopped instance's request terminates it, so the pause switch prevents that as well."""
    night = Night(
        cloud=SimulatedEc2(a_machine(id=ONE, state="stopped", spot_request="sir-00000001"))
    )
    night.policy = a_policy(selector=a_selector(states=frozenset({State.STOPPED})))
    night.cloud.request_spot("sir-00000001", ONE, state="disabled")
    thrown = Pause(since=NOW, by="kim", reason="exam")
    night.cloud.before("DescribeInstances", lambda: night.ledger.pause(thrown), on=2)
    untouched(night)


def a_cancel_is_seen() -> None:
    """EC2 accepts a cancellation without effect, so that the request would launch the instance again."""
    night = Night(cloud=SimulatedEc2(a_machine(id=ONE, spot_request="sir-00000001")))
    night.cloud.request_spot("sir-00000001", ONE)
    night.cloud.always(FaultKind.IDLE, *ORDERS)
    night.sweep()
    assert [action for action, _ in night.cloud.orders] == ["CancelSpotInstanceRequests"]


def an_unanswered_call_is_not_repeated_blindly() -> None:
    night = Night(cloud=many(2))
    night.cloud.fail("TerminateInstances", LOST)
    night.sweep()
    assert len(night.cloud.orders) == 1


def the_intent_is_written_before_the_call() -> None:
    night = Night(cloud=many(2))
    written: list[EntryKind] = []
    night.cloud.before(
        "TerminateInstances",
        lambda: written.extend(entry.draft.kind for entry in night.ledger.entries(HERE)),
    )
    night.sweep()
    assert written == [EntryKind.INTENT] * 2


class Silent(MemoryLedger):
    def append(self, *_: Any) -> None:
        raise LedgerError("the ledger cannot be used")


def without_a_ledger_nothing_is_done() -> None:
    untouched(Night(cloud=many(), ledger=Silent()))


def spot_requests_are_cancelled_first() -> None:
    night = Night(cloud=SimulatedEc2(a_machine(id=ONE, spot_request="sir-00000001")))
    night.cloud.request_spot("sir-00000001", ONE)
    night.sweep()
    assert night.cloud.ids("running") == set()


def success_is_seen() -> None:
    night = Night(cloud=many(2))
    night.cloud.always(FaultKind.IDLE, *ORDERS)
    assert Result.VERIFIED not in results(night.sweep()).values()


def an_unknown_error_stops_everything() -> None:
    night = Night(cloud=many(50))
    night.cloud.fail("TerminateInstances", refusal("NeverHeardOf"))
    night.sweep()
    assert len(night.cloud.orders) == 1


SCENARIOS = [
    *PROTECTIONS,
    Scenario("mode", a_mode_is_never_strengthened),
    Scenario("late-trigger", a_late_trigger_is_refused, "stale-trigger"),
    Scenario("duplicate", a_duplicate_trigger_does_nothing),
    Scenario("whole-listing", a_partial_listing_is_not_acted_on),
    Scenario("selector", the_selector_is_applied_here_too),
    Scenario("older-than", age_is_waited_for),
    Scenario("attributes", attributes_protect),
    Scenario("limits", a_plan_over_a_limit_is_refused),
    Scenario("day-budget", the_days_budget_is_kept),
    Scenario("pause", nothing_is_done_while_paused),
    Scenario("stale-plan", a_stale_plan_is_not_applied),
    Scenario("deadline", no_batch_begins_out_of_time),
    Scenario("zone", batches_keep_to_a_zone, "zone-wise-batch"),
    Scenario("batch-size", batches_are_small),
    Scenario("look-before", each_batch_is_looked_at_again, "re-check"),
    Scenario("look-after", an_unanswered_call_is_not_repeated_blindly, "re-check"),
    Scenario("look-between", every_group_is_looked_at_again),
    Scenario("pause-cancel", a_cancel_is_an_order_too, "pause"),
    Scenario("cancel-seen", a_cancel_is_seen, "spot-seen"),
    Scenario("audit-first", the_intent_is_written_before_the_call),
    Scenario("ledger", without_a_ledger_nothing_is_done, "audit-first"),
    Scenario("spot", spot_requests_are_cancelled_first, "spot-release"),
    Scenario("verify", success_is_seen),
    Scenario("unknown-error", an_unknown_error_stops_everything),
]
NAMES = [scenario.name for scenario in SCENARIOS]


def test_every_safeguard_that_no_world_needs_has_a_scenario() -> None:
    scenarios = (*SCENARIOS, *test_lease_safeguards.SCENARIOS, *test_calls.SCENARIOS)
    assert {scenario.safeguard or scenario.name for scenario in scenarios} >= ONLY_IN_SCENARIOS


def test_every_protection_has_a_scenario() -> None:
    assert len(PROTECTIONS) == len(protection.RULES)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_safeguard_holds(scenario: Scenario) -> None:
    scenario.holds()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_disabled_safeguard_is_detected(scenario: Scenario) -> None:
    detected(scenario)
