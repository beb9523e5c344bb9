"""For those who run the engine: is it alive, is it ready, what does it count, which actors live."""

from __future__ import annotations

from aiohttp import web

from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import METRICS
from ruche.engine.server.requests import query
from ruche.engine.server.routes import OVERSEE, PUBLIC, Route


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
    return web.Response(body=kept.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def actors(request: web.Request) -> web.Response:
    """Live actors with their mailboxes and restarts, and each component with its message."""
    query(request)
    engine = request.app[ENGINE]
    return answer({**engine.actors(), "components": await engine.health()})


ROUTES = (
    Route("GET", "/healthz", live, "Is the process alive", PUBLIC, answer=Live),
    Route("GET", "/readyz", ready, "Is every component working", PUBLIC, answer=Ready),
    Route("GET", "/metrics", metrics, "Prometheus metrics", PUBLIC, media="text/plain"),
    Route("GET", "/v1/admin/actors", actors, "Live actors, mailboxes, restarts", OVERSEE),
)
