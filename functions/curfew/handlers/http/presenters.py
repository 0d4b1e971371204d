"""Converts fleets, their instances and verdicts to HTTP responses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...core.errors import NotFoundError
from ...core.instance import Instance
from ...core.lease import Fleet, Member
from ...core.report import Report
from ...fleets.lifecycle import FleetLifecycle, View
from ...ledger.records import Verdict
from ...reporting import render
from .responses import FleetView, MemberAnswer, Row, Summary
from .router import RequestContext


def there(context: RequestContext, name: str) -> Fleet:
    """Return the fleet of this name. Raises NotFoundError, LedgerError."""
    fleet = context.app.ledger.fleets.get(name)
    if fleet is None:
        raise NotFoundError(f'there is no fleet "{name}"')
    return fleet


def fleets_at(context: RequestContext, fleet: Fleet) -> FleetLifecycle:
    """Return the use cases of the fleets where this one is. Raises ProviderError."""
    app = context.app
    return app.fleets(app.provider_for(fleet.target), context.clock)


def view_response(context: RequestContext, view: View) -> FleetView:
    """Return the response for a fleet with each of its instances."""
    members = tuple(_member(one, view.instances.get(one.instance_id)) for one in view.members)
    return FleetView(**fleet_response(context, view.fleet), instances=members)


def _member(member: Member, instance: Instance | None) -> MemberAnswer:
    return MemberAnswer(
        id=member.instance_id,
        seen=instance is not None,
        state=str(instance.state) if instance else None,
        type=instance.instance_type if instance else "",
        zone=instance.zone if instance else "",
        launched_at=member.launched_at,
        ended_at=member.ended_at,
    )


def fleet_response(context: RequestContext, fleet: Fleet) -> dict[str, Any]:
    """Return the fields of every response about a fleet."""
    return {**render.fleet(fleet), "ending": fleet.ended_at is None and fleet.claimed(context.at)}


def about(fleet: Fleet) -> dict[str, str]:
    """Return the fields of a fleet in a log line."""
    return {"fleet": fleet.name, "launch_id": fleet.launch_id}


def to_the_second(at: datetime) -> datetime:
    """Return the instant without its fraction of a second, which no response shows."""
    return at.replace(microsecond=0)


def summary_of(numbers: Mapping[str, Any]) -> Summary | None:
    """Return a sweep's summary from the numbers of ``render``, or None if there are none."""
    return Summary.model_validate(dict(numbers)) if numbers else None


def rows_of(report: Report) -> tuple[Row, ...]:
    """Return one row for each candidate, at most as many as a response may have."""
    found = render.rows(report, render.ROWS_PER_ANSWER)
    return tuple(Row.model_validate(row) for row in found)


def row_of(verdict: Verdict) -> Row:
    """Return one row of a stored plan."""
    return Row.model_validate(render.row(verdict.judged, verdict.outcome))
