"""Launches: a fleet spec from a template, its launch now or by a job, and launches that were interrupted."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from ..app import App
from ..core.errors import NotFoundError, ProviderError, RequestError
from ..core.lease import Fleet
from ..fleets import launcher
from ..fleets.lifecycle import FleetSpec
from ..ledger.records import Key
from ..schemas.messages import Job
from ..schemas.templates import CloudFleetEntry
from .queueing import JobResult
from .targets import TargetResolver, running_fleets

# Grace period for the original request before a tick takes the launch over.
GRACE = timedelta(minutes=3)


def fleet_spec(
    app: App,
    template: str,
    *,
    name: str,
    owner: str,
    expires_at: datetime,
    key: Key,
    count: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> FleetSpec:
    """Return the spec of a launch from a template of the policy file.

    Raises RequestError for an unknown template, and in an account that the file excludes from every sweep: nothing
    would terminate the fleet when its lease expires.
    """
    entry = app.policies.fleet(template)
    if not isinstance(entry, CloudFleetEntry):
        _refuse_excluded_account(app)
    return FleetSpec(
        name=name,
        template=template,
        entry=entry,
        owner=owner,
        expires_at=expires_at,
        key=key,
        protection=app.policies.content.protect.protection(),
        count=count,
        tags=tags or {},
        user_data=app.policies.user_data(template),
        version=app.policies.version,
    )


def launch(app: App, fleet: Fleet, *, deadline: datetime | None) -> Fleet:
    """Continue the launch now, and enqueue what is left. Raises ProviderError, LedgerError, QueueError."""
    continued = continue_launch(app, fleet, deadline=deadline)
    if not continued.phase.finished and app.enqueue:
        app.enqueue(Job(work="launch", id=fleet.launch_id, fleet=fleet.name))
    return continued


def continue_launch(app: App, fleet: Fleet, *, deadline: datetime | None) -> Fleet:
    """Launch what is missing while there is time, and return the fleet. Raises ProviderError, LedgerError."""
    return launcher.continue_launch(
        fleet,
        worker=app.new_id(),
        provider=app.provider_for(fleet.target),
        ledger=app.ledger,
        clock=app.clock(deadline),
    )


def continue_interrupted(app: App, *, deadline: datetime | None) -> list[Fleet]:
    """Continue each launch that was interrupted, and record which fleets have ended.

    Return the fleets whose launch is still not finished. Raises ProviderError, LedgerError.
    """
    continued = [
        continue_launch(app, fleet, deadline=deadline)
        for fleet in app.ledger.fleets.unfinished()
        if app.now() - fleet.created_at > GRACE
    ]
    for fleet in running_fleets(app):
        if fleet.phase.finished:
            with suppress(ProviderError):  # the next tick views it again
                app.fleets(app.provider_for(fleet.target), app.clock(deadline)).view(fleet)
    return [fleet for fleet in continued if not fleet.phase.finished]


def run_launch(app: App, job: Job, *, deadline: datetime | None) -> JobResult:
    """Continue the launch that the job names. Raises NotFoundError, ProviderError, LedgerError."""
    fleet = continue_launch(app, get_fleet(app, job), deadline=deadline)
    return JobResult(message=f'the launch of "{fleet.name}" is {fleet.phase}')


def get_fleet(app: App, job: Job) -> Fleet:
    """Return the fleet of a job. Raises NotFoundError, LedgerError."""
    fleet = app.ledger.fleets.get(job.fleet or "")
    if fleet is None:
        raise NotFoundError(f'there is no fleet "{job.fleet}"')
    return fleet


def _refuse_excluded_account(app: App) -> None:
    if not app.policies.content.targets.never:
        return
    resolver = TargetResolver(app)
    if resolver.is_excluded(resolver.account):
        raise RequestError(
            f"nothing is launched in {resolver.account}: it is among those that are never swept, so that no lease "
            f"would end there; see {app.policies.place('targets', 'never')}"
        )
