"""Server-sent events: an id, a name and one line of JSON each, a heartbeat when nothing happens, resumable by id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from ruche.engine.observe import log
from ruche.engine.server.answers import encode, event_for
from ruche.engine.server.auth import IDENTITY, Identity
from ruche.engine.server.context import ENGINE, STREAMS
from ruche.engine.server.errors import METRICS, REQUEST_ID, describe, where
from ruche.engine.server.requests import query, whole
from ruche.engine.server.routes import WATCH, Route
from ruche.engine.server.sessions import own_session
from ruche.plugins.errors import InvalidRequest
from ruche.storage.model.event import Event

HEARTBEAT_SECONDS = 15.0
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_HEARTBEAT = b": still here\n\n"
_LARGEST_SEQ = 2**53


def frame(kind: str, data: bytes, seq: int | None = None) -> bytes:
    """One event as it goes over the wire; JSON has no line breaks, so one data line is enough."""
    head = b"" if seq is None else b"id: %d\n" % seq
    return head + b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


async def send(request: web.Request, events: AsyncIterator[Event], identity: Identity) -> web.StreamResponse:
    """Answer with a stream of events until they end, the client leaves or the server stops.

    What fails before the first event is an ordinary error answer; what fails later is a `turn.failed` event.
    """
    response = web.StreamResponse(headers=_HEADERS)
    streams, metrics = request.app[STREAMS], request.app[METRICS]
    task = asyncio.current_task()
    metrics.streams.inc()
    streams.add(task)
    try:
        await _relay(request, response, events, identity)
    except ConnectionError:
        pass
    except Exception as error:
        if not response.prepared:
            raise
        await _tell_failure(request, response, error)
    finally:
        metrics.streams.dec()
        streams.discard(task)
    return response


async def _relay(request: web.Request, response: web.StreamResponse, events: AsyncIterator[Event],
                 identity: Identity) -> None:
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait((coming,), timeout=HEARTBEAT_SECONDS if response.prepared else 1.0)
            event = coming.result() if done else None
            if not response.prepared:
                await response.prepare(request)
            if not done:
                await response.write(_HEARTBEAT)
                continue
            if event is None:
                return
            await response.write(frame(event.kind, event_for(event, identity), event.seq))
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        await _end(coming, events)


async def _end(coming: asyncio.Future[Event | None], events: AsyncIterator[Event]) -> None:
    coming.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await coming
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


async def _tell_failure(request: web.Request, response: web.StreamResponse, error: Exception) -> None:
    body = describe(error, request[REQUEST_ID])
    request.app[METRICS].error(body.error.code)
    log.error("stream.failed", request_id=request[REQUEST_ID], code=body.error.code, exception=type(error).__name__,
              where=where(error))
    with suppress(ConnectionError):
        await response.write(frame("turn.failed", encode(body)))


async def session_events(request: web.Request) -> web.StreamResponse:
    """Everything that happens in a session after a sequence number: first what is kept, then live."""
    identity = request[IDENTITY]
    session = await own_session(request)
    after = _cursor(request)
    return await send(request, request.app[ENGINE].events(identity.tenant, session.id, after=after), identity)


def _cursor(request: web.Request) -> int:
    values = query(request, "after")
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        try:
            return whole({"after": last}, "after", 0, 0, _LARGEST_SEQ)
        except InvalidRequest:
            raise InvalidRequest("Last-Event-ID: the id of an event that this session sent") from None
    return whole(values, "after", 0, 0, _LARGEST_SEQ)


async def end_streams(app: web.Application) -> None:
    """Cut the open streams when the server stops; clients come back with their cursor."""
    streams = app[STREAMS]
    for task in tuple(streams):
        if task is not None:
            task.cancel()


ROUTES = (
    Route("GET", "/v1/sessions/{id}/events", session_events, "What happens in a session, from a cursor and live", WATCH,
          media="text/event-stream", query=("after",)),
)
