"""The published versions of an agent, and the way back to one of them."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from ruche.engine.observe import log
from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.authoring import whole_bundle
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, query, read, whole
from ruche.engine.server.routes import AUTHOR, Route
from ruche.plugins.errors import NotFound
from ruche.storage.model.bundle import AgentBundle

_MOST = 1_000_000_000


class RollbackRequest(Body, frozen=True, kw_only=True):
    version: Annotated[int, Meta(ge=1, le=_MOST)]


class VersionShown(Shown, kw_only=True):
    """`hash` is the SHA-256 of the agent's canonical form: two versions with one hash hold the same."""

    version: int
    hash: str
    published_at: str
    source: str
    current: bool
    published_by: str
    note: str


class VersionPage(Shown, kw_only=True):
    items: list[VersionShown]
    next_cursor: str | None


class RolledBack(Shown, kw_only=True):
    """The version that serves now; it holds what version `restored` holds."""

    agent_id: str
    version: int
    hash: str
    restored: int


async def list_versions(request: web.Request) -> web.Response:
    """The newest first."""
    values = query(request, "limit", "cursor")
    engine, tenant, agent = request.app[ENGINE], request[IDENTITY].tenant, request.match_info["agent"]
    current = (await engine.agent(tenant, agent)).version
    limit = whole(values, "limit", 20, 1, 100)
    found = await engine.versions(tenant, agent, below=whole(values, "cursor", current + 1, 1, _MOST), limit=limit)
    more = bool(found) and found[-1].version > 1
    return answer(VersionPage(
        items=[VersionShown(version=one.version, hash=one.hash, published_at=rfc3339(one.at_ms), source=one.source,
                            current=one.version == current, published_by=one.by, note=one.note) for one in found],
        next_cursor=str(found[-1].version) if more else None))


async def read_version(request: web.Request) -> web.Response:
    """What a version held, with the keys that authors write."""
    query(request)
    engine, tenant, agent = request.app[ENGINE], request[IDENTITY].tenant, request.match_info["agent"]
    await engine.agent(tenant, agent)
    number = request.match_info["version"]
    found = (await engine.versions(tenant, agent, below=int(number) + 1, limit=1)
             if number.isascii() and number.isdigit() and 0 < int(number[:10]) <= _MOST and len(number) < 11 else [])
    if not found or str(found[0].version) != number:
        raise NotFound("there is no such version")
    return answer({**whole_bundle(AgentBundle.model_validate_json(found[0].bundle)), "version": found[0].version,
                   "hash": found[0].hash})


async def roll_back(request: web.Request) -> web.Response:
    """What an earlier version holds becomes the newest version; turns that run keep the one they began with."""
    query(request)
    engine, identity, agent = request.app[ENGINE], request[IDENTITY], request.match_info["agent"]
    await engine.agent(identity.tenant, agent)
    body = await read(request, RollbackRequest)
    now = await engine.rollback(identity.tenant, agent, body.version, identity.subject)
    log.info("agent.rollback", request_id=request[REQUEST_ID], tenant=identity.tenant, agent=agent,
             version=now.version, restored=body.version)
    return answer(RolledBack(agent_id=agent, version=now.version, hash=now.hash, restored=body.version))


ROUTES = answered_once((
    Route("GET", "/v1/agents/{agent}/versions", list_versions, "List an agent's published versions, newest first",
          AUTHOR, answer=VersionPage, query=("limit", "cursor")),
    Route("GET", "/v1/agents/{agent}/versions/{version}", read_version, "Read what a version of an agent held", AUTHOR),
    Route("POST", "/v1/agents/{agent}/rollback", roll_back, "Publish an earlier version of an agent again", AUTHOR,
          body=RollbackRequest, answer=RolledBack),
))
