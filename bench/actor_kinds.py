"""Three ways to have actors by key, for `bench.actors`: this runtime, `pykka.ThreadingActor`, and a bare queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

import pykka

from ruche.actors.actor import AioActor
from ruche.actors.directory import Directory, Policy


class Echo(AioActor):
    registered = False
    mailbox_size = 1_000_000

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def on_receive(self, message: Any) -> Any:
        return message


class ThreadEcho(pykka.ThreadingActor):
    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return message


class QueueEcho:
    """The least that answers in order: a task, a queue, a future a question."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Any, asyncio.Future[Any] | None]] = asyncio.Queue()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            message, reply = await self.queue.get()
            if reply is not None:
                reply.set_result(message)

    async def ask(self, message: Any) -> Any:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((message, reply))
        return await reply


class Kind(Protocol):
    """One way to have actors, by key."""

    def make(self, key: str) -> None: ...
    def ask(self, key: str, message: Any) -> Awaitable[Any]: ...
    def tell(self, key: str, message: Any) -> None: ...
    async def clear(self) -> None: ...


class Ruche:
    def __init__(self, cap: int = 10_000_000) -> None:
        self.directory = Directory(Echo, policy=Policy(max_active=cap, idle_after=0.0))

    def make(self, key: str) -> None:
        self.directory.wake(key)

    def ask(self, key: str, message: Any) -> Awaitable[Any]:
        return self.directory.ask(key, message)

    def tell(self, key: str, message: Any) -> None:
        self.directory.tell(key, message)

    async def clear(self) -> None:
        await self.directory.drain()
        self.directory = Directory(Echo, policy=self.directory.policy)


class Threads:
    def __init__(self) -> None:
        self.refs: dict[str, pykka.ActorRef[Any]] = {}

    def make(self, key: str) -> None:
        self.refs[key] = ThreadEcho.start()

    async def ask(self, key: str, message: Any) -> Any:
        if key not in self.refs:
            self.make(key)
        return self.refs[key].ask(message)

    def tell(self, key: str, message: Any) -> None:
        self.refs[key].tell(message)

    async def clear(self) -> None:
        for ref in self.refs.values():
            ref.stop(block=False)
        self.refs.clear()


class Queues:
    def __init__(self) -> None:
        self.actors: dict[str, QueueEcho] = {}

    def make(self, key: str) -> None:
        self.actors[key] = QueueEcho()

    async def ask(self, key: str, message: Any) -> Any:
        if key not in self.actors:
            self.make(key)
        return await self.actors[key].ask(message)

    def tell(self, key: str, message: Any) -> None:
        self.actors[key].queue.put_nowait((message, None))

    async def clear(self) -> None:
        for actor in self.actors.values():
            actor.task.cancel()
        self.actors.clear()
        await asyncio.sleep(0)
