"""The safeguards of leases and launches: each holds, and its scenario fails when it is disabled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from curfew.core.access import Caller
from curfew.core.errors import ConflictError, ForbiddenError, LedgerError
from curfew.core.lease import Fleet
from curfew.core.policy import Limits, Protection
from curfew.fleets import lifecycle
from curfew.ledger.records import PlanPhase, StoredPlan
from curfew.sweep import run_state, stored_plans
from curfew_simulator.cloud.faults import FaultKind
from tests.builders import HERE, NOW, a_policy, a_selector, an_id
from tests.cloud import LOST, UNSEEN, SimulatedEc2, a_machine, refusal
from tests.launches import FIRST, SECOND, Launching
from tests.night import Night, fleets_of, leased
from tests.safety.scenario import Scenario, detected

ONE, TWO, STRANGER = an_id(1), an_id(2), an_id(3)
EIGHT_HOURS = timedelta(hours=8)
MEMBER = {"env": "dev", "curfew:fleet": "lab"}


def expired(*, tags: dict[str, str] | None = None) -> tuple[Night, Fleet]:
    """Return a night with the policy for expired leases, and a fleet of two whose lease expired a minute ago."""
    cloud = SimulatedEc2(*(a_machine(id=id_, tags=tags or MEMBER) for id_ in (ONE, TWO)))
    night = Night(cloud=cloud, policy=a_policy(selector=a_selector(tags=(), expired=True)))
    return night, leased(night, ONE, TWO, ends_in=-timedelta(minutes=1))


def renew(night: Night, lab: Fleet) -> bool:
    now = night.time.now()
    return night.ledger.fleets.renew(lab, now + EIGHT_HOURS, now=now)


def renewed_at(action: str, *, on: int = 1) -> tuple[Night, list[bool]]:
    """Run a sweep in which the owner renews just before a call. Return the night and the results of renewals."""
    night, lab = expired()
    answers: list[bool] = []
    night.cloud.before(action, lambda: answers.append(renew(night, lab)), on=on)
    night.sweep()
    return night, answers


def a_promise_is_kept(night: Night, answers: list[bool]) -> None:
    """Assert that the owner keeps the instances if the renewal succeeded."""
    assert len(answers) == 1
    running = night.cloud.ids("running")
    assert not answers[0] or running == {ONE, TWO}


def a_renewal_after_the_plan_saves_the_fleet() -> None:
    night, answers = renewed_at("DescribeInstances", on=2)
    a_promise_is_kept(night, answers)
    assert answers == [True]


def a_renewal_after_the_look_saves_the_fleet() -> None:
    night, answers = renewed_at("DescribeInstanceAttribute", on=8)
    a_promise_is_kept(night, answers)
    assert answers == [True]


def a_renewal_that_comes_too_late_is_refused() -> None:
    a_promise_is_kept(*renewed_at("TerminateInstances"))


def only_what_was_launched_is_ended() -> None:
    night, lab = expired()
    night.cloud.add(a_machine(id=STRANGER, tags=MEMBER))
    night.policy = lifecycle.termination_policy(lab, Protection(), Limits())
    night.sweep()
    assert night.cloud.ids("running") == {STRANGER}


def only_what_carries_the_tag_is_ended() -> None:
    night, lab = expired()
    night.cloud.change(ONE, tags={"env": "dev"})
    night.cloud.always(
        FaultKind.UNFILTERED, "DescribeInstances"
    )  # the cloud's filters let everything through
    night.policy = lifecycle.termination_policy(lab, Protection(), Limits())
    night.sweep()
    assert night.cloud.ids("running") == {ONE}


def protection_counts_for_more_than_an_owners_word() -> None:
    night, lab = expired()
    night.cloud.change(ONE, tags={**MEMBER, "curfew:keep": ""})
    night.policy = lifecycle.termination_policy(lab, Protection(), Limits())
    night.sweep()
    assert night.cloud.ids("running") == {ONE}


def a_stranger_changes_no_lease() -> None:
    night, lab = expired()
    try:
        fleets_of(night).renew(lab, NOW + EIGHT_HOURS, caller=Caller(id="pat"))
    except ForbiddenError:
        return
    raise AssertionError("a stranger renewed a lease")


def a_stranger_ends_no_fleet() -> None:
    night, lab = expired()
    try:
        lifecycle.claim(lab, caller=Caller(id="pat"), by="s", ledger=night.ledger, now=NOW)
    except ForbiddenError:
        return
    raise AssertionError("a stranger gave a fleet up")


def a_lease_stays_within_the_bounds() -> None:
    night, lab = expired()
    try:
        fleets_of(night).renew(lab, NOW + timedelta(days=8), caller=Caller(id="kim"))
    except Exception:  # noqa: BLE001  any refusal
        return
    raise AssertionError("a lease may be as long as one likes")


# Launches: never more than asked for, none without a lease.


def never_more(launching: Launching, *, asked: int = 4) -> None:
    launching.holds(asked=asked)


def a_lost_answer_launches_once() -> None:
    there = Launching()
    there.cloud.fail("RunInstances", LOST)
    there.cloud.fail("DescribeInstances", UNSEEN, times=6)
    there.go()
    never_more(there)


def a_lost_answer_leads_to_no_other_pool() -> None:
    there = Launching()
    there.cloud.fail("RunInstances", LOST, times=8)
    there.cloud.fail("DescribeInstances", UNSEEN, times=60)
    there.go()
    assert len(there.launched) == 4


def two_at_once_launch_once() -> None:
    """During the call of one worker, another finds the pool empty and could use the next; then the pool has room."""
    there = Launching()
    there.cloud.capacity.update({FIRST: 0, SECOND: 4})
    begun = there.begin()

    def another() -> None:
        there.carry_on(begun)
        there.cloud.capacity[FIRST] = 4

    there.cloud.before("RunInstances", another)
    there.carry_on(begun)
    never_more(there)


def every_launched_instance_has_a_lease() -> None:
    there = Launching()
    there.go()
    never_more(there)


def killed_after_the_call_it_is_found_again() -> None:
    there = Launching()
    begun = there.begin()
    with interrupted(there):
        there.carry_on(begun)
    there.until_finished(begun)
    never_more(there)


@contextmanager
def interrupted(there: Launching) -> Iterator[None]:
    """Let the ledger fail inside the block when a worker records the instances."""
    ledger: Any = there.ledger
    record = ledger.fleets.record

    def fail(*_args: Any, **_more: Any) -> None:
        raise LedgerError("the table does not answer")

    ledger.fleets.record = fail
    try:
        yield
    except LedgerError:
        pass
    finally:
        ledger.fleets.record = record


def terminated_early_nothing_more_is_launched() -> None:
    there = Launching()
    there.cloud.capacity.update({FIRST: 3, SECOND: 100})
    begun = there.begin()
    there.cloud.before(
        "RunInstances",
        lambda: there.ledger.fleets.claim(
            begun.name, begun.launch_id, "sweep", now=there.time.now(), expired=False
        ),
    )
    there.carry_on(begun)
    assert len(there.launched) == 3


def a_mismatch_is_not_retried() -> None:
    there = Launching()
    there.cloud.fail("RunInstances", LOST)
    there.cloud.fail("RunInstances", refusal("IdempotentParameterMismatch"), on=2)
    there.cloud.fail("DescribeInstances", UNSEEN, times=30)
    there.go()
    assert len(there.launched) == 4
    assert len({asked["ClientToken"] for asked in there.cloud.asked}) == 1


# Plans that are applied later.


def refused(record: StoredPlan, *, version: str = "", after: timedelta = timedelta(0)) -> None:
    try:
        stored_plans.check_applicable(record, version=version, now=NOW + after)
    except ConflictError:
        return
    raise AssertionError("the plan would be applied")


def a_record(**more: Any) -> StoredPlan:
    ordinary: dict[str, Any] = {
        "id": "plan-1",
        "policy": "nightly",
        "policy_version": "",
        "target": HERE,
        "asked_by": "kim",
        "made_at": NOW,
        "expires_at": NOW + run_state.SHELF_LIFE,
        "phase": PlanPhase.PLANNED,
    }
    return StoredPlan(**(ordinary | more))


def a_kept_plan_is_the_plan_that_was_made() -> None:
    """Curfew does not apply a stored plan whose verdicts were changed after it was made."""
    night = Night(cloud=SimulatedEc2(a_machine(id=ONE)))
    record = stored_plans.store_plan(a_record(), night.prepared())
    forged = replace(record, phase=PlanPhase.APPLYING, hash="another")
    try:
        stored_plans.apply_plan(forged, night.prepared())
    except LedgerError:
        assert night.cloud.orders == []
        return
    raise AssertionError("a forged plan was applied")


SCENARIOS = [
    Scenario("renewed-after-the-plan", a_renewal_after_the_plan_saves_the_fleet, "renewals"),
    Scenario("renewed-after-the-look", a_renewal_after_the_look_saves_the_fleet, "no-claim"),
    Scenario("renewed-too-late", a_renewal_that_comes_too_late_is_refused, "claim"),
    Scenario("membership", only_what_was_launched_is_ended),
    Scenario("fleet-tag", only_what_carries_the_tag_is_ended, "selector"),
    Scenario(
        "protection-over-owner",
        protection_counts_for_more_than_an_owners_word,
        "protection-of-fleets",
    ),
    Scenario("owner-renews", a_stranger_changes_no_lease, "owner"),
    Scenario("owner-ends", a_stranger_ends_no_fleet, "owner"),
    Scenario("bounds", a_lease_stays_within_the_bounds),
    Scenario("token", a_lost_answer_launches_once),
    Scenario("no-fallback-on-doubt", a_lost_answer_leads_to_no_other_pool),
    Scenario("lock", two_at_once_launch_once),
    Scenario("record", every_launched_instance_has_a_lease),
    Scenario("found-by-token", killed_after_the_call_it_is_found_again),
    Scenario("given-up", terminated_early_nothing_more_is_launched, "claim"),
    Scenario("mismatch", a_mismatch_is_not_retried),
    Scenario(
        "plan-expiry",
        lambda: refused(a_record(), after=run_state.SHELF_LIFE + timedelta(seconds=1)),
        "stale-plan",
    ),
    Scenario("plan-version", lambda: refused(a_record(), version="v2"), "stale-plan"),
    Scenario("plan-once", lambda: refused(a_record(phase=PlanPhase.APPLYING))),
    Scenario("plan-hash", a_kept_plan_is_the_plan_that_was_made),
]
NAMES = [scenario.name for scenario in SCENARIOS]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_safeguard_holds(scenario: Scenario) -> None:
    scenario.holds()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_disabled_safeguard_is_detected(scenario: Scenario) -> None:
    detected(scenario)


def test_a_tag_ends_nothing() -> None:
    """An operator copies all the tags of an expired fleet to another machine."""
    night, _ = expired()
    copied = {**MEMBER, "curfew:lease": "2020-01-01T00:00:00Z", "curfew:launch-id": "op-lab"}
    night.cloud.add(a_machine(id=STRANGER, tags=copied))

    night.sweep()

    assert night.cloud.ids("running") == {STRANGER}
