"""A write that is sent again with its Idempotency-Key is answered as the first time, and done once.

What chat says is remembered on disk (`actors/`); what is remembered here lasts ten minutes in this process: after that,
or a restart, the same write changes nothing either, since parts, versions and plans are named by what they hold.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from aiohttp import web

from ruche.engine import Engine
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.chat import idempotency_key
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import receive
from ruche.engine.server.routes import Handler, Route
from ruche.plugins.errors import IdempotencyMismatch

SECONDS = 600.0
KEPT = 2_048
"""Answers that are remembered at most."""
LARGEST = 262_144
"""Bytes of an answer that is remembered; a larger one is made anew."""

Name = tuple[str, str, str]
"""Tenant, subject, key."""


@dataclass(slots=True)
class _Once:
    """One key: whoever holds `lock` does the work, whoever waits for it finds the answer."""

    until: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: str = ""
    answer: tuple[int, bytes | None, dict[str, str]] | None = None


class _Answers:
    """The answers of one engine's server, oldest first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Name, _Once] = OrderedDict()

    def of(self, name: Name) -> _Once:
        now = time.monotonic()
        while self._kept and (len(self._kept) > KEPT or next(iter(self._kept.values())).until < now):
            self._kept.popitem(last=False)
        return self._kept.setdefault(name, _Once(until=now + SECONDS))


_answers: WeakKeyDictionary[Engine, _Answers] = WeakKeyDictionary()


def answered_once(routes: Iterable[Route]) -> tuple[Route, ...]:
    """The routes, of which those that write by POST honour Idempotency-Key."""
    return tuple(replace(route, handler=_once(route.handler)) if route.method == "POST" else route for route in routes)


def _once(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def answering(request: web.Request) -> web.StreamResponse:
        key = idempotency_key(request)
        if key is None:
            return await handler(request)
        identity = request[IDENTITY]
        once = _answers.setdefault(request.app[ENGINE], _Answers()).of((identity.tenant, identity.subject, key))
        async with once.lock:
            return await _answer(request, handler, once)

    return answering


async def _answer(request: web.Request, handler: Handler, once: _Once) -> web.StreamResponse:
    """Raises IdempotencyMismatch for a key that came with something else. What is raised is not remembered.
    """
    asked = hashlib.sha256(f"{request.method} {request.path_qs}\n".encode() + await receive(request)).hexdigest()
    if once.answer is not None:
        if once.asked != asked:
            raise IdempotencyMismatch("this Idempotency-Key came with another request")
        status, body, headers = once.answer
        return web.Response(status=status, body=body, headers=headers)
    response = await handler(request)
    if isinstance(response, web.Response):
        made = response.body
        if made is None or (isinstance(made, bytes) and len(made) <= LARGEST):
            headers = {name: value for name, value in response.headers.items() if name in ("Content-Type", "ETag")}
            once.asked, once.answer = asked, (response.status, made, headers)
    return response
