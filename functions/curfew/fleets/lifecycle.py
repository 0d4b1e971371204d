"""The use cases of a fleet: begin its launch, view it, renew its lease, terminate it.

The caller chooses a template, a name, a number of instances and an end of the lease; the template decides the rest.
The ledger records the whole launch before the first call, so that an interrupted launch continues where it was.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

from ..clock import Clock
from ..core import audit
from ..core.access import Caller, only_owner
from ..core.errors import ConflictError, ProviderError, RequestError
from ..core.instance import ActionKind, Instance, State
from ..core.launch import LaunchSpec
from ..core.lease import LEASE_TAG, Fleet, Member, format_utc, tags_of
from ..core.policy import (
    EVERYTHING,
    Limits,
    Policy,
    Protection,
    Selector,
    TagFilter,
    format_duration,
)
from ..ledger.protocols import Ledger
from ..ledger.records import Key
from ..providers.base import Provider
from ..schemas.policy_file import protecting_key
from ..schemas.templates import CloudFleetEntry, FleetEntry

SHORTEST = timedelta(minutes=1)
# An instance that cannot be seen so long after the end of its lease has ended: EC2 shows a terminated instance for
# about an hour.
UNSEEN_MEANS_ENDED = timedelta(days=1)
RETRY_AFTER = 30  # seconds: when a caller may try again after a conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """A requested launch and the template that it names; without ``count``, the template's default counts.

    ``begin`` refuses tags that the ``protection`` would keep: such a fleet would never end.
    """

    name: str
    template: str
    entry: FleetEntry | CloudFleetEntry
    owner: str
    expires_at: datetime
    key: Key
    protection: Protection
    count: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    user_data: str = field(default="", repr=False)
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A fleet and its instances as they are now. An instance that the cloud does not show is not in ``instances``."""

    fleet: Fleet
    members: tuple[Member, ...]
    instances: Mapping[str, Instance]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLifecycle:
    """The use cases of the fleets at one provider. ``launcher`` continues what ``begin`` has recorded."""

    provider: Provider
    ledger: Ledger
    clock: Clock

    def begin(self, spec: FleetSpec) -> Fleet:
        """Record the launch in the ledger, or return the fleet of an earlier request with the same key.

        Nothing is launched yet. Raises RequestError for a value that the template does not allow, ReusedKeyError,
        ConflictError, ProviderError if the image cannot be resolved, LedgerError.
        """
        if known := self.ledger.fleets.recall(spec.key):
            return known
        if key := protecting_key(spec.tags, spec.protection):
            raise RequestError(f"tags.{key} would protect the fleet: its lease would never end")
        count = spec.entry.count.default if spec.count is None else spec.count
        if not 1 <= count <= spec.entry.count.max:
            most = spec.entry.count.max
            raise RequestError(
                f'count is {count}: a fleet of "{spec.template}" may have 1 to {most}'
            )
        now = self.clock.now()
        _bounded(spec.expires_at, spec.entry.ttl.max, now)
        fleet = Fleet(
            name=spec.name,
            launch_id=uuid4().hex,
            template=spec.template,
            target=self.provider.target,
            owner=spec.owner,
            count=count,
            created_at=now,
            expires_at=spec.expires_at,
            longest=spec.entry.ttl.max,
        )
        launch_spec = LaunchSpec(
            launch_id=fleet.launch_id,
            target=self.provider.target,
            image=self.provider.image(spec.entry.image),
            user_data=spec.user_data,
            count=count,
            tags={"Name": spec.name, **spec.entry.tags, **spec.tags, **tags_of(fleet)},
            version=spec.version,
            **spec.entry.details(),
        )
        opened = self.ledger.fleets.open(fleet, launch_spec, spec.key)
        if opened.launch_id == fleet.launch_id:
            until = format_utc(spec.expires_at)
            _audit(self.ledger, opened, "launch", by=spec.owner, now=now, count=count, until=until)
        return opened

    def view(self, fleet: Fleet) -> View:
        """Return the fleet as it is now, and record which of its instances have ended.

        Raises ProviderError, LedgerError.
        """
        now = self.clock.now()
        members = self.ledger.fleets.members(fleet.launch_id)
        seen = self.provider.describe([m.instance_id for m in members if m.ended_at is None])
        ended = [
            m.instance_id
            for m in members
            if m.ended_at is None and _is_over(seen.get(m.instance_id), fleet, now)
        ]
        if not ended and not fleet.ended_at and members and all(m.ended_at for m in members):
            # An earlier caller recorded the last instance and stopped before it ended the fleet: end it again.
            ended = [members[0].instance_id]
        if ended:
            self.ledger.fleets.end(fleet.target, ended, now=now)
            members = self.ledger.fleets.members(fleet.launch_id)
            fleet = _current(self.ledger, fleet)
        return View(fleet=fleet, members=members, instances=seen)

    def renew(self, fleet: Fleet, expires_at: datetime, *, caller: Caller) -> tuple[Fleet, str]:
        """Set another end of the lease, later or sooner. Once this returns, no sweep ends the fleet before it.

        The tags on the instances are for people. If they cannot be written, the second value says so and the lease
        holds. Raises ForbiddenError, RequestError for an end beyond the template's bounds, ConflictError if the fleet
        is being ended, LedgerError.
        """
        only_owner(caller, fleet)
        now = self.clock.now()
        _bounded(expires_at, fleet.longest, now)
        with suppress(ProviderError):  # an instance that cannot be seen may run
            self.view(fleet)
        if not self.ledger.fleets.renew(fleet, expires_at, now=now):
            raise _too_late(_current(self.ledger, fleet))
        renewed = replace(fleet, expires_at=expires_at)
        before, until = format_utc(fleet.expires_at), format_utc(expires_at)
        _audit(self.ledger, fleet, "lease", by=caller.id, now=now, before=before, until=until)
        try:
            members = self.ledger.fleets.members(fleet.launch_id)
            alive = [member.instance_id for member in members if not member.ended_at]
            self.provider.label(alive, {LEASE_TAG: until}, by=fleet.launch_id)
        except ProviderError as error:
            return renewed, f"the lease is set, but the tags could not be written: {error}"
        return renewed, ""


