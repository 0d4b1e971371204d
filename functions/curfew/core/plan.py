"""*decide* and *guard*: turn the listed instances into a plan, which is data only.

Every candidate becomes exactly one ``Action`` or one ``Kept``, each with a rule and a reason. Later stages can only
turn an action into a kept instance, never the reverse.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from .instance import ActionKind, Attributes, Instance
from .policy import (
    PERCENT_FROM,
    Finding,
    Limits,
    Policy,
    format_duration,
    mismatch,
    out_of_lease,
    too_young,
)
from .protection import attribute_protection, protected


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action on one instance, with the reason."""

    instance: Instance
    kind: ActionKind
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One instance that Curfew keeps, with the reason."""

    instance: Instance
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The actions and the kept instances of a sweep, each sorted by instance id.

    ``refused`` is why the whole plan was refused, if it was; ``asked_by`` is the caller that asked for it, if one did.
    """

    policy: Policy
    made_at: datetime
    actions: tuple[Action, ...] = ()
    kept: tuple[Kept, ...] = ()
    refused: Finding | None = None
    asked_by: str = ""

    @property
    def candidates(self) -> int:
        """How many instances the plan has."""
        return len(self.actions) + len(self.kept)

    @property
    def hash(self) -> str:
        """The fingerprint of the plan: plans of the same policy with the same actions have the same hash."""
        intents = [[a.kind, str(a.instance.target), a.instance.id, a.rule] for a in self.actions]
        text = json.dumps([self.policy.name, intents], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def judge(instance: Instance, policy: Policy, now: datetime) -> Action | Kept:
    """Return the verdict on one instance. The only function that makes an ``Action``."""
    finding = (
        mismatch(instance, policy.selector)
        or out_of_lease(instance, policy.selector, now)
        or too_young(instance, policy.older_than, now)
        or protected(instance, policy, now)
    )
    if finding:
        return Kept(instance=instance, rule=finding.rule, reason=finding.reason)
    due = _due(instance, policy, now)
    return Action(instance=instance, kind=policy.action, rule=due.rule, reason=due.reason)


def decide(instances: Iterable[Instance], policy: Policy, now: datetime) -> Plan:
    """Return a plan with one verdict for each instance. The order of the listing has no effect.

    An instance that is listed twice, since something changed between two pages, gets the safer of its verdicts.
    """
    verdicts: dict[str, Action | Kept] = {}
    for instance in instances:
        verdict = judge(instance, policy, now)
        verdicts[instance.id] = min(verdict, verdicts.get(instance.id, verdict), key=_safest_first)
    in_order = [verdicts[id_] for id_ in sorted(verdicts)]
    return Plan(
        policy=policy,
        made_at=now,
        actions=tuple(v for v in in_order if isinstance(v, Action)),
        kept=tuple(v for v in in_order if isinstance(v, Kept)),
    )


def protect(plan: Plan, attributes: Mapping[str, Attributes]) -> Plan:
    """Keep instances that an attribute protects, and instances whose attributes could not be read."""
    findings = {
        a.instance.id: attribute_protection(attributes.get(a.instance.id)) for a in plan.actions
    }
    return _keep(plan, {id_: finding for id_, finding in findings.items() if finding})


def guard(plan: Plan, listed: int) -> Plan:
    """Refuse the whole plan if it is over a limit; a plan is never cut to fit.

    ``listed`` is the population: the number of listed instances, candidates or not.
    """
    over = over_limit(len(plan.actions), plan.policy.limits, listed)
    return refuse(plan, over) if over else plan


def over_limit(wanted: int, limits: Limits, listed: int) -> Finding | None:
    """Return the limit that ``wanted`` actions exceed, or None."""
    if wanted > limits.per_sweep:
        return Finding(
            rule="limit-per-sweep",
            reason=f"the plan has at least {wanted} actions; a sweep may have {limits.per_sweep}",
        )
    counts = listed >= PERCENT_FROM or limits.percent == 0
    if counts and wanted * 100 > limits.percent * listed:
        return Finding(
            rule="limit-percent",
            reason=f"the plan has at least {wanted} actions on {listed} listed; {limits.percent} % may go",
        )
    return None


def refuse(plan: Plan, finding: Finding) -> Plan:
    """Keep every instance that the plan would act on, for one reason."""
    kept = _keep(plan, {a.instance.id: finding for a in plan.actions})
    return replace(kept, refused=finding)


def _keep(plan: Plan, findings: Mapping[str, Finding]) -> Plan:
    more = [
        Kept(instance=a.instance, rule=finding.rule, reason=finding.reason)
        for a in plan.actions
        if (finding := findings.get(a.instance.id))
    ]
    return replace(
        plan,
        actions=tuple(a for a in plan.actions if a.instance.id not in findings),
        kept=tuple(sorted((*plan.kept, *more), key=lambda kept: kept.instance.id)),
    )


def _safest_first(verdict: Action | Kept) -> tuple[bool, str, str, str]:
    return isinstance(verdict, Action), verdict.rule, verdict.reason, repr(verdict.instance)


def _due(instance: Instance, policy: Policy, now: datetime) -> Finding:
    since = instance.proof_of_life
    age = "" if since is None else f", {format_duration(now - since)} old"
    matched = [wanted.matching(instance.tags) for wanted in policy.selector.tags]
    matched += [f"has {key}" for key in policy.selector.with_tags]
    matched += [f"no tag {key}" for key in policy.selector.without_tags]
    reason = ", ".join([f"is {instance.state}", *matched]) + age
    if policy.selector.expired and instance.lease:
        ago = format_duration(now - instance.lease.expires_at)
        return Finding(rule="lease-expired", reason=f"{reason}, its lease ran out {ago} ago")
    return Finding(rule="older-than" if policy.older_than else "selected", reason=reason)
