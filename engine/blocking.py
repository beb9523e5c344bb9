"""The engine for a host without an event loop: a desktop toolkit, a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ruche.engine import Engine

if TYPE_CHECKING:
    from ruche.storage.model.event import Event
    from ruche.storage.model.turn import Turn

T = TypeVar("T")


class BlockingEngine:
    """A context manager that runs the engine's loop on a thread of its own; its methods may be called from any thread.

    `chat` and `stream` have names of their own here; every other method of Engine is reached through `call`.
    """

    def __init__(self, data: Path | str | None = None, **options: Any) -> None:
        self._data, self._options = data, options
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._engine: Engine | None = None

    def __enter__(self) -> BlockingEngine:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("asyncio"))
            opening = self._portal.wrap_async_context_manager(Engine.open(self._data, **self._options))
            self._engine = stack.enter_context(opening)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def engine(self) -> Engine:
        """The engine behind; its coroutines run on its own thread only. Raises RuntimeError before `with`."""
        if self._engine is None:
            raise RuntimeError("enter the engine first: with Engine.blocking(...) as engine:")
        return self._engine

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Run a coroutine method of Engine by its name and wait for what it returns."""
        return self._run(partial(getattr(self.engine, method), *arguments, **options))

    def chat(self, **request: Any) -> Turn:
        """As Engine.chat."""
        turn: Turn = self.call("chat", **request)
        return turn

    def stream(self, **request: Any) -> Iterator[Event]:
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
                self._run(close)

    def _run(self, call: Callable[..., Any]) -> Any:
        if self._portal is None:
            raise RuntimeError("enter the engine first: with Engine.blocking(...) as engine:")
        return self._portal.call(call)
