"""*request*: validates the policy file.

An unknown key is an error, and so is an empty selector: neither is ever read as "everything".
"""

from collections.abc import Iterable
from datetime import time, timedelta
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from ..core.instance import ActionKind
from ..core.policy import ALWAYS_PROTECTED, Limits, Policy, Protection, normalize_key
from ..core.schedule import EVERY_DAY, Schedule
from .fields import (
    Count,
    Duration,
    Name,
    Percent,
    Strict,
    TagKeys,
    TimeOfDay,
    TimeZone,
    Weekday,
    Weekdays,
)
from .select import Select, TagValues
from .targets import Cloud, Organization, Targets
from .templates import AnyFleet, CloudFleetEntry, FleetCount, FleetEntry, FleetTtl

# The defaults are the core's.
PROTECTION = Protection()
LIMITS = Limits()
SHORTEST_INTERVAL, LONGEST_INTERVAL = timedelta(minutes=5), timedelta(days=1)


class Protect(Strict):
    """What protects an instance, in addition to the rules that always apply."""

    tags: TagKeys = PROTECTION.tags
    min_age: Duration = PROTECTION.min_age

    def protection(self) -> Protection:
        """Return the core's Protection, which always includes the tag that always protects."""
        return Protection(
            tags=tuple(dict.fromkeys((ALWAYS_PROTECTED, *self.tags))), min_age=self.min_age
        )


class SweepLimits(Strict):
    """A policy's own limits, which replace the file's."""

    per_sweep: Count | None = None
    percent: Percent | None = None


class FileLimits(Strict):
    """How many instances may end at most; zero means none."""

    per_sweep: Count = LIMITS.per_sweep
    percent: Percent = LIMITS.percent
    per_day: Count = LIMITS.per_day

    def limits(self, own: SweepLimits) -> Limits:
        """Return these limits, with those that a policy sets itself replaced."""
        return Limits(
            per_sweep=self.per_sweep if own.per_sweep is None else own.per_sweep,
            percent=self.percent if own.percent is None else own.percent,
            per_day=self.per_day,
        )


class PolicyEntry(Strict):
    """One policy of the file."""

    select: Select
    action: Literal["terminate", "stop", "shelve"]
    older_than: Duration | None = None
    limits: SweepLimits = SweepLimits()

    @model_validator(mode="after")
    def _stoppable(self) -> Self:
        if self.action != "terminate" and set(self.select.states) != {"running"}:
            raise ValueError(
                f"action {self.action} needs states: [running]: nothing else can be stopped"
            )
        return self


class ScheduleEntry(Strict):
    """When a policy is due: at a time of day in the file's time zone, or at a fixed interval.

    A sweep that could not begin on time may still begin until ``catch_up`` later.
    """

    policy: Name
    at: TimeOfDay | None = None
    every: Duration | None = None
    days: Weekdays = ()
    catch_up: Duration = timedelta(hours=4)

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if bool(self.at) == bool(self.every):
            raise ValueError("needs either at or every")
        if self.every and self.days:
            raise ValueError("has days, which go with at")
        if self.every and not SHORTEST_INTERVAL <= self.every <= LONGEST_INTERVAL:
            raise ValueError("every is shorter than 5m or longer than 1d")
        if self.catch_up > LONGEST_INTERVAL:
            raise ValueError("catch_up is longer than 1d: by then the next window has begun")
        return self

    def schedule(self, name: str) -> Schedule:
        """Return the core's Schedule."""
        names = get_args(Weekday)
        return Schedule(
            name=name,
            policy=self.policy,
            at=time.fromisoformat(self.at) if self.at else None,
            every=self.every,
            days=frozenset(map(names.index, self.days)) if self.days else EVERY_DAY,
            catch_up=self.catch_up,
        )


