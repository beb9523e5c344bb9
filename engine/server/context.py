"""What every handler finds on the application, and who is calling."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from ruche.engine import Engine

ENGINE = web.AppKey("engine", Engine)
STREAMS = web.AppKey("streams", set[asyncio.Task[Any] | None])
"""Tasks of open event streams: a stopping server ends them."""
BEHIND_PROXY = web.AppKey("behind_proxy", bool)

JSON_TYPE = {"Content-Type": "application/json"}


def address(request: web.Request) -> str:
    """Who is calling: the peer, or behind a proxy the last hop that the proxy added."""
    if request.app[BEHIND_PROXY]:
        forwarded = request.headers.get("X-Forwarded-For", "")
        if forwarded:
            return forwarded.rsplit(",", 1)[-1].strip()[:64]
    return request.remote or ""
