"""The use cases of a fleet: launch it from a template, look at it, change its lease, end it.

Who launches chooses a template, a name, a number and a time; everything else is the template's. What is asked is
frozen in the ledger before the first call, and a launch that broke off is taken up where it stands.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

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
# An instance that is not to be seen so long after the end of its lease has ended, whoever ended it: EC2 shows what is
# terminated for about an hour.
GONE = timedelta(days=1)
RETRY_AFTER = 30  # seconds after which whoever came at the wrong moment may try again


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """A launch as somebody asks for it, with the template that it names. ``count`` has the template's default.

    ``protection`` is what no launch may give itself.
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
    """A fleet with its instances as they are now; one that is not to be seen is missing from ``instances``."""

    fleet: Fleet
    members: tuple[Member, ...]
    instances: Mapping[str, Instance]


def begin(spec: FleetSpec, *, provider: Provider, ledger: Ledger, now: datetime) -> Fleet:
    """Freeze the wish in the ledger, or find the fleet that the same wish has led to already.

    Nothing is launched yet. Raises RequestError for what the template does not allow, ReusedKeyError, ConflictError,
    ProviderError if the image cannot be resolved, LedgerError.
    """
    if known := ledger.fleets.recall(spec.key):
        return known
    if key := protecting_key(spec.tags, spec.protection):
        raise RequestError(f"tags.{key} would protect the fleet: its lease would never end")
    count = spec.entry.count.default if spec.count is None else spec.count
    if not 1 <= count <= spec.entry.count.max:
        most = spec.entry.count.max
        raise RequestError(f'count is {count}: a fleet of "{spec.template}" may have 1 to {most}')
    _bounded(spec.expires_at, spec.entry.ttl.max, now)
    fleet = Fleet(
        name=spec.name,
        launch_id=uuid4().hex,
        template=spec.template,
        target=provider.target,
        owner=spec.owner,
        count=count,
        created_at=now,
        expires_at=spec.expires_at,
        longest=spec.entry.ttl.max,
    )
    launch_spec = LaunchSpec(
        launch_id=fleet.launch_id,
        target=provider.target,
        image=provider.image(spec.entry.image),
        user_data=spec.user_data,
        count=count,
        tags={"Name": spec.name, **spec.entry.tags, **spec.tags, **tags_of(fleet)},
        version=spec.version,
        **spec.entry.details(),
    )
    opened = ledger.fleets.open(fleet, launch_spec, spec.key)
    if opened.launch_id == fleet.launch_id:
        _audit(
            ledger,
            opened,
            "launch",
            by=spec.owner,
            now=now,
            count=count,
            until=format_utc(spec.expires_at),
        )
    return opened


def view(fleet: Fleet, *, provider: Provider, ledger: Ledger, now: datetime) -> View:
    """The fleet as it is now. Instances that are seen to have ended are written down as ended.

    Raises ProviderError, LedgerError.
    """
    members = ledger.fleets.members(fleet.launch_id)
    seen = provider.describe([m.instance_id for m in members if m.ended_at is None])
    ended = [
        m.instance_id
        for m in members
        if m.ended_at is None and _is_over(seen.get(m.instance_id), fleet, now)
    ]
    if not ended and not fleet.ended_at and members and all(m.ended_at for m in members):
        # Whoever wrote down the last of them broke off before the fleet: it is said once more.
        ended = [members[0].instance_id]
    if ended:
        ledger.fleets.end(fleet.target, ended, now=now)
        members = ledger.fleets.members(fleet.launch_id)
        fleet = _current(ledger, fleet)
    return View(fleet=fleet, members=members, instances=seen)


def renew(
    fleet: Fleet,
    expires_at: datetime,
    *,
    caller: Caller,
    provider: Provider,
    ledger: Ledger,
    now: datetime,
) -> tuple[Fleet, str]:
    """Set another end of the lease, later or sooner. From the answer on, no sweep ends the fleet before it.

    The tags are written anew for people; that they could not be is told and changes nothing. Raises ForbiddenError,
    RequestError for an end beyond the template's bounds, ConflictError if the fleet is being ended, LedgerError.
    """
    only_owner(caller, fleet)
    _bounded(expires_at, fleet.longest, now)
    with suppress(ProviderError):  # who is not to be seen may live
        view(fleet, provider=provider, ledger=ledger, now=now)
    if not ledger.fleets.renew(fleet, expires_at, now=now):
        raise _too_late(_current(ledger, fleet))
    renewed = replace(fleet, expires_at=expires_at)
    _audit(
        ledger, fleet, "lease", by=caller.id, now=now, before=format_utc(fleet.expires_at), until=format_utc(expires_at)
    )  # fmt: skip
    try:
        alive = [m.instance_id for m in ledger.fleets.members(fleet.launch_id) if not m.ended_at]
        provider.label(alive, {LEASE_TAG: format_utc(expires_at)}, by=fleet.launch_id)
    except ProviderError as error:
        return renewed, f"the lease is set, but the tags could not be written: {error}"
    return renewed, ""


def terminate(fleet: Fleet, *, caller: Caller, by: str, ledger: Ledger, now: datetime) -> None:
    """Claim the fleet for the sweep ``by`` that is to end it: nothing more is launched for it, nothing renewed.

    Raises ForbiddenError, ConflictError if it has ended, is being ended or is being launched, LedgerError.
    """
    only_owner(caller, fleet)
    if not ledger.fleets.claim(fleet.name, fleet.launch_id, by, now=now, expired=False):
        raise _too_late(_current(ledger, fleet))
    _audit(ledger, fleet, "terminate-requested", by=caller.id, now=now, sweep=by)


def termination_policy(
    fleet: Fleet, protection: Protection, limits: Limits, *, version: str = ""
) -> Policy:
    """The policy that ends one fleet, for a sweep like any other: what carries its tag and came of its launch.

    Its owner gave it up, so its lease and its youth protect it no longer; everything else does.
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
        return now - fleet.expires_at > GONE
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
