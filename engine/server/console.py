"""The console's files, served from memory: read once at start, nothing on disk is reachable by a path."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from aiohttp import web

from ruche.engine.server.routes import PUBLIC, Handler, Route

POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
          "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
          "require-trusted-types-for 'script'; trusted-types 'none'")
"""The page runs its own scripts only, reaches its own server only, and is framed by nobody (item 13)."""

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FILES = ("index.html", "console.css", "console.js", "stream.js", "trace.js", "operate.js", "look.js", "graph.js",
         "dom.js", "icon.svg")


def _serve(name: str) -> Handler:
    body = files("ruche.engine.console").joinpath(name).read_bytes()
    headers = {"Content-Type": f"{_TYPES[name.rsplit('.', 1)[1]]}; charset=utf-8", "Cache-Control": "no-cache",
               "Content-Security-Policy": POLICY, "ETag": f'"{hashlib.sha256(body).hexdigest()[:20]}"'}

    async def serve(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    return serve


def routes() -> tuple[Route, ...]:
    """One route per file; `/` is the page."""
    return tuple(Route("GET", "/" if name == "index.html" else f"/{name}", _serve(name), f"The console: {name}",
                       PUBLIC, media=_TYPES[name.rsplit(".", 1)[1]]) for name in FILES)
