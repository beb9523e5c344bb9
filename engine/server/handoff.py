"""An operator in a conversation: ask for a person, take over, speak, give it back. Who it is, the token says."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from ruche.engine.handing import MOST_MINUTES
from ruche.engine.observe import log
from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.chat import idempotency_key
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.requests import Body, Text, query, read
from ruche.engine.server.routes import OVERSEE, Handler, Route
from ruche.engine.server.sessions import own_session
from ruche.storage.model.handoff import Action

Minutes = Annotated[int, Meta(ge=0, le=MOST_MINUTES)]


class InterventionRequest(Body, frozen=True, kw_only=True):
    """`minutes` without a word of the person's after which the agent speaks again (0: never); the agent's own setting
    where it is not given. `note` is kept with the run."""

    minutes: Minutes | None = None
    note: Annotated[str, Meta(max_length=1_000)] = ""


class OperatorReply(Body, frozen=True, kw_only=True):
    """What the interlocutor reads. It begins the minutes anew."""

    text: Text
    minutes: Minutes | None = None


class Intervened(Shown, kw_only=True):
    """`turn_id` is the run in which this is kept."""

    session_id: str
    turn_id: str
    sequence: int
    status: str
    reply: str


def _handler(action: Action, kind: type[InterventionRequest] | type[OperatorReply]) -> Handler:
    asks = kind is OperatorReply

    async def handler(request: web.Request) -> web.Response:
        query(request)
        session, identity = await own_session(request), request[IDENTITY]
        sent = await read(request, kind) if asks or request.can_read_body else InterventionRequest()
        text = sent.text if isinstance(sent, OperatorReply) else sent.note
        run = await request.app[ENGINE].intervene(identity.tenant, session.id, action, by=identity.subject, text=text,
                                                  minutes=sent.minutes, request_id=request[REQUEST_ID],
                                                  idempotency_key=idempotency_key(request) or "")
        log.info(f"session.{action}", request_id=request[REQUEST_ID], tenant=identity.tenant, session=session.id)
        return answer(Intervened(session_id=run.session, turn_id=run.id, sequence=run.sequence, status=run.status,
                                 reply=run.reply))

    handler.__name__ = f"{action}_session"
    return handler


def _route(action: Action, kind: type[InterventionRequest] | type[OperatorReply], summary: str) -> Route:
    return Route("POST", f"/v1/sessions/{{id}}/{action}", _handler(action, kind), summary, OVERSEE, body=kind,
                 answer=Intervened)


ROUTES = (
    _route("handoff", InterventionRequest, "Ask for a person: the agent passes the conversation on"),
    _route("takeover", InterventionRequest, "Take a conversation over: the agent is silent"),
    _route("reply", OperatorReply, "Say something as the person who took over"),
    _route("return", InterventionRequest, "Give a conversation back to the agent"),
)