def claim(fleet: Fleet, *, caller: Caller, by: str, ledger: Ledger, now: datetime) -> None:
    """Claim the fleet for the sweep ``by``, which ends it: from now on it is neither launched further nor renewed.

    It needs no provider: an accepted termination is recorded before the cloud is asked for anything. Raises
    ForbiddenError, ConflictError if the fleet has ended, is being ended or is being launched, LedgerError.
    """
    only_owner(caller, fleet)
    if not ledger.fleets.claim(fleet.name, fleet.launch_id, by, now=now, expired=False):
        raise _too_late(_current(ledger, fleet))
    _audit(ledger, fleet, "terminate-requested", by=caller.id, now=now, sweep=by)


def termination_policy(
    fleet: Fleet, protection: Protection, limits: Limits, *, version: str = ""
) -> Policy:
    """Return the policy of the sweep that ends one fleet. It selects the instances of its launch that have its tag.

    The owner terminates it early, so neither its lease nor its minimum age protects it; everything else does.
    """
    return Policy(
        name=f"fleet:{fleet.name}",
        selector=Selector(
            states=frozenset({State.PENDING, State.RUNNING, State.STOPPING, State.STOPPED}),
            tags=(TagFilter(key="curfew:fleet", values=(fleet.name,)),),
            launch_id=fleet.launch_id,
        ),
        action=ActionKind.TERMINATE,
        protection=replace(protection, min_age=timedelta(0)),
        limits=replace(limits, per_sweep=max(fleet.count, 1), percent=EVERYTHING),
        version=version,
        ends_leases=True,
    )


def _bounded(expires_at: datetime, longest: timedelta, now: datetime) -> None:
    if expires_at < now + SHORTEST:
        raise RequestError(
            f"the lease would end at {format_utc(expires_at)}: that is less than {format_duration(SHORTEST)} from now"
        )
    if expires_at > now + longest:
        raise RequestError(
            f"the lease would end at {format_utc(expires_at)}: the template allows "
            f"{format_duration(longest)} from now, until {format_utc(now + longest)}"
        )


def _is_over(instance: Instance | None, fleet: Fleet, now: datetime) -> bool:
    if instance is None:
        return now - fleet.expires_at > UNSEEN_MEANS_ENDED
    return instance.state is State.TERMINATED


def _current(ledger: Ledger, fleet: Fleet) -> Fleet:
    current = ledger.fleets.get(fleet.name)
    return current if current and current.launch_id == fleet.launch_id else fleet


def _too_late(fleet: Fleet) -> ConflictError:
    if fleet.ended_at:
        return ConflictError(f'the fleet "{fleet.name}" ended at {format_utc(fleet.ended_at)}')
    return ConflictError(
        f'the fleet "{fleet.name}" is being ended by the sweep {fleet.claimed_by}',
        retry_after=RETRY_AFTER,
    )


def _audit(
    ledger: Ledger, fleet: Fleet, action: str, *, by: str, now: datetime, **details: str | int
) -> None:
    draft = audit.event(
        action, fleet.name, launch_id=fleet.launch_id, by=by, at=now, fleet=fleet.name, **details
    )
    ledger.append(fleet.target, [draft])
