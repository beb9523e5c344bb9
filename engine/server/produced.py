"""Runs of other programs come in here: judged by the server, whatever their producer says of them, and kept."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from ruche.engine.producing import Produced, SafetyBlocked
from ruche.engine.server.answers import answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import REQUEST_ID, respond
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, Id, Person, Text, query, read
from ruche.engine.server.routes import PRODUCE, Route
from ruche.engine.server.runs import RunShown, shown


class ProducedRun(Body, frozen=True, kw_only=True):
    """What was said to the other program and what it means to reply. Nothing of what it thinks of that is taken."""

    agent_id: Id
    interlocutor_id: Person
    said: Annotated[list[Text], Meta(min_length=1, max_length=20)]
    reply: Annotated[str, Meta(min_length=1, max_length=100_000)]
    producer: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]*$")]


async def keep_produced(request: web.Request) -> web.Response:
    """201 with the run; 409 SAFETY_BLOCKED, with its id, for one that is kept and may not be used."""
    query(request)
    sent, identity = await read(request, ProducedRun), request[IDENTITY]
    made = Produced(sent.agent_id, sent.interlocutor_id, tuple(sent.said), sent.reply, sent.producer)
    try:
        run = await request.app[ENGINE].keep_run(identity.tenant, made, request[REQUEST_ID])
    except SafetyBlocked as blocked:  # an answer like any other, so that it is remembered under its key
        return respond(blocked, request[REQUEST_ID])
    return answer(shown(run), 201)


ROUTES = answered_once((
    Route("POST", "/v1/runs", keep_produced, "Judge and keep a run of another program", PRODUCE, body=ProducedRun,
          answer=RunShown, status=201),
))