class File(Strict):
    """The whole of ``curfew.yaml``."""

    timezone: TimeZone = "UTC"
    targets: Targets = Targets()
    protect: Protect = Protect()
    limits: FileLimits = FileLimits()
    policies: Annotated[dict[Name, PolicyEntry], Field(min_length=1)]
    schedules: dict[Name, ScheduleEntry] = Field(default_factory=dict)
    fleets: dict[Name, AnyFleet] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _every_schedule_has_its_policy(self) -> Self:
        """Each policy has at most one schedule, so that a sweep belongs to one schedule only."""
        of: dict[str, str] = {}
        for name, schedule in self.schedules.items():
            if schedule.policy not in self.policies:
                known = ", ".join(self.policies)
                raise ValueError(
                    f'schedules.{name} is for the policy "{schedule.policy}"; there are {known}'
                )
            if other := of.get(schedule.policy):
                raise ValueError(f"schedules.{name} and schedules.{other} are for the same policy")
            of[schedule.policy] = name
        return self

    @model_validator(mode="after")
    def _every_cloud_is_a_target(self) -> Self:
        """Instances on a cloud that is not swept would never end."""
        for name, fleet in self.fleets.items():
            if not isinstance(fleet, CloudFleetEntry):
                continue
            cloud = self.targets.clouds.get(fleet.cloud)
            if cloud is None:
                known = ", ".join(self.targets.clouds) or "none"
                raise ValueError(
                    f'fleets.{name} is for the cloud "{fleet.cloud}"; targets.clouds has {known}'
                )
            if not fleet.region and len(cloud.regions) > 1:
                raise ValueError(
                    f"fleets.{name} has no region, and the cloud {fleet.cloud} has {', '.join(cloud.regions)}"
                )
            if fleet.region and fleet.region not in cloud.regions:
                raise ValueError(
                    f'fleets.{name} is for the region "{fleet.region}"; the cloud {fleet.cloud} has '
                    f"{', '.join(cloud.regions)}"
                )
        return self

    @model_validator(mode="after")
    def _every_launch_ends(self) -> Self:
        """Some policy can end each fleet: its limits allow as many instances, and no tag protects them."""
        limits = [
            self.limits.limits(policy.limits)
            for policy in self.policies.values()
            if policy.select.lease and policy.action == "terminate"
        ]
        if self.fleets and not limits:
            raise ValueError(
                "has fleets, and no policy with select: { lease: expired } and action: terminate ends their leases"
            )
        most = max((min(one.per_sweep, one.per_day) for one in limits), default=0)
        for name, fleet in self.fleets.items():
            if key := protecting_key(fleet.tags, self.protect.protection()):
                raise ValueError(
                    f"fleets.{name} launches with the tag {key}, which protects: its lease would never end"
                )
            if 0 < most < fleet.count.max:  # the operator may set zero on purpose
                raise ValueError(
                    f"fleets.{name} may have {fleet.count.max} instances; the policy that ends leases may end {most} "
                    f"at once (per_sweep, per_day): a fleet of that size would never end"
                )
        return self

    def policy(self, name: str, version: str) -> Policy:
        """Return the core's Policy of this name."""
        entry = self.policies[name]
        return Policy(
            name=name,
            selector=entry.select.selector(),
            action=ActionKind(entry.action),
            older_than=entry.older_than,
            protection=self.protect.protection(),
            limits=self.limits.limits(entry.limits),
            version=version,
        )


def protecting_key(tags: Iterable[str], protection: Protection) -> str:
    """Return the first of the tags that protects an instance; empty if none does."""
    wanted = {normalize_key(key) for key in protection.tags}
    return next((key for key in tags if normalize_key(key) in wanted), "")


KEYS = frozenset(
    key
    for model in (
        File,
        Targets,
        Organization,
        Cloud,
        Protect,
        FileLimits,
        PolicyEntry,
        Select,
        TagValues,
        ScheduleEntry,
        FleetEntry,
        CloudFleetEntry,
        FleetCount,
        FleetTtl,
    )
    for key in model.model_fields
)
