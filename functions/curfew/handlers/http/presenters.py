"""Turns fleets, instances and verdicts into HTTP answers."""

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
    """The fleet that holds the name. Raises NotFoundError."""
    fleet = context.app.ledger.fleets.get(name)
    if fleet is None:
        raise NotFoundError(f'there is no fleet "{name}"')
    return fleet


def fleets_at(context: RequestContext, fleet: Fleet) -> FleetLifecycle:
    """Return the use cases of the fleets where this one is. Raises ProviderError."""
    app = context.app
    return app.fleets(app.provider_for(fleet.target), context.clock)


def view_response(context: RequestContext, view: View) -> FleetView:
    """A fleet with each of its instances."""
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
    """What every answer about a fleet has."""
    return {**render.fleet(fleet), "ending": fleet.ended_at is None and fleet.claimed(context.at)}


def about(fleet: Fleet) -> dict[str, str]:
    """What a line in the log has of it."""
    return {"fleet": fleet.name, "launch_id": fleet.launch_id}


def to_the_second(at: datetime) -> datetime:
    """An instant as it is written and read: nobody sees the fraction."""
    return at.replace(microsecond=0)


def summary_of(numbers: Mapping[str, Any]) -> Summary | None:
    """A sweep in numbers, as ``render`` gives them; none before there are any."""
    return Summary.model_validate(dict(numbers)) if numbers else None


def rows_of(report: Report) -> tuple[Row, ...]:
    """One row per candidate, as far as they fit into an answer."""
    found = render.rows(report, render.ROWS_PER_ANSWER)
    return tuple(Row.model_validate(row) for row in found)


def row_of(verdict: Verdict) -> Row:
    """One row of a kept plan."""
    return Row.model_validate(render.row(verdict.judged, verdict.outcome))
