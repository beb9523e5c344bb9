"""The application: the route table behind four middlewares, over an engine that is open already.

The middlewares run in this order: request id, errors, limits, auth.
"""

from __future__ import annotations

import re
import time
from importlib.metadata import version
from typing import Any

from aiohttp import web

from ruche.engine import Engine
from ruche.engine.config import Settings
from ruche.engine.observe import Metrics, log
from ruche.engine.server import (
    agents,
    audit,
    authoring,
    chat,
    console,
    events,
    explain,
    handoff,
    keys,
    memory,
    migrations,
    openapi,
    ops,
    parts,
    people,
    produced,
    replays,
    reviews,
    runs,
    sessions,
    tokens,
    upkeep,
    usage,
    versions,
    webhooks,
)
from ruche.engine.server.auth import TABLE, VERIFIER, authenticate, open_verifier
from ruche.engine.server.context import BEHIND_PROXY, ENGINE, STREAMS
from ruche.engine.server.errors import METRICS, PROTECTION, REQUEST_ID, answer_errors
from ruche.engine.server.limits import LIMITS, Limits, limit_sizes
from ruche.engine.server.routes import Handler, Route
from ruche.storage.vault import random_bytes

ORIGINS = web.AppKey("origins", frozenset[str])
SECURE = web.AppKey("secure", bool)
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_ALLOWED = {"Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE", "Access-Control-Max-Age": "600",
            "Access-Control-Allow-Headers":
                "Authorization, Content-Type, Idempotency-Key, If-Match, Prefer, X-Request-ID, Last-Event-ID"}


def route_table() -> tuple[Route, ...]:
    """Every endpoint there is."""
    named = (*chat.ROUTES, *events.ROUTES, *sessions.ROUTES, *handoff.ROUTES, *runs.ROUTES, *replays.ROUTES,
             *audit.ROUTES, *agents.ROUTES, *explain.ROUTES, *versions.ROUTES, *migrations.ROUTES,
             *authoring.ROUTES, *parts.ROUTES, *people.ROUTES, *produced.ROUTES, *reviews.ROUTES, *upkeep.ROUTES,
             *tokens.ROUTES, *keys.ROUTES, *usage.ROUTES, *webhooks.ROUTES,
             *memory.ROUTES, *ops.ROUTES, *console.routes())
    return (*named, openapi.route(named, version("ruche-engine")))


def create_app(engine: Engine, settings: Settings, metrics: Metrics | None = None) -> web.Application:
    """The application over an open engine. The caller opens and closes the engine. Raises ConfigurationError."""
    app = web.Application(middlewares=[identify, answer_errors, limit_sizes, authenticate],
                          client_max_size=settings.server.body_bytes)
    app[ENGINE] = engine
    app[METRICS] = metrics or Metrics()
    app[LIMITS] = Limits(settings)
    app[tokens.TOKENS] = tokens.Tokens(engine.token_key, settings.server.token_hours)
    app[VERIFIER] = open_verifier(engine.token_key, settings.server.token_public_key, settings.server.token_issuer)
    app[STREAMS] = set()
    app[BEHIND_PROXY] = settings.server.behind_proxy
    app[ORIGINS] = frozenset(settings.server.cors_origins) - {"*", "null"}
    app[SECURE] = settings.server.tls_cert is not None
    app[TABLE] = _register(app, route_table())
    app.on_response_prepare.append(protect)
    app.on_shutdown.append(events.end_streams)
    return app


def _register(app: web.Application, routes: tuple[Route, ...]) -> dict[Any, Route]:
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
    return {route.handler: route for route in routes}


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives the request its id, and counts and logs its answer."""
    given = request.headers.get("X-Request-ID", "")
    request[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else random_bytes(12).hex()
    begun = time.perf_counter()
    if request.method == "OPTIONS" and request.headers.get("Origin") in request.app[ORIGINS]:
        return web.Response(status=204, headers=_ALLOWED)
    response = await handler(request)
    spent = time.perf_counter() - begun
    route = request.app[TABLE].get(request.match_info.handler)
    path, method = (route.path, route.method) if route else ("none", "none")
    request.app[METRICS].answered(path, method, response.status, spent)
    if response.status >= 400 or path.startswith("/v1"):
        log.info("answered", request_id=request[REQUEST_ID], method=method, route=path, status=response.status,
                 ms=round(spent * 1000, 2))
    return response


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every answer carries (items 12 and 13 of the security list)."""
    headers = response.headers
    headers.update(PROTECTION)
    headers["X-Request-ID"] = request.get(REQUEST_ID, "")
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", _API_POLICY)
    if request.app[SECURE]:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    origin = request.headers.get("Origin")
    if origin is not None and origin in request.app[ORIGINS]:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = "ETag, X-Request-ID, Retry-After"
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        headers.add("Vary", "Origin")
