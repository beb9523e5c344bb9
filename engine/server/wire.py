"""The HTTP connection below the handlers: limits on what is not a request yet, and answers that tell nothing.

It sits on aiohttp's request handler; tests hold the contract with it.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import aiohttp.http_parser
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from ruche.engine.observe import log
from ruche.engine.server.errors import PROTECTION, BadRequest, HeadersTooLarge, respond
from ruche.plugins.errors import ConfigurationError

FIRST_REQUEST_SECONDS = 20.0
"""A connection that has not sent a whole request head by then is closed."""
IDLE_SECONDS = 75.0


def require_c_parser() -> None:
    """Raises ConfigurationError unless requests are parsed by aiohttp's C parser (item 10): the other one has been
    open to request smuggling."""
    if aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserPy:
        raise ConfigurationError("aiohttp runs without its C parser; unset AIOHTTP_NO_EXTENSIONS or install its wheel")


class Connection(RequestHandler):
    """One connection. What cannot be parsed is answered with our error body and nothing of what was sent."""

    __slots__ = ("_first",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._first = self._loop.call_later(FIRST_REQUEST_SECONDS, self._close_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._first.cancel()
        super().connection_lost(exc)

    def _close_silent(self) -> None:
        if not self._request_count:
            self.force_close()

    async def finish_response(self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
                              ) -> tuple[web.StreamResponse, bool]:
        """While the server stops, say that this was the connection's last answer: else the next request is lost."""
        if self._close and isinstance(resp, web.StreamResponse) and not resp.prepared:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None,
                     message: str | None = None) -> web.StreamResponse:
        """Answer what never reached a handler, and close the connection."""
        request_id = secrets.token_hex(12)
        log.warning("unreadable", request_id=request_id, status=status, exception=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; it cannot become an error")
        error: Exception = RuntimeError()
        if isinstance(exc, LineTooLong):
            error = HeadersTooLarge("the headers of this request are larger than this server takes")
        elif status < 500:
            error = BadRequest("this is not a request that can be understood")
        response = respond(error, request_id)
        response.headers.update({**PROTECTION, "X-Request-ID": request_id, "Cache-Control": "no-store"})
        response.force_close()
        return response

    def log_exception(self, *args: Any, **options: Any) -> None:
        error = options.get("exc_info")
        log.error("connection", exception=type(error).__name__ if isinstance(error, BaseException) else "")


class Wire(web.Server):
    """Makes connections of our kind; raises TypeError for options that aiohttp no longer has, and never goes on
    without them."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application over our connections."""

    def __init__(self, app: web.Application, header_bytes: int) -> None:
        require_c_parser()
        super().__init__(app, access_log=None, keepalive_timeout=IDLE_SECONDS, auto_decompress=False,
                         max_line_size=min(8190, header_bytes), max_field_size=min(8190, header_bytes),
                         lingering_time=2.0, shutdown_timeout=10.0)

    async def _make_server(self) -> web.Server:
        await super()._make_server()
        options = {name: value for name, value in self._kwargs.items() if name != "access_log_class"}
        app: Any = self._app
        return Wire(app._handle, request_factory=app._make_request, **options)


