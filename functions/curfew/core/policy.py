"""A policy's selector, age and action, and whether an instance matches them. The first half of *decide*.

The filters that the cloud applies to a listing are an optimisation; these functions decide.
"""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from .instance import ActionKind, Instance, State
from .lease import format_utc

ALWAYS_PROTECTED = "curfew:keep"
NOT_SELECTED = "not-selected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The name of a rule, and why it applies, in words."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFilter:
    """A tag key with the values that match: exact values, or patterns with ``*`` and ``?``."""

    key: str
    values: tuple[str, ...] = ()
    like: tuple[str, ...] = ()

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Return whether a tag has exactly this key and one of the values."""
        return self.matching(tags) != ""

    def matching(self, tags: Mapping[str, str]) -> str:
        """Return what matches, in words: ``env=dev``, ``branch like pr-*``; empty if nothing does.

        A value that only a pattern matches is left out: it may contain anything, and the reason is logged.
        """
        value = tags.get(self.key)
        if value is None:
            return ""
        if value in self.values:
            return f"{self.key}={value}"
        fitting = (p for p in self.like if _glob(p).fullmatch(value))
        return next((f"{self.key} like {pattern}" for pattern in fitting), "")

    @property
    def wanted(self) -> str:
        """The matching values, in words."""
        return " or ".join([*self.values, *(f"like {pattern}" for pattern in self.like)])

    def __str__(self) -> str:
        return f"{self.key} = {self.wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which instances a policy selects. Every condition that is set must hold; ``states`` is always set.

    ``expired`` selects instances whose lease has expired, ``launch_id`` those of one launch. Both are decided by the
    ledger, never by a tag.
    """

    states: frozenset[State]
    tags: tuple[TagFilter, ...] = ()
    with_tags: tuple[str, ...] = ()
    without_tags: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    expired: bool = False
    launch_id: str = ""

    @property
    def keys(self) -> frozenset[str]:
        """The tag keys that the selector reads."""
        return frozenset({*(f.key for f in self.tags), *self.with_tags, *self.without_tags})


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What protects an instance, in addition to the rules that always apply."""

    tags: tuple[str, ...] = (ALWAYS_PROTECTED,)
    min_age: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many instances may end at most, by sweep, by share of the listing and by day. Zero means none.

    ``percent`` is a share of the listed population and applies from ``PERCENT_FROM`` instances on: below that, one
    per cent is a fraction of an instance.
    """

    per_sweep: int = 20
    percent: int = 10
    per_day: int = 50


PERCENT_FROM = 10
EVERYTHING = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A selector with a name, an action, protection and limits.

    ``version`` is the fingerprint of the policy file. An active lease protects an instance, unless the policy
    ``ends_leases``: the owner of the fleet has asked for that.
    """

    name: str
    selector: Selector
    action: ActionKind
    older_than: timedelta | None = None
    protection: Protection = field(default_factory=Protection)
    limits: Limits = field(default_factory=Limits)
    version: str = ""
    ends_leases: bool = False


def normalize_key(key: str) -> str:
    """Return a tag key for comparison: without regard to case, as IAM does, and without blanks around it.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    return key.strip().casefold()


def mismatch(instance: Instance, selector: Selector) -> Finding | None:
    """Return why the selector does not select the instance, or None if it does."""
    if instance.state not in selector.states:
        return _not_selected(f"is {instance.state}, not {_listed(sorted(selector.states))}")
    if selector.instance_types and not _any_like(selector.instance_types, instance.instance_type):
        return _not_selected(
            f"is a {instance.instance_type}, not {_listed(selector.instance_types)}"
        )
    for wanted in selector.tags:
        if not wanted.matches(instance.tags):
            has = instance.tags.get(wanted.key)
            if has is None:
                return _not_selected(f"has no tag {wanted.key}")
            return _not_selected(f"{wanted.key} is {has}, not {wanted.wanted}")
    for key in selector.with_tags:
        if key not in instance.tags:
            return _not_selected(f"has no tag {key}")
    present = {normalize_key(key): key for key in instance.tags}
    for key in selector.without_tags:
        # A tag whose key is spelt differently counts as present.
        if spelt := present.get(normalize_key(key)):
            return _not_selected(f"has the tag {spelt}")
    return None


def could_match(instance: Instance, selector: Selector) -> bool:
    """Return whether the selector may select the instance, as far as its description shows.

    A pre-filter that saves ledger reads: ``judge`` is what decides.
    """
    return mismatch(instance, selector) is None


def out_of_lease(instance: Instance, selector: Selector, now: datetime) -> Finding | None:
    """Return why the instance's lease is not what the selector asks for, or None if it is."""
    lease = instance.lease
    if selector.launch_id and (lease is None or lease.launch_id != selector.launch_id):
        return Finding(
            rule="not-in-ledger",
            reason="carries the tag of the fleet, but was not launched for it",
        )
    if selector.expired and lease is None:
        return _not_selected("has no lease")
    if selector.expired and lease is not None and lease.is_active(now):
        return _not_selected(f"has a lease until {format_utc(lease.expires_at)}")
    return None


def too_young(instance: Instance, older_than: timedelta | None, now: datetime) -> Finding | None:
    """Return why the instance is too young for the policy, or None if it is old enough."""
    if older_than is None:
        return None
    since = instance.proof_of_life
    if since is None:
        return Finding(rule="older-than", reason="its age is unknown")
    age = now - since
    if age < older_than:
        return Finding(
            rule="older-than",
            reason=f"is {format_duration(age)} old; the policy waits for {format_duration(older_than)}",
        )
    return None


def format_duration(duration: timedelta) -> str:
    """Return a duration for people, in its largest unit and the next: ``3d 4h``, ``9h``, ``12m``."""
    left = abs(int(duration.total_seconds()))
    sign = "-" if duration < timedelta(0) else ""
    counts: list[tuple[int, str]] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or counts:
            counts.append((count, unit))
    words = [f"{count}{unit}" for count, unit in counts[:2] if count]
    return sign + (" ".join(words) or "0s")


def _not_selected(reason: str) -> Finding:
    return Finding(rule=NOT_SELECTED, reason=reason)


def _listed(words: tuple[str, ...] | list[State]) -> str:
    return " or ".join(words)


def _any_like(patterns: tuple[str, ...], value: str) -> bool:
    return any(_glob(pattern).fullmatch(value) for pattern in patterns)


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a pattern: ``*`` matches any characters, ``?`` any single one, everything else only itself.

    The standard library's translation never backtracks from one ``*`` into the previous one, so that no tag value can
    slow a sweep down.
    """
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
