"""One message in, the turn's reply out: at once, as a stream of events, or accepted now and answered later."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from aiohttp import web

from ruche.engine.observe import Metrics, log
from ruche.engine.server.answers import AcceptedShown, TurnShown, answer, turn_for
from ruche.engine.server.auth import IDENTITY, Identity
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import METRICS, REQUEST_ID
from ruche.engine.server.events import send
from ruche.engine.server.requests import ChatRequest, read
from ruche.engine.server.routes import TALK, Route
from ruche.plugins.errors import Forbidden, InvalidRequest, NotFound
from ruche.storage.model.event import Event

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_canonical = msgspec.json.Encoder(order="deterministic").encode


async def chat(request: web.Request) -> web.Response:
    """Answer a message, or with `Prefer: respond-async` take it and say where the answer will be (202)."""
    identity = request[IDENTITY]
    call = _call(request, identity, await read(request, ChatRequest))
    engine = request.app[ENGINE]
    if "respond-async" in request.headers.get("Prefer", ""):
        taken = await engine.accept(**call)
        return answer(AcceptedShown(session_id=taken.session_id, turn_id=taken.turn_id), 202)
    turn = await engine.chat(**call)
    request.app[METRICS].turn(turn.status, turn.enforcement.risk)
    return answer(turn_for(turn, identity))


async def chat_stream(request: web.Request) -> web.StreamResponse:
    """Answer a message with the turn's events as they happen."""
    identity = request[IDENTITY]
    call = _call(request, identity, await read(request, ChatRequest))
    return await send(request, _counted(request.app[ENGINE].stream(**call), request.app[METRICS]), identity)


async def _counted(events: AsyncGenerator[Event], metrics: Metrics) -> AsyncIterator[Event]:
    async with aclosing(events) as source:
        async for event in source:
            if event.kind == "turn.completed":
                metrics.turn(str(event.data.get("status")), str((event.data.get("enforcement") or {}).get("risk")))
            yield event


def _call(request: web.Request, identity: Identity, body: ChatRequest) -> dict[str, Any]:
    """The engine's arguments. Tenant and person are the token's; a body that says otherwise is refused and logged."""
    try:
        user = identity.speaks_as(body.tenant_id, body.channel_user_id)
    except Forbidden as error:
        log.warning("identity.mismatch", request_id=request[REQUEST_ID], tenant=identity.tenant, code=error.code)
        raise
    if not identity.may_use(body.agent_id):
        raise NotFound("there is no such agent")
    key = idempotency_key(request)
    return {"agent": body.agent_id, "message": body.message, "user": user, "tenant": identity.tenant,
            "channel": body.channel, "session_id": body.session_id, "new_session": body.new_session,
            "request_id": request[REQUEST_ID], "idempotency_key": key,
            "fingerprint": hashlib.sha256(_canonical(body)).hexdigest() if key else None,
            "metadata": body.metadata or None}


def idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key: 1 to 200 visible ASCII characters")
    return key


ROUTES = (
    Route("POST", "/v1/chat", chat, "Say something to an agent", TALK, body=ChatRequest, answer=TurnShown),
    Route("POST", "/v1/chat/stream", chat_stream, "Say something and follow the turn as it happens", TALK,
          body=ChatRequest, media="text/event-stream"),
)
