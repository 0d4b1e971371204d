"""The catalogue of safeguards: each by its name, with how it is disabled.

The simulation disables one and runs worlds until a checker detects it; tests/safety disables one and shows that its
scenario fails. ``ONLY_IN_SCENARIOS`` are those that no world needs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from curfew.aws import allowed_calls
from curfew.clock import Clock
from curfew.core import plan
from curfew.core.target import Mode
from curfew.fleets import lifecycle
from curfew.handlers.http import fleets as fleets_api
from curfew.handlers.http import pause as pause_api
from curfew.handlers.http import sweeps as sweeps_api
from curfew.ledger.dynamodb.fleets import DynamoFleets
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.ledger.memory.fleets import MemoryFleets
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.orchestration import admission, fan_out, sweeps
from curfew.providers.ec2 import scoped_credentials
from curfew.providers.ec2.provider import Ec2Provider
from curfew.sweep import execution, executor, planner, zone_worker

from ..cloud import sts
from ..patching import Disable, everything_at_once, patching, returning, rules, setting
from .launch_safeguards import (
    apply_any_plan,
    apply_twice,
    fall_back_in_doubt,
    ignore_plan_policies,
    never_find_by_token,
    new_token_for_every_call,
    relaunch_after_mismatch,
    take_partial_launches,
    without_locks,
)
from .sweep_safeguards import (
    FOREVER,
    allow_any_table,
    catch_up_forever,
    drop_outcomes,
    ignore_attributes,
    ignore_failed_pages,
    ignore_renewals,
    never_abort,
    skip_verification,
    trust_cancels,
    widen_session_policies,
    without_limit,
    write_intents_after,
)
from .zone_safeguards import abort_only_one_worker, share_credentials

LEDGERS = (MemoryLedger, DynamoLedger)
REGISTERS = (MemoryFleets, DynamoFleets)


@contextmanager
def disabled(name: str) -> Iterator[None]:
    """Run Curfew with one safeguard disabled, while this lasts."""
    with patching() as patch:
        SAFEGUARDS[name](patch)
        yield


reuse_old_descriptions = returning(True, (zone_worker.ZoneWorker, "_is_fresh"))
never_describe_again = everything_at_once(
    setting(zone_worker.ZoneWorker, "_recheck", lambda _self, actions: list(actions)),
    reuse_old_descriptions,
)
select_everything = everything_at_once(
    returning(None, (plan, "mismatch")), returning(True, (planner, "could_match"))
)
without_claims = setting(zone_worker.ZoneWorker, "_claim", lambda _self, due: list(due))
claim_always = returning(True, *((register, "claim") for register in REGISTERS))
skip_intents = returning(None, (zone_worker.ZoneWorker, "_write_intents"))
one_batch = setting(execution, "batches", lambda actions: iter([tuple(actions)] if actions else []))
ignore_pause = returning(None, *((ledger, "paused") for ledger in LEDGERS))
without_budget = returning(True, *((ledger, "reserve") for ledger in LEDGERS))


OWNER_CHECKS = tuple((module, "only_owner") for module in (lifecycle, fleets_api))
# The design's own, in its order; then the others, in the order of the pipeline.
SAFEGUARDS: Mapping[str, Disable] = {
    "re-check": never_describe_again,
    "cap-per-sweep": without_limit(per_sweep=10**9),
    "cap-per-cent": without_limit(percent=10**9),
    "day-budget": without_budget,
    "protect-tag": rules("_protect_tag"),
    "attributes": ignore_attributes,
    "audit-first": skip_intents,
    "audit-after": write_intents_after,
    "pause": ignore_pause,
    "zone-wise-batch": one_batch,
    "verify": skip_verification,
    "stale-trigger": setting(admission, "MAX_LATENESS", FOREVER),
    "catch-up": catch_up_forever,
    "stale-message": setting(fan_out, "MAX_MESSAGE_AGE", FOREVER),
    "stale-plan": apply_any_plan,
    "token": new_token_for_every_call,
    "claim": claim_always,
    "no-claim": without_claims,
    "lock": without_locks,
    "membership": returning(None, (plan, "out_of_lease")),
    "selector": select_everything,
    "spot-release": returning({}, (Ec2Provider, "release")),
    "spot-seen": trust_cancels,
    "record": returning(None, *((register, "record") for register in REGISTERS)),
    "found-by-token": never_find_by_token,
    "whole-launch": take_partial_launches,
    "no-fallback-on-doubt": fall_back_in_doubt,
    "auto-scaling-group": rules("_auto_scaling_group", "_managed_by_service"),
    "managed-by-service": rules("_managed_by_service"),
    "ambiguous-tag": rules("_ambiguous_tag"),
    "cannot-stop": rules("_cannot_stop"),
    "min-age": rules("_min_age"),
    "leased": everything_at_once(rules("_leased"), without_claims),
    "being-launched": rules("_being_launched"),
    "older-than": returning(None, (plan, "too_young")),
    "mode": returning(
        Mode.ACT, *((module, "effective_mode") for module in (admission, fan_out, sweeps))
    ),
    "duplicate": returning(False, (executor, "_swept_already")),
    "whole-listing": ignore_failed_pages,
    "batch-size": everything_at_once(
        setting(execution, "BATCH", 1_000),
        setting(scoped_credentials, "LONGEST_POLICY", 10**9),
        setting(sts, "LONGEST_POLICY", 10**9),
    ),
    "session-policy": widen_session_policies,
    "own-credentials": share_credentials,
    "look-between": reuse_old_descriptions,
    "fresh-look": setting(zone_worker, "FRESH", FOREVER),
    "deadline": returning(True, (Clock, "has")),
    "unknown-error": never_abort,
    "shared-halt": abort_only_one_worker,
    "plan-policies": ignore_plan_policies,
    "plan-once": apply_twice,
    "owner": returning(None, *OWNER_CHECKS),
    "administrator": returning(
        None, (pause_api, "only_administrator"), (sweeps_api, "only_administrator")
    ),
    "bounds": returning(None, (lifecycle, "_bounded")),
    "outcomes": drop_outcomes,
    "reserved-capacity": rules("_reserved_capacity"),
    "locked": rules("_locked"),
    "cannot-shelve": rules("_cannot_shelve"),
    "protection-of-fleets": returning(None, (plan, "protected")),
    "limits": setting(planner, "guard", lambda made, _listed: made),
    "renewals": ignore_renewals,
    "mismatch": relaunch_after_mismatch,
    "plan-hash": setting(plan.Plan, "hash", "another"),
    "allow-list": returning(None, (allowed_calls, "restrict")),
    "own-table": allow_any_table,
}
# Other clouds have some of these, another safeguard holds for others in every world, and the simulation calls EC2 by
# clients without an allow-list.
ONLY_IN_SCENARIOS = frozenset(
    {
        "reserved-capacity", "locked", "cannot-shelve", "protection-of-fleets", "limits", "renewals", "mismatch",
        "plan-hash", "allow-list", "own-table",
    }
)  # fmt: skip
SIMULATED = tuple(name for name in SAFEGUARDS if name not in ONLY_IN_SCENARIOS)
