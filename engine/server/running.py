"""Runs the server over an engine until a signal ends it: address, TLS, watched folders, orderly stop."""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from ruche.actors.system import calm_collector, quick_handover
from ruche.engine import Engine
from ruche.engine.authoring.load import find_folders
from ruche.engine.config import ServerSettings, Settings
from ruche.engine.observe import configure, gathered_lines, log
from ruche.engine.server.app import create_app
from ruche.engine.server.exposure import check_exposure, tls_context
from ruche.engine.server.tokens import TOKENS
from ruche.engine.server.wire import Runner
from ruche.plugins.errors import RucheError, Unavailable

SCRIPT_ROLES = ("admin", "agent_author", "operator", "auditor", "channel")
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What a started server tells: its address, a link that opens the console once, a token for scripts."""

    url: str
    console: str
    token: str
    agents: tuple[str, ...]
    notices: tuple[str, ...]


@asynccontextmanager
async def serving(engine: Engine, settings: Settings) -> AsyncIterator[Ready]:
    """The HTTP server over an open engine while the context lasts. Raises ConfigurationError, Unavailable (port)."""
    server = settings.server
    check_exposure(server)
    tls = tls_context(server)
    app = create_app(engine, settings)
    runner = Runner(app, server.header_bytes)
    await runner.setup()
    try:
        await _listen(runner, server, tls)
        url = _url(runner, server, tls is not None)
        tokens = app[TOKENS]
        yield Ready(url=url, console=f"{url}/#{tokens.issue_code()}",
                    token=tokens.access(tenant="default", roles=SCRIPT_ROLES, subject="script"),
                    agents=tuple(one.bundle.id for one in await engine.agents("default")), notices=engine.notices)
    finally:
        await runner.cleanup()


async def check_servable(server: ServerSettings) -> None:
    """What would refuse a start, before anything is made for it: exposure, certificate and key, a port that is taken.

    Raises ConfigurationError, Unavailable (port).
    """
    check_exposure(server)
    tls_context(server)
    with _port(server):
        probe = await asyncio.get_running_loop().create_server(asyncio.Protocol, server.host, server.port,
                                                               start_serving=False)
    probe.close()
    await probe.wait_closed()


async def _listen(runner: Runner, server: ServerSettings, tls: ssl.SSLContext | None) -> None:
    with _port(server):
        await web.TCPSite(runner, server.host, server.port, ssl_context=tls, backlog=1024).start()


@contextmanager
def _port(server: ServerSettings) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise Unavailable(f"port {server.port} on {server.host} cannot be opened, something else listens there "
                          "perhaps; choose another with --port") from None


def _url(runner: Runner, server: ServerSettings, tls: bool) -> str:
    port = runner.addresses[0][1]
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{'https' if tls else 'http'}://{host}:{port}"


async def serve(settings: Settings, announce: Callable[[Ready], None], watch: bool = False) -> None:
    """Open the engine, serve until SIGTERM or SIGINT, then stop in order: no new request, streams, engine, store."""
    await check_servable(settings.server)
    configure(settings.log)
    stopped = asyncio.Event()
    _on_signals(stopped)
    async with Engine.open(settings=settings) as engine, serving(engine, settings) as ready:
        with calm_collector(), quick_handover(), gathered_lines():
            await _until(stopped, engine, settings, ready, announce, watch)


async def _until(stopped: asyncio.Event, engine: Engine, settings: Settings, ready: Ready,
                 announce: Callable[[Ready], None], watch: bool) -> None:
    announce(ready)
    log.info("serving", port=settings.server.port, agents=len(ready.agents))
    watcher = asyncio.create_task(_watch(engine, settings.agents)) if watch and settings.agents else None
    await stopped.wait()
    log.info("stopping")
    if watcher is not None:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


def _on_signals(stopped: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))


async def _watch(engine: Engine, root: Path) -> None:
    """Publish a folder when a file in it changes. One that does not check is logged and the old version serves on."""
    seen = {folder: _state(folder) for folder in find_folders(root)}
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = {folder: _state(folder) for folder in find_folders(root)}
        for folder in [folder for folder, state in now.items() if seen.get(folder) != state]:
            await _publish(engine, folder)
        seen = now


async def _publish(engine: Engine, folder: Path) -> None:
    try:
        for published in await engine.publish(folder):
            log.info("agent.published", agent=published.bundle.id, version=published.version)
    except RucheError as error:
        log.error("agent.refused", agent=folder.name, code=error.code)
        print(error.message, flush=True, file=sys.stderr)


def _state(folder: Path) -> frozenset[tuple[str, int, int]]:
    found = set()
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                about = path.stat()
                found.add((str(path), about.st_mtime_ns, about.st_size))
    return frozenset(found)
