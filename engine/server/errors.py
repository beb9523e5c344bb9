"""What a caller gets when something fails: one body, stable codes, nothing that was meant for somebody else.

The last resort counts what nobody foresaw; its answer is constant. Never a stack, a path, a key or a person's text.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import msgspec
from aiohttp import web

from ruche.engine.observe import Metrics, log
from ruche.engine.server.routes import Handler
from ruche.plugins.errors import NotFound, RucheError, TooLarge, Unauthenticated

REQUEST_ID = web.RequestKey("request_id", str)
METRICS = web.AppKey("metrics", Metrics)
PROTECTION = {"Server": "ruche", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
              "Cross-Origin-Resource-Policy": "same-origin"}
"""Headers that every answer carries; none tells a version."""
JSON = {"Content-Type": "application/json"}

_encode = msgspec.json.Encoder().encode
_UNFORESEEN = "something went wrong here; the log has it under this request id"


class BadRequest(RucheError):
    code, status = "BAD_REQUEST", 400


class MethodNotAllowed(RucheError):
    code, status = "METHOD_NOT_ALLOWED", 405


class UnsupportedMedia(RucheError):
    code, status = "UNSUPPORTED_MEDIA_TYPE", 415


class HeadersTooLarge(RucheError):
    code, status = "HEADERS_TOO_LARGE", 431


class ErrorDetail(msgspec.Struct, kw_only=True):
    code: str
    message: str
    request_id: str
    details: dict[str, Any] = {}
    retryable: bool = False
    retry_after_seconds: float | None = None


class ErrorBody(msgspec.Struct, kw_only=True):
    """The body of every answer that is not a success."""

    error: ErrorDetail


def describe(error: BaseException, request_id: str) -> ErrorBody:
    """The body for any error. What the engine did not raise on purpose, and its inner faults, get a constant text."""
    if not isinstance(error, RucheError):
        return ErrorBody(error=ErrorDetail(code="INTERNAL", message=_UNFORESEEN, request_id=request_id))
    inner = error.status == 500
    return ErrorBody(error=ErrorDetail(
        code=error.code, message=_UNFORESEEN if inner else error.message, request_id=request_id,
        details={} if inner else _plain(error.details), retryable=error.retryable,
        retry_after_seconds=error.retry_after))


def respond(error: BaseException, request_id: str) -> web.Response:
    """The HTTP answer for an error, with Retry-After and WWW-Authenticate where they belong."""
    response = web.Response(status=error.status if isinstance(error, RucheError) else 500,
                            body=_encode(describe(error, request_id)), headers=JSON)
    if isinstance(error, RucheError) and error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooLarge | UnsupportedMedia):
        response.force_close()
    return response


def translate(error: web.HTTPException) -> RucheError:
    """aiohttp's own refusals in our words."""
    match error.status:
        case 404:
            return NotFound("there is nothing at this address")
        case 405:
            return MethodNotAllowed("this address does not know the method; OpenAPI is at /openapi.json")
        case 413:
            return TooLarge("the body is larger than this server takes")
        case _:
            return BadRequest("the request cannot be understood")


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into an answer; counts what was not foreseen."""
    try:
        return await handler(request)
    except asyncio.CancelledError:
        raise
    except RucheError as error:
        return _refuse(request, error)
    except web.HTTPException as error:
        return _refuse(request, translate(error))
    except ConnectionError:
        raise
    except Exception as error:
        request.app[METRICS].unhandled.inc()
        log.error("unhandled", request_id=request[REQUEST_ID], exception=type(error).__name__, where=where(error))
        return respond(error, request[REQUEST_ID])


def _refuse(request: web.Request, error: RucheError) -> web.Response:
    request.app[METRICS].error(error.code)
    if error.status >= 500:
        log.error("failed", request_id=request[REQUEST_ID], code=error.code, exception=type(error).__name__,
                  where=where(error))
    elif error.status in (401, 403):
        log.warning("refused", request_id=request[REQUEST_ID], code=error.code, reason=getattr(error, "reason", ""))
    return respond(error, request[REQUEST_ID])


def where(error: BaseException) -> str:
    """Module and line of the innermost frame: enough to find the fault, no path and no value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '')}:{trace.tb_lineno}" if trace else ""


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    try:
        _encode(details)
    except (TypeError, ValueError):
        return {}
    return details
