"""For those who run the engine: is it alive, is it ready, what does it count, which actors live."""

from __future__ import annotations

from aiohttp import web

from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import METRICS
from ruche.engine.server.requests import query
from ruche.engine.server.routes import OVERSEE, PUBLIC, Route
from ruche.storage.model.record import DeadLettered

_DEAD_SHOWN = 20
"""Of a tenant's dead letters, the newest."""


class Live(Shown, kw_only=True):
    status: str = "ok"


class ComponentShown(Shown, kw_only=True):
    name: str
    status: str
    latency_ms: float | None


class Ready(Shown, kw_only=True):
    """`status` is `ok` when every component is, `degraded` when answers still go out, `failed` when they cannot."""

    status: str
    components: list[ComponentShown]


async def live(request: web.Request) -> web.Response:
    """The process answers; it says nothing about what it depends on."""
    return answer(Live())


async def ready(request: web.Request) -> web.Response:
    """Every component with its state and latency; 503 while one of them has failed."""
    components = await request.app[ENGINE].health()
    states = {one.status for one in components}
    status = "failed" if "failed" in states else "degraded" if states - {"ok"} else "ok"
    shown = Ready(status=status, components=[
        ComponentShown(name=one.name, status=one.status, latency_ms=one.latency_ms) for one in components])
    return answer(shown, 503 if status == "failed" else 200)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text. Labels are routes, codes and states; nothing of what was said."""
    kept = request.app[METRICS]
    for one in await request.app[ENGINE].health():
        kept.up.labels(one.name).set(one.status != "failed")
    text = kept.render() + request.app[ENGINE].actor_metrics()
    return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


class DeadLetterShown(Shown, kw_only=True):
    """A message that could not be answered; what it says is not shown here. `turn_id` is the run that keeps it; empty,
    with `session_id`, for one that no session had taken."""

    message_id: str
    session_id: str
    turn_id: str
    agent_id: str
    interlocutor_id: str
    channel: str
    at: str
    reason: str
    attempts: int


async def memory_metrics(request: web.Request) -> web.Response:
    """Prometheus text of memory and reranking; nothing of what was said."""
    return web.Response(body=request.app[ENGINE].memory_metrics(),
                        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def actors(request: web.Request) -> web.Response:
    """Live actors with their mailboxes and restarts, each component with its message, and the tenant's dead letters."""
    query(request)
    engine, tenant = request.app[ENGINE], request[IDENTITY].tenant
    return answer({**engine.actors(tenant), "components": await engine.health(),
                   "dead_letters": [_dead(one) for one in await engine.dead_letters(tenant, _DEAD_SHOWN)]})


def _dead(letter: DeadLettered) -> DeadLetterShown:
    key = letter.key
    return DeadLetterShown(message_id=letter.message.id, session_id=letter.session_id, turn_id=letter.turn_id,
                           agent_id=key.agent, interlocutor_id=key.interlocutor, channel=key.channel,
                           at=rfc3339(letter.at_ms), reason=letter.reason, attempts=letter.attempts)


ROUTES = (
    Route("GET", "/healthz", live, "Is the process alive", PUBLIC, answer=Live),
    Route("GET", "/readyz", ready, "Is every component working", PUBLIC, answer=Ready),
    Route("GET", "/metrics", metrics, "Prometheus metrics", PUBLIC, media="text/plain"),
    Route("GET", "/metrics/memory", memory_metrics, "Prometheus metrics of memory and reranking", PUBLIC,
          media="text/plain"),
    Route("GET", "/v1/admin/actors", actors, "Live actors, mailboxes, restarts", OVERSEE),
)
