"""A server that stops answers what it was asked, and says of each connection that this was its last answer."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from ruche.engine.server.wire import Runner


@pytest.mark.anyio
async def test_what_was_asked_before_the_stop_is_answered_and_ends_its_connection() -> None:
    asked, closing, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/slow":
            asked.set()
            await go.wait()
        return web.Response(text="done")

    app = web.Application()
    app.router.add_get("/{path}", handler)

    async def tell(_: web.Application) -> None:
        closing.set()

    app.on_shutdown.append(tell)
    runner = Runner(app, 8190)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession() as session:
        async with session.get(url + "quick") as before:
            assert before.headers.get("Connection") is None
        answering = asyncio.ensure_future(session.get(url + "slow"))
        await asked.wait()
        stopping = asyncio.ensure_future(runner.cleanup())
        await closing.wait()
        go.set()
        async with await answering as answer:
            assert (answer.status, await answer.text(), answer.headers["Connection"]) == (200, "done", "close")
        await asyncio.wait_for(stopping, 10)
