"""What happened in conversations. An interlocutor sees their own; another's is answered like an unknown one."""

from __future__ import annotations

import time

from aiohttp import web

from ruche.engine.server.answers import SessionPage, SessionShown, TurnPage, answer, history_for, session_for
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import query, whole
from ruche.engine.server.routes import ANYBODY, OVERSEE, WATCH, Route
from ruche.plugins.errors import NotFound
from ruche.storage.model.conversation import SessionState


async def own_session(request: web.Request, session_id: str | None = None) -> SessionState:
    """The session of the path (or this one), if this identity may see it; NotFound otherwise, whatever the reason."""
    identity = request[IDENTITY]
    session = await request.app[ENGINE].session(identity.tenant, session_id or request.match_info["id"])
    mine = (request.app[ENGINE].same_person(identity.tenant, session.key.interlocutor, identity.interlocutor)
            and identity.may_use(session.key.agent))
    if mine or identity.sees_everybody or "channel" in identity.roles:
        return session
    raise NotFound("there is no such session")


async def list_sessions(request: web.Request) -> web.Response:
    """The newest first; those who may not see everybody's get their own."""
    identity = request[IDENTITY]
    values = query(request, "agent", "interlocutor", "limit", "cursor")
    asked = values.get("interlocutor")
    if not identity.sees_everybody:
        asked = identity.speaks_as(None, asked)
    page = await request.app[ENGINE].sessions(
        identity.tenant, interlocutor=asked, agent=values.get("agent"), limit=whole(values, "limit", 20, 1, 100),
        cursor=values.get("cursor"))
    now = int(time.time() * 1000)
    return answer(SessionPage(items=[session_for(one, identity, now) for one in page.items],
                              next_cursor=page.next_cursor))


async def read_session(request: web.Request) -> web.Response:
    query(request)
    return answer(session_for(await own_session(request), request[IDENTITY], int(time.time() * 1000)))


async def list_turns(request: web.Request) -> web.Response:
    """The turns of a session, oldest first."""
    values = query(request, "limit", "cursor")
    identity = request[IDENTITY]
    session = await own_session(request)
    page = await request.app[ENGINE].runs(identity.tenant, session=session.id, oldest_first=True,
                                          limit=whole(values, "limit", 20, 1, 100), cursor=values.get("cursor"))
    return answer(TurnPage(items=[history_for(run, identity) for run in page.items], next_cursor=page.next_cursor))


async def close_session(request: web.Request) -> web.Response:
    """Close it: the next message of the same person begins another."""
    session = await own_session(request)
    await request.app[ENGINE].close_session(request[IDENTITY].tenant, session.id)
    return web.Response(status=204)


async def who_am_i(request: web.Request) -> web.Response:
    """What the token says: how a page with a cookie learns whose it is."""
    query(request)
    identity = request[IDENTITY]
    return answer({"tenant_id": identity.tenant, "subject": identity.subject, "roles": sorted(identity.roles)})


ROUTES = (
    Route("GET", "/v1/identity", who_am_i, "Who the token says you are", ANYBODY),
    Route("GET", "/v1/sessions", list_sessions, "List sessions", WATCH, answer=SessionPage,
          query=("agent", "interlocutor", "limit", "cursor")),
    Route("GET", "/v1/sessions/{id}", read_session, "Read a session", WATCH, answer=SessionShown),
    Route("GET", "/v1/sessions/{id}/turns", list_turns, "The turns of a session, oldest first", WATCH, answer=TurnPage,
          query=("limit", "cursor")),
    Route("DELETE", "/v1/sessions/{id}", close_session, "Close a session", OVERSEE, status=204),
)
