"""The engine for a host without an event loop: a desktop toolkit, a script."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ruche.engine import Engine
from ruche.engine.hosted import refuse_forked
from ruche.plugins.errors import Unavailable

if TYPE_CHECKING:
    from ruche.engine.given import Opening
    from ruche.engine.request import Said
    from ruche.storage.model.event import Event
    from ruche.storage.model.turn import Turn

T = TypeVar("T")
CLOSED = "the engine was closed; open it again"


class BlockingEngine:
    """A context manager that runs the engine's loop on a thread of its own; its methods may be called from any thread.

    `chat` and `stream` have names of their own here; every other method of Engine is reached through `call`. After
    `with`, all of them raise Unavailable; in a forked process, StorageStopped.
    """

    def __init__(self, data: Path | str | None = None, **options: Unpack[Opening]) -> None:
        self._data, self._options = data, options
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._engine: Engine | None = None
        self._process = 0
        self._closed = False

    def __enter__(self) -> BlockingEngine:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio"))
            opening = portal.wrap_async_context_manager(Engine.open(self._data, **self._options))
            self._engine = stack.enter_context(opening)
            self._portal, self._process, self._stack = portal, os.getpid(), stack.pop_all()
            self._closed = False
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if os.getpid() != self._process:
            return  # a forked child has none of the threads that would stop it, or end with what it lets go of
        self._closed = True
        self._stack.__exit__(kind, error, trace)
        self._engine = self._portal = None  # a host that keeps this keeps no closed store in memory

    @property
    def engine(self) -> Engine:
        """The engine behind; its coroutines run on its own thread only. Raises RuntimeError before `with`."""
        return self._opened(self._engine)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Run a coroutine method of Engine by its name and wait for what it returns; those of its parts by both names:
        `call("people.link", ...)`."""
        return self._run(partial(attrgetter(method)(self.engine), *arguments, **options))

    def chat(self, **request: Unpack[Said]) -> Turn:
        """As Engine.chat."""
        turn: Turn = self.call("chat", **request)
        return turn

    def stream(self, **request: Unpack[Said]) -> Generator[Event]:
        """As Engine.stream; leaving the loop early stops the subscription, not the turn."""
        events: AsyncIterator[Event] = self.engine.stream(**request)
        try:
            while True:
                try:
                    yield self._run(partial(anext, events))
                except StopAsyncIteration:
                    return
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                with suppress(Unavailable):  # the engine was closed first
                    self._run(close)

    def _run(self, call: Callable[..., Any]) -> Any:
        portal = self._opened(self._portal)
        refuse_forked(self._process)
        try:
            running = portal.start_task_soon(call)
        except RuntimeError:
            if self._closed:
                raise Unavailable(CLOSED) from None
            raise
        return running.result()

    def _opened(self, part: T | None) -> T:
        if part is not None:
            return part
        if self._closed:
            raise Unavailable(CLOSED)
        raise RuntimeError("enter the engine first: with Engine.blocking(...) as engine:")
