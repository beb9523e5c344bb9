"""Plans for conversations that run while an agent changes: from its draft to the version that serves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Meta

from ruche.engine.observe import log
from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, query, read
from ruche.engine.server.routes import AUTHOR, OVERSEE, WRITE, Route
from ruche.storage.model.migration import MigrationPlan, StepPolicy

_LONGEST = 2_000


class PolicyRequest(Body, frozen=True, kw_only=True):
    """What is wanted instead of the plan's move at a step (`*`: at any)."""

    scenario: Annotated[str, Meta(min_length=1, max_length=100)]
    step: Annotated[str, Meta(min_length=1, max_length=100)]
    action: Literal["automatic", "stay", "restart", "exit"]
    channels: list[str] = []
    older_than_s: Annotated[int, Meta(ge=0)] = 0


class DecisionRequest(Body, frozen=True, kw_only=True):
    note: Annotated[str, Meta(max_length=_LONGEST)] = ""


class PlanShown(Shown, kw_only=True):
    """A plan in brief; `deployed_version` is 0 until it is deployed."""

    id: str
    agent: str
    state: str
    from_version: int
    to_hash: str
    deployed_version: int
    by: str
    note: str


class PlanList(Shown, kw_only=True):
    items: list[PlanShown]


async def make_plan(request: web.Request) -> web.Response:
    """From the version that serves to the agent's draft."""
    query(request)
    engine, tenant, agent = await _place(request)
    draft = await engine.drafts.read(tenant, agent)
    plan = await engine.migrations.plan(tenant, draft.bundle, request[IDENTITY].subject)
    return answer(_shown(plan), status=201)


async def list_plans(request: web.Request) -> web.Response:
    """The newest first."""
    query(request)
    engine, tenant, agent = await _place(request)
    return answer(PlanList(items=[_shown(one) for one in await engine.migrations.plans(tenant, agent)]))


async def list_all(request: web.Request) -> web.Response:
    """Of every agent of the tenant, the newest first."""
    query(request)
    found = await request.app[ENGINE].migrations.plans(request[IDENTITY].tenant)
    return answer(PlanList(items=[_shown(one) for one in found]))


async def show_summary(request: web.Request) -> web.Response:
    """Each step's move, and how many conversations stand there now."""
    query(request)
    engine, tenant, agent = await _place(request)
    return answer(await engine.migrations.summary(tenant, agent, request.match_info["id"]))


async def show_status(request: web.Request) -> web.Response:
    """How many conversations have moved, and how many still wait for their next message."""
    query(request)
    engine, tenant, agent = await _place(request)
    return answer(await engine.migrations.status(tenant, agent, request.match_info["id"]))


async def set_policy(request: web.Request) -> web.Response:
    """Decide otherwise for conversations at a step; the plan is to be approved again."""
    query(request)
    engine, tenant, agent = await _place(request)
    body = await read(request, PolicyRequest)
    wish = StepPolicy(step=body.step, action=body.action, channels=tuple(body.channels), older_than_s=body.older_than_s)
    return answer(_shown(await engine.migrations.policy(tenant, agent, request.match_info["id"], body.scenario, wish)))


async def approve(request: web.Request) -> web.Response:
    return await _decided(request, "approve")


async def reject(request: web.Request) -> web.Response:
    return await _decided(request, "reject")


async def deploy(request: web.Request) -> web.Response:
    """Publish what an approved plan leads to; conversations move with their next message."""
    query(request)
    engine, tenant, agent = await _place(request)
    now = await engine.migrations.deploy(tenant, agent, request.match_info["id"], by=request[IDENTITY].subject)
    log.info("migration.deploy", request_id=request[REQUEST_ID], tenant=tenant, agent=agent, version=now.version)
    (plan,) = [one for one in await engine.migrations.plans(tenant, agent) if one.id == request.match_info["id"]]
    return answer(_shown(plan))


async def _decided(request: web.Request, decision: Literal["approve", "reject"]) -> web.Response:
    query(request)
    engine, tenant, agent = await _place(request)
    body = await read(request, DecisionRequest)
    decide = getattr(engine.migrations, decision)
    plan = await decide(tenant, agent, request.match_info["id"], by=request[IDENTITY].subject, note=body.note)
    log.info(f"migration.{decision}", request_id=request[REQUEST_ID], tenant=tenant, agent=agent)
    return answer(_shown(plan))


async def _place(request: web.Request) -> tuple[Any, str, str]:
    """Engine, tenant, agent. Raises NotFound for an agent that does not serve this tenant."""
    engine, tenant, agent = request.app[ENGINE], request[IDENTITY].tenant, request.match_info["agent"]
    await engine.agent(tenant, agent)
    return engine, tenant, agent


def _shown(plan: MigrationPlan) -> PlanShown:
    return PlanShown(id=plan.id, agent=plan.agent, state=plan.state, from_version=plan.from_version,
                     to_hash=plan.to_hash, deployed_version=plan.deployed_version, by=plan.by, note=plan.note)


_PLANS = "/v1/agents/{agent}/migrations"
ROUTES = answered_once((
    Route("POST", _PLANS, make_plan, "Plan what becomes of running conversations when the draft is published", WRITE,
          answer=PlanShown, status=201),
    Route("GET", "/v1/migrations", list_all, "List all plans for running conversations", AUTHOR, answer=PlanList),
    Route("GET", _PLANS, list_plans, "List an agent's plans for running conversations", AUTHOR, answer=PlanList),
    Route("GET", f"{_PLANS}/{{id}}/summary", show_summary, "Show what a plan does at each step", AUTHOR),
    Route("GET", f"{_PLANS}/{{id}}/status", show_status, "Show how far a deployed plan has come", AUTHOR),
    Route("PUT", f"{_PLANS}/{{id}}/policies", set_policy, "Decide otherwise for conversations at a step", WRITE,
          body=PolicyRequest, answer=PlanShown),
    Route("POST", f"{_PLANS}/{{id}}/approve", approve, "Say that a plan may be deployed", OVERSEE,
          body=DecisionRequest, answer=PlanShown),
    Route("POST", f"{_PLANS}/{{id}}/reject", reject, "Say that a plan may not be deployed", OVERSEE,
          body=DecisionRequest, answer=PlanShown),
    Route("POST", f"{_PLANS}/{{id}}/deploy", deploy, "Publish what an approved plan leads to", OVERSEE,
          answer=PlanShown),
))
