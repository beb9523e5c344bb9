"""Why a text would match what it matches: for authors, about the published agent. Nothing is said, called or kept."""

from __future__ import annotations

from aiohttp import web

from ruche.engine.brain.explain import Explained
from ruche.engine.server.answers import answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import Body, Id, Text, query, read
from ruche.engine.server.routes import AUTHOR, Route
from ruche.engine.server.sessions import own_session


class ExplainRequest(Body, frozen=True, kw_only=True):
    """`session_id` explains the text in the place where that conversation stands, else in one that begins."""

    text: Text
    session_id: Id | None = None


async def explain_text(request: web.Request) -> web.Response:
    """Every rule and scenario, with scores, what dropped it and why."""
    query(request)
    engine, tenant, agent = request.app[ENGINE], request[IDENTITY].tenant, request.match_info["agent"]
    await engine.agent(tenant, agent)
    body = await read(request, ExplainRequest)
    session = None if body.session_id is None else (await own_session(request, body.session_id)).id
    return answer(await engine.explain(tenant, agent, body.text, session))


ROUTES = (
    Route("POST", "/v1/agents/{agent}/explain", explain_text, "Explain which rules and scenarios a text would match",
          AUTHOR, body=ExplainRequest, answer=Explained),
)
