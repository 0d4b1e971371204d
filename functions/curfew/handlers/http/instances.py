"""``GET /instances``: list instances by state and tag."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import batched
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from ...app import App
from ...core.instance import Instance, State
from ...core.lease import Lease
from ...core.policy import Selector, TagFilter
from ...orchestration.targets import provider_for_query
from ...schemas.fields import CloudName, CloudRegion
from . import pagination
from .responses import InstanceAnswer, InstancePage
from .router import After, Limit, answers, json_answer, request_context, routes

router = routes()
AT_ONCE = 100  # the leases that the ledger reads in one call
StateWord = Literal["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]
TagWord = Annotated[str, Field(pattern=r"^[^=]{1,128}(=[\s\S]{0,256})?$")]


@router.get(
    "/instances",
    operation_id="listInstances",
    summary="List instances by state and tag",
    description="One page of the instances in a region, launched by Curfew or not, with the leases of the ledger. A "
    "page may have fewer instances than `limit`, or none, and not be the last.",
    tags=["instances"],
    responses=answers({200: (InstancePage, "A page of instances.")}, 502),
)
def list_instances(  # noqa: PLR0917  each is a part of the query
    state: Annotated[
        tuple[StateWord, ...],
        Query(description="The states to list; several mean any of them.", max_length=6),
    ] = ("running",),
    tag: Annotated[
        tuple[TagWord, ...],
        Query(
            description="`key=value` for a tag with this value, `key` for a tag with any value. Several values of one "
            "key mean any of them, different keys all of them. Commas and wildcards are literal.",
            max_length=20,
        ),
    ] = (),
    region: Annotated[
        CloudRegion,
        Query(description="The region; by default the deployment's, or the cloud's only one."),
    ] = "",
    cloud: Annotated[
        CloudName, Query(description="An OpenStack cloud of the policy file's targets.")
    ] = "",
    limit: Annotated[Limit, Query(description="The most instances of one page.")] = 100,
    after: Annotated[After, Query(description="The `after` of the page before.")] = "",
) -> Response[InstancePage]:
    """Return one page of instances."""
    app = request_context(router).app
    provider = provider_for_query(app, region, cloud)
    where = f"{cloud} {provider.target.region}".strip()
    listing = [where, sorted(state), sorted(tag)]
    token = pagination.opened(listing, after)
    page = provider.page(_selector(state, tag), limit=limit, after=token)
    leases = _leases(app, page.instances)
    return json_answer(
        InstancePage(
            instances=tuple(_shown(one, leases.get(one.id)) for one in page.instances),
            after=pagination.sealed(listing, page.after),
        )
    )


def _selector(states: Sequence[str], tags: Sequence[str]) -> Selector:
    values: dict[str, list[str]] = defaultdict(list)
    present = []
    for word in tags:
        key, given, value = word.partition("=")
        if given:
            values[key].append(value)
        else:
            present.append(key)
    return Selector(
        states=frozenset(map(State, states)),
        tags=tuple(TagFilter(key=key, values=tuple(some)) for key, some in values.items()),
        with_tags=tuple(present),
    )


def _leases(app: App, instances: Sequence[Instance]) -> dict[str, Lease]:
    found: dict[str, Lease] = {}
    for some in batched(instances, AT_ONCE, strict=False):
        found |= app.ledger.fleets.leases(some[0].target, [one.id for one in some])
    return found


def _shown(instance: Instance, lease: Lease | None) -> InstanceAnswer:
    known: dict[str, Any] = {"fleet": "", "owner": "", "expires_at": None}
    if lease:
        known = {"fleet": lease.fleet, "owner": lease.owner, "expires_at": lease.expires_at}
    return InstanceAnswer(
        id=instance.id,
        name=instance.name,
        state=str(instance.state),
        type=instance.instance_type,
        zone=instance.zone,
        region=instance.target.region,
        image=instance.image,
        started_at=instance.started_at,
        tags=dict(instance.tags),
        **known,
    )
