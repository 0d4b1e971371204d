"""``/sweeps``: make a plan of a policy, read it, and apply it as it is, or not at all."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from pydantic import Field

from ...core.access import only_administrator
from ...core.errors import RequestError
from ...core.target import Target
from ...ledger.records import PlanPhase, StoredPlan
from ...orchestration import plans
from ...orchestration.targets import TargetResolver, provider_for_query
from ...reporting.telemetry import logger, publish
from ...schemas.messages import SweepRequest
from ...sweep import stored_plans
from ...sweep.run_state import SHELF_LIFE
from . import pagination
from .presenters import row_of, summary_of
from .request_bodies import PlanBody
from .responses import PlanAnswer
from .router import (
    After,
    Limit,
    RequestContext,
    answers,
    example,
    json_answer,
    request_context,
    routes,
)

router = routes()
IN_TIME = 18  # seconds for the listing; Curfew then writes and reads the verdicts
PAGE = 100
PLANS = {"nightly": example("What the sweep of tonight would terminate", policy="nightly")}
PlanId = Annotated[
    str, Field(pattern="^[A-Za-z0-9-]{1,80}$"), Path(description="The id of the plan.")
]


@router.post(
    "/sweeps",
    operation_id="planSweep",
    summary="Make a plan of a policy",
    description="Finds and decides, and changes nothing. The plan has an id, a hash and an expiry, and every action "
    "and every kept instance with its reason.",
    tags=["sweeps"],
    responses=answers(
        {
            201: (PlanAnswer, "The plan, with the first of its verdicts."),
            202: (PlanAnswer, "The listing continues in the background. Ask again at Location."),
        },
        502,
        body=True,
    ),
)
def plan_sweep(
    body: Annotated[
        PlanBody, Body(description="The policy, and the region or cloud.", openapi_examples=PLANS)
    ],
) -> Response[PlanAnswer]:
    """Make a plan."""
    context = request_context(router)
    app = context.app
    target = _target(context, body)
    record = StoredPlan(
        id=app.new_id(),
        policy=body.policy,
        policy_version=app.policies.version,
        target=target,
        asked_by=context.caller.id,
        made_at=context.at,
        expires_at=context.at + SHELF_LIFE,
    )
    app.ledger.plans.open(record)
    made = plans.make_plan(app, record, deadline=context.within(IN_TIME))
    logger.info(
        f"the plan {made.id} is {made.phase}",
        extra={"sweep_id": made.id, "policy": made.policy},
    )
    going_on = made.phase is PlanPhase.PLANNING
    status = HTTPStatus.ACCEPTED if going_on else HTTPStatus.CREATED
    return json_answer(_plan_response(context, made), status, location=f"/sweeps/{made.id}")


@router.get(
    "/sweeps/<id>",
    operation_id="showSweep",
    summary="Read a plan",
    description="The plan with a page of its verdicts: every action and every kept instance with its reason, and the "
    "outcome of each action once the plan is applied.",
    tags=["sweeps"],
    responses=answers({200: (PlanAnswer, "The plan as it is now.")}, 404),
)
def show_sweep(
    id: PlanId,  # noqa: A002  as the path has it
    limit: Annotated[Limit, Query(description="The most verdicts of one page.")] = PAGE,
    after: Annotated[After, Query(description="The `after` of the page before.")] = "",
) -> Response[PlanAnswer]:
    """Return a plan."""
    context = request_context(router)
    record = stored_plans.get_plan(id, plans=context.app.ledger.plans)
    return json_answer(_plan_response(context, record, limit=limit, after=after))


@router.post(
    "/sweeps/<id>/apply",
    operation_id="applySweep",
    summary="Apply a plan",
    description="Executes this plan and nothing else, once. It is refused if it is stale, if the policies have "
    "changed, or while sweeps are paused; each instance is described and judged again just before its call. Only an "
    "administrator may do this.",
    tags=["sweeps"],
    responses=answers(
        {
            200: (PlanAnswer, "The outcome of each action."),
            202: (PlanAnswer, "Begun; continues in the background. Ask again at Location."),
        },
        403, 404, 409, 502,
    ),
)  # fmt: skip
def apply_sweep(
    id: PlanId,  # noqa: A002  as the path has it
) -> Response[PlanAnswer]:
    """Apply a plan."""
    context = request_context(router)
    only_administrator(context.caller)
    record = stored_plans.get_plan(id, plans=context.app.ledger.plans)
    applied, report = plans.apply_plan(
        context.app, record, caller=context.caller, deadline=context.cut_off
    )
    if report is None:
        answer = _plan_response(context, applied)
        return json_answer(answer, HTTPStatus.ACCEPTED, location=f"/sweeps/{id}")
    publish(report)
    return json_answer(_plan_response(context, applied))


def _target(context: RequestContext, body: PlanBody) -> Target:
    """Return the one target of the plan. Raises RequestError, ProviderError, LedgerError."""
    resolver = TargetResolver(context.app)
    if body.cloud:
        wanted = provider_for_query(context.app, body.region or "", body.cloud).target
        request = SweepRequest(policy=body.policy, accounts=(body.cloud,))
        (target,) = (one for one in resolver.resolve(request).targets if one == wanted)
        return target
    region = body.region or _only_region(context, body.policy)
    request = SweepRequest.parse({"policy": body.policy, "regions": [region]})
    (target,) = resolver.resolve(request).targets
    return target


def _only_region(context: RequestContext, policy: str) -> str:
    regions = context.app.policies.policy(policy).selector.regions or (context.app.settings.region,)
    if len(regions) > 1:
        raise RequestError(
            f'region is missing: the policy "{policy}" has {", ".join(regions)}, and a plan has one of them'
        )
    return regions[0]


def _plan_response(
    context: RequestContext, record: StoredPlan, *, limit: int = PAGE, after: str = ""
) -> PlanAnswer:
    listing = ["sweeps", record.id]
    page = context.app.ledger.plans.verdicts(
        record, limit=limit, after=pagination.opened(listing, after)
    )
    return PlanAnswer(
        id=record.id,
        policy=record.policy,
        policy_version=record.policy_version,
        account=record.target.account,
        region=record.target.region,
        phase=str(record.phase),
        hash=record.hash,
        asked_by=record.asked_by,
        applied_by=record.applied_by,
        made_at=record.made_at,
        expires_at=record.expires_at,
        summary=summary_of(record.summary),
        verdicts=tuple(map(row_of, page.items)),
        after=pagination.sealed(listing, page.after),
    )
