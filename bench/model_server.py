"""An OpenAI-compatible endpoint for suites and tests: real HTTP on loopback, scripted, remembers what it saw.

    async with ModelServer(Answer("Hello."), Answer(status=429, headers={"Retry-After": "0"})) as server:
        generator = OpenAICompatible(server.url, "test")

The last answer is given again when the script is over. A function in its place answers from the request's body.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True)
class Answer:
    """What the server does with one request.

    `raw` replaces the whole body. `hang` keeps silent until the client leaves: before anything when `after` is None,
    else after that many pieces. `pieces` replaces the cutting of `text` for streams.
    """

    text: str = "Hello."
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    pieces: tuple[str, ...] | None = None
    hang: bool = False
    after: int | None = None
    broken: bool = False
    """End the stream without its [DONE]."""
    finish: str = "stop"
    usage: tuple[int, int] = (11, 7)
    counted: bool = True
    """False: a stream does not tell what it cost."""
    gone: bool = False
    """Hang up without a word."""


Script = Answer | Callable[[dict[str, Any]], Answer]


class ModelServer:
    """Async context manager. `requests` are the bodies, `left` is set when a client closes before its answer's end."""

    def __init__(self, *script: Script) -> None:
        self._script: list[Script] = list(script) or [Answer()]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.left = asyncio.Event()
        self.waiting = asyncio.Event()
        """Set when an answer begins to hang."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None,
                                     shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        scripted = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        answer = scripted if isinstance(scripted, Answer) else scripted(body)
        if answer.gone and request.transport is not None:
            request.transport.close()
            await self._hang()
        if answer.hang and answer.after is None:
            await self._hang()
        if answer.status != 200 or answer.raw is not None:
            return web.Response(status=answer.status, headers=answer.headers, body=answer.raw or b"{}")
        if body.get("stream"):
            return await self._stream(request, answer, body)
        return web.json_response({
            "choices": [{"message": {"role": "assistant", "content": answer.text}, "finish_reason": answer.finish}],
            "usage": {"prompt_tokens": answer.usage[0], "completion_tokens": answer.usage[1]}})

    async def _stream(self, request: web.Request, answer: Answer, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        pieces = answer.pieces if answer.pieces is not None else tuple(answer.text[at:at + 4]
                                                                       for at in range(0, len(answer.text), 4))
        for place, piece in enumerate(pieces):
            if answer.hang and place == answer.after:
                await self._hang()
            event = {"choices": [{"delta": {"content": piece}, "finish_reason": None}]}
            await response.write(f"data: {json.dumps(event)}\r\n\r\n".encode())
        if not answer.broken:
            end = {"choices": [{"delta": {}, "finish_reason": answer.finish}]}
            if body.get("stream_options") and answer.counted:
                usage = {"prompt_tokens": answer.usage[0], "completion_tokens": answer.usage[1]}
                spent = {"choices": [], "usage": usage}
                await response.write(f"data: {json.dumps(spent)}\n\n".encode())
            await response.write(f": comment\n\ndata: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode())
        return response

    async def _hang(self) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
