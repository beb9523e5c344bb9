"""The actor system: one event loop, the actors that live on it, and the way back to it from other threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

import anyio
import pykka

from ruche.actors.future import AioFuture
from ruche.actors.threads import Threads
from ruche.plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from ruche.actors.ref import AioActorRef

log = logging.getLogger(__name__)

A = TypeVar("A", bound=pykka.Actor)

_making = threading.local()


class ActorSystem:
    """An async context manager around everything that acts; exactly one per event loop.

    Leaving it stops what was spawned, the youngest first, each after the messages it already had; what has not stopped
    `grace` seconds later is cancelled. Every ask gets an answer. `clock` is the monotonic clock, in seconds, of all
    deadlines and delays; `threads` is where services get theirs.
    """

    _of_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, ActorSystem]] = WeakKeyDictionary()

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, grace: float = 5.0,
                 threads: Threads | None = None) -> None:
        self.clock = clock
        self.grace = grace
        self.threads = threads or Threads()
        self.closing = False
        self.closed = False
        self._tasks: dict[asyncio.Task[Any], Drains | None] = {}
        self._living: dict[str, AioActorRef[Any]] = {}
        self._on_exit: list[Callable[[], Awaitable[object]]] = []
        self._inbound: deque[Drains] = deque()
        self._ringing = False
        self._emptied: AioFuture[None] = AioFuture()

    @classmethod
    def running(cls) -> ActorSystem:
        """The system of this thread's running loop, or the one that is making an actor on this thread."""
        making: ActorSystem | None = getattr(_making, "system", None)
        if making is not None:
            return making
        loop = asyncio._get_running_loop()
        system = None if loop is None else cls._of_loop.get(loop)
        if system is None:
            raise RuntimeError("no actor system here: start actors inside `async with ActorSystem()`, "
                               "or with `system.spawn` from another thread")
        return system

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if loop in self._of_loop:
            raise ConfigurationError("this event loop has an actor system already, and each has one: open a second "
                                     "engine with Engine.blocking, or on a loop in another thread")
        self.loop = loop
        self.thread = threading.get_ident()
        self._context = contextvars.copy_context()
        self._of_loop[loop] = self
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        try:
            await self._leave()
        finally:
            self.closing = self.closed = True
            self._of_loop.pop(self.loop, None)
            for actor in self._inbound:
                actor._abandon()

    def on_loop(self) -> bool:
        """True on the thread of the system's event loop."""
        return threading.get_ident() == self.thread

    def post(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Run a callback on the loop soon. Any thread; RuntimeError once the loop is closed."""
        if threading.get_ident() == self.thread:
            self.loop.call_soon(callback, *arguments)
        else:
            self.loop.call_soon_threadsafe(callback, *arguments)

    def spawn(self, actor_class: type[A], *arguments: Any, **named: Any) -> AioActorRef[A]:
        """Make and start an actor, on the loop or on its own thread as its class says. Any thread.

        The system stops it at the end. It is in pykka's registry unless its class says `registered = False`.
        """
        actor = self.make(actor_class, *arguments, **named)
        self.adopt(actor)
        actor._start_actor_loop()
        return actor.actor_ref  # type: ignore[return-value]

    def make(self, actor_class: type[A], *arguments: Any, **named: Any) -> A:
        """Make an actor of this system without starting it; its supervisor does."""
        _making.system = self
        try:
            return actor_class(*arguments, **named)
        finally:
            _making.system = None

    def adopt(self, actor: pykka.Actor, *, listed: bool = True) -> None:
        """Stop this actor when the system ends, and list it with pykka if its class asks for it."""
        if listed and getattr(actor, "registered", True):
            pykka.ActorRegistry.register(actor.actor_ref)
        self._living[actor.actor_urn] = actor.actor_ref  # type: ignore[assignment]

    def forget(self, actor: pykka.Actor) -> None:
        """The actor has stopped. Any thread."""
        if self._living.pop(actor.actor_urn, None) is None:
            return
        if getattr(actor, "registered", True):
            pykka.ActorRegistry.unregister(actor.actor_ref)
        if not self._living:
            self._emptied.set()

    def before_exit(self, drain: Callable[[], Awaitable[object]]) -> None:
        """Await `drain()` at the end, before the spawned actors stop; the one named last goes first."""
        self._on_exit.append(drain)

    def start_task(self, work: Coroutine[Any, Any, Any], owner: Drains | None = None) -> asyncio.Task[Any]:
        """Run a coroutine on the loop, in the system's context: what the caller had set there does not leak in."""
        task = self.loop.create_task(work, context=self._context.copy())
        self._tasks[task] = owner
        task.add_done_callback(self._tasks.pop)
        return task

    def dispatch(self, actor: Drains) -> None:
        """Let an actor read its mailbox. Any thread; many threads' wake-ups cost the loop one."""
        if self.closed:
            actor._abandon()
        elif threading.get_ident() == self.thread:
            self.start_task(actor._drain(), actor)
        else:
            self._inbound.append(actor)
            if not self._ringing:
                self._ringing = True
                try:
                    self.loop.call_soon_threadsafe(self._ring)
                except RuntimeError:
                    actor._abandon()

    def _ring(self) -> None:
        self._ringing = False
        while self._inbound:
            self.dispatch(self._inbound.popleft())

    async def _leave(self) -> None:
        with anyio.move_on_after(self.grace, shield=True) as patience:
            await self._stop_all()
        if patience.cancelled_caught:
            log.warning("actors did not stop within %.1f s and are cancelled", self.grace)
        self.closing = True
        with anyio.CancelScope(shield=True):
            await self._cancel_all()

    async def _cancel_all(self) -> None:
        for _ in range(3):  # a task may swallow a cancellation, though none should
            if self._tasks:
                for task in list(self._tasks):
                    task.cancel()
                await asyncio.wait(self._tasks, timeout=self.grace)
        for owner in list(self._tasks.values()):
            if owner is not None:
                log.error("%s cannot be cancelled and is left behind", type(owner).__name__)
                owner._abandon()
        for ref in list(self._living.values()):
            reader = ref.actor_inbox.owner
            if isinstance(reader, Abandonable):
                reader._abandon()
            if isinstance(reader, pykka.Actor):
                self.forget(reader)  # it will not be found by its name any more, though its thread may go on

    async def _stop_all(self) -> None:
        for drain in reversed(self._on_exit):
            await drain()
        while self._living:
            self._emptied = AioFuture()
            for ref in reversed(list(self._living.values())):
                await ref.stop_async()
            if self._living:
                await self._emptied
        while self._tasks:
            await asyncio.wait(self._tasks)


@runtime_checkable
class Abandonable(Protocol):
    """Whatever reads a mailbox."""

    def _abandon(self) -> None:
        """Nobody will read the mailbox any more: refuse everything in it."""


class Drains(Abandonable, Protocol):
    """What the system asks of an actor on the loop."""

    def _drain(self) -> Coroutine[Any, Any, None]:
        """Read the mailbox until it is empty."""


@contextmanager
def calm_collector(threshold: int = 1_000) -> Iterator[None]:
    """Keep the garbage collector's pauses short in a process with many long-lived actors.

    Freezes what exists now, collects the young often and little (a pause grows with threshold * 5 objects), and the old
    hardly ever: with 100,000 actors that takes 200 ms, and stopped actors are freed without it. For the process's owner
    to enter after start: the collector belongs to the whole process, and is given back as it was.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(threshold, 5, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def quick_handover(seconds: float = 0.0001) -> Iterator[None]:
    """Let a thread that wants the interpreter have it after 0.1 ms instead of 5.

    A commit needs it again after every call to the disk, and beside a busy loop each of them waited for so long: under
    a flood the 99th percentile of an append fell from 59 ms to 18 against 1 ms. For the process's owner to enter, as
    `calm_collector`.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
