"""The agents of a tenant as they are published. Folder agents are read here and written in their folder."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import query
from ruche.engine.server.routes import AUTHOR, Route


class AgentShort(Shown, kw_only=True):
    id: str
    name: str
    description: str
    version: int
    languages: list[str]
    public: bool
    rules: int
    scenarios: int


class AgentList(Shown, kw_only=True):
    items: list[AgentShort]
    next_cursor: str | None = None


async def list_agents(request: web.Request) -> web.Response:
    query(request)
    published = await request.app[ENGINE].agents(request[IDENTITY].tenant)
    return answer(AgentList(items=[AgentShort(
        id=one.bundle.id, name=one.bundle.agent.name, description=one.bundle.agent.description, version=one.version,
        languages=list(one.bundle.agent.languages), public=one.bundle.agent.public, rules=len(one.bundle.rules),
        scenarios=len(one.bundle.scenarios)) for one in published]))


async def read_agent(request: web.Request) -> web.Response:
    """The whole agent, with the keys an author writes. The sources of its tools stay in the folder."""
    query(request)
    published = await request.app[ENGINE].agent(request[IDENTITY].tenant, request.match_info["agent"])
    whole: dict[str, Any] = published.bundle.model_dump(mode="json", by_alias=True, exclude={"sources", "tenant"})
    for tool in whole["tools"]:
        tool["headers"] = sorted(tool["headers"])
    return answer({**whole, "version": published.version})


ROUTES = (
    Route("GET", "/v1/agents", list_agents, "List agents", AUTHOR, answer=AgentList),
    Route("GET", "/v1/agents/{agent}", read_agent, "Read an agent with its rules, scenarios and words", AUTHOR),
)
