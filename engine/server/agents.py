"""The agents of a tenant as they are published. Folder agents are read here and written in their folder."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import query
from ruche.engine.server.routes import AUTHOR, Route
from ruche.storage.model.bundle import AgentBundle


class AgentShort(Shown, kw_only=True):
    """`version` 0: a draft that was never published. `source`: `folder` agents are written in their folder."""

    id: str
    name: str
    description: str
    version: int
    languages: list[str]
    public: bool
    rules: int
    scenarios: int
    source: str


class AgentList(Shown, kw_only=True):
    items: list[AgentShort]
    next_cursor: str | None = None


async def list_agents(request: web.Request) -> web.Response:
    query(request)
    engine, tenant = request.app[ENGINE], request[IDENTITY].tenant
    found = [_short(one.bundle, one.version, one.source) for one in await engine.agents(tenant)]
    drafts = [_short(one.bundle, 0, "api") for one in await engine.drafts.unpublished(tenant)]
    return answer(AgentList(items=sorted([*found, *drafts], key=lambda one: one.id)))


def _short(bundle: AgentBundle, version: int, source: str) -> AgentShort:
    return AgentShort(id=bundle.id, name=bundle.agent.name, description=bundle.agent.description, version=version,
                      languages=list(bundle.agent.languages), public=bundle.agent.public, rules=len(bundle.rules),
                      scenarios=len(bundle.scenarios), source=source)


async def read_agent(request: web.Request) -> web.Response:
    """The whole agent as it serves, with the keys an author writes. The sources of its tools stay in the folder."""
    query(request)
    published = await request.app[ENGINE].agent(request[IDENTITY].tenant, request.match_info["agent"])
    whole: dict[str, Any] = published.bundle.model_dump(mode="json", by_alias=True, exclude={"sources", "tenant"})
    for tool in whole["tools"]:
        tool["headers"] = sorted(tool["headers"])
    return answer({**whole, "version": published.version, "source": published.source})


ROUTES = (
    Route("GET", "/v1/agents", list_agents, "List agents", AUTHOR, answer=AgentList),
    Route("GET", "/v1/agents/{agent}", read_agent, "Read an agent with its rules, scenarios and words", AUTHOR),
)
