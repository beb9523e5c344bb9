"""The reply to come: settled from any thread, awaited on any event loop, waited for by threads.

pykka's own future blocks the loop for as long as it is awaited; this one suspends the awaiting task alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, TypeVar

import anyio.to_thread
import pykka

T = TypeVar("T")

ExceptionInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class WouldDeadlock(RuntimeError):
    """A blocking wait on the event loop's own thread; await the future instead."""


class AioFuture(pykka.Future[T]):
    """A `pykka.Future` that can be awaited.

    The first outcome stands; later ones are dropped, so that an answer that comes after its caller gave up is no error.
    A cancelled waiter never disturbs the future nor its other waiters.
    """

    _get_hook: Callable[[float | None], T] | None = None
    _derived: tuple[T] | None = None
    _outcome: tuple[Any, BaseException | None] | None = None
    _watchers: list[Callable[[], object]] | None = None

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def done(self) -> bool:
        """True once an outcome is there (False for a future made by map, filter, join or reduce)."""
        return self._outcome is not None

    def set(self, value: T | None = None) -> None:
        """Give the value. Any thread."""
        self._settle((value, None))

    def set_exception(self, exc_info: ExceptionInfo | None = None) -> None:
        """Give an exception, by default the one being handled. Any thread."""
        self.fail((exc_info or sys.exc_info())[1] or RuntimeError("failed without an exception"))

    def fail(self, error: BaseException) -> None:
        """Give an exception. Any thread."""
        self._settle((None, error))

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """pykka's way to derive a future: `func(timeout)` makes the value when it is asked for, perhaps blocking."""
        super().set_get_hook(func)

    def get(self, *, timeout: float | None = None) -> T:
        """Block this thread until the outcome is there.

        Raises pykka.Timeout after `timeout` seconds, WouldDeadlock on a thread whose event loop is running.
        """
        if self._get_hook is not None:
            if self._derived is None:
                self._derived = (self._get_hook(timeout),)
            return self._derived[0]
        if self._outcome is None:
            self._block(timeout)
        return self._result()

    def when_done(self, watcher: Callable[[], object]) -> bool:
        """Call `watcher` once, on the settling thread; False, and not called, when the outcome is there already."""
        with self._lock:
            if self._outcome is not None:
                return False
            if self._watchers is None:
                self._watchers = [watcher]
            else:
                self._watchers.append(watcher)
            return True

    def __await__(self) -> Generator[Any, None, T]:
        if self._get_hook is not None:
            return (yield from anyio.to_thread.run_sync(self.get, abandon_on_cancel=True).__await__())
        if self._outcome is None:
            waiter = _Waiter(asyncio.get_running_loop())
            if self.when_done(waiter):
                try:
                    yield from waiter.future
                except BaseException:
                    self._forget(waiter)
                    raise
        return self._result()

    __iter__ = __await__

    def _settle(self, outcome: tuple[Any, BaseException | None]) -> None:
        with self._lock:
            if self._outcome is not None:
                return
            self._outcome = outcome
            watchers, self._watchers = self._watchers, None
        if watchers is not None:
            for watcher in watchers:
                watcher()

    def _result(self) -> T:
        value, error = self._outcome or (None, None)
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def _block(self, timeout: float | None) -> None:
        if asyncio._get_running_loop() is not None:
            raise WouldDeadlock("a blocking get() on the event loop's thread would never return; await the future")
        arrived = threading.Event()
        if self.when_done(arrived.set) and not arrived.wait(timeout):
            self._forget(arrived.set)
            raise pykka.Timeout(f"{timeout} seconds")

    def _forget(self, watcher: Callable[[], object]) -> None:
        with self._lock:
            if self._watchers is not None and watcher in self._watchers:
                self._watchers.remove(watcher)


class _Waiter:
    """One awaiting task: its own asyncio future, woken on its own loop."""

    __slots__ = ("future", "loop", "thread")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.future: asyncio.Future[None] = loop.create_future()

    def __call__(self) -> None:
        if threading.get_ident() == self.thread:
            if not self.future.done():
                self.future.set_result(None)
            return
        with contextlib.suppress(RuntimeError):  # that loop is closed, and the waiting task with it
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)
