"""Starts a server in a thread with a loop of its own, and speaks HTTP to it as a client would."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import queue
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ruche.engine import Engine, observe
from ruche.engine.config import LogSettings, Settings, read_settings
from ruche.engine.observe import configure
from ruche.engine.server.mint import mint
from ruche.engine.server.running import Ready, serving


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


class Served:
    """A running server. `request` opens a connection of its own each time."""

    def __init__(self, ready: Ready, key: bytes) -> None:
        self.ready = ready
        self.url = ready.url
        self.key = key
        self.port = int(ready.url.rsplit(":", 1)[1])

    def token(self, *roles: str, sub: str = "ada", tenant: str = "default", **more: Any) -> str:
        return mint(self.key, tenant=tenant, roles=roles or ("interlocutor",), subject=sub, **more)

    def request(self, method: str, path: str, body: Any = None, token: str | None = None,
                headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent.update({"Authorization": f"Bearer {token}"} if token is not None else {})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def chat(self, message: str, token: str, agent: str = "kiosk", **more: Any) -> Answer:
        return self.request("POST", "/v1/chat", {"agent_id": agent, "message": message, "channel": "api", **more},
                            token)

    def raw(self, data: bytes, seconds: float = 5.0) -> bytes:
        """Send bytes as they are, return what comes back until the server closes or `seconds` pass."""
        end = time.monotonic() + seconds
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as wire:
            wire.sendall(data)
            received = b""
            try:
                while (left := end - time.monotonic()) > 0:
                    wire.settimeout(left)
                    piece = wire.recv(65536)
                    if not piece:
                        break
                    received += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return received

    @contextmanager
    def events(self, method: str, path: str, token: str, body: Any = None, headers: Mapping[str, str] | None = None
               ) -> Iterator[Iterator[tuple[int | None, str, dict[str, Any]]]]:
        """Server-sent events as (id, kind, data)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, json.dumps(body) if body else None, {
            "Authorization": f"Bearer {token}", "Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionError((answer.status, answer.read()))
        try:
            yield parse_events(answer)
        finally:
            connection.close()


def parse_events(answer: http.client.HTTPResponse) -> Iterator[tuple[int | None, str, dict[str, Any]]]:
    number, kind = None, ""
    while line := answer.readline():
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "id":
            number = int(value)
        elif name == "event":
            kind = value
        elif name == "data":
            yield number, kind, json.loads(value)
            number = None


@contextmanager
def served(data: Path, agents: Path, log: TextIO, parts: Mapping[str, Any] | None = None, **settings: Any
           ) -> Iterator[Served]:
    """A server over a new engine while the context lasts; what fails while it starts is raised here. `parts` replace
    what the engine is made of."""
    chosen = read_settings(data=data, agents=agents, environment={}, **{
        "models": {"embedder": "hashing"}, **settings, "server": {"port": 0, **settings.get("server", {})}})
    news: queue.Queue[Any] = queue.Queue()
    handlers, level = logging.root.handlers[:], logging.root.level
    sink = {**vars(observe._sink), "_gathered": []}  # a list of its own: the first line would stand in it twice
    configure(LogSettings(), log)
    thread = threading.Thread(target=lambda: asyncio.run(_serve(chosen, news, parts or {})))
    thread.start()
    first = news.get(timeout=60)
    try:
        if isinstance(first, BaseException):
            raise first
        ready, key, stop = first
        try:
            yield Served(ready, key)
        finally:
            stop()
    finally:
        thread.join(30)
        vars(observe._sink).update(sink)  # a server around this one goes on with its own log
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


async def _serve(settings: Settings, news: queue.Queue[Any], parts: Mapping[str, Any]) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    try:
        async with Engine.open(settings=settings, **parts) as engine, serving(engine, settings) as ready:
            news.put((ready, engine.token_key, lambda: loop.call_soon_threadsafe(stopped.set)))
            await stopped.wait()
    except BaseException as error:
        news.put(error)


def copy_agent(source: Path, target: Path, public: bool = True) -> None:
    """A copy of an agent folder; `public` is written into its head."""
    shutil.copytree(source, target)
    head = target / "agent.yaml"
    lines = [line for line in head.read_text(encoding="utf-8").splitlines() if not line.startswith("public:")]
    head.write_text("\n".join([*lines, f"public: {str(public).lower()}"]) + "\n", encoding="utf-8")
