"""One process of a simulated world: an event loop and threads that take turns as the seed says, on a virtual clock.

The loop keeps what asyncio promises: callbacks run in the order in which they were scheduled, timers not before their
time. What it does not promise is drawn: when threads run, how long everything takes, and in shuffled worlds which of
several tasks that are ready goes first.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from greenlet import getcurrent, greenlet

from ruche.actors.threads import Bell, Flag, Threads
from tests.simulation.world import World

_real_ident = threading.get_ident


class Killed(BaseException):
    """Raised in the threads of a process that died, so that they end."""


class SimulatedThread:
    __slots__ = ("body", "ident", "name", "wake")

    def __init__(self, body: greenlet, ident: int, name: str, wake: float) -> None:
        self.body = body
        self.ident = ident
        self.name = name
        self.wake = wake
        """Virtual time from which on it can run."""


class SimulatedThreads(Threads):
    """Greenlets that look like threads to the runtime. Each runs until it waits, sleeps or is preempted."""

    def __init__(self, world: World) -> None:
        self.current: SimulatedThread | None = None
        self._world = world
        self._all: list[SimulatedThread] = []
        self._main = getcurrent()
        self._home = _real_ident()

    def inside(self) -> bool:
        """False in real threads: other tests keep servers running in this process."""
        return _real_ident() == self._home

    def start(self, run: Callable[[], None], name: str, *, daemon: bool) -> None:
        body = greenlet(partial(self._live, run), parent=self._main)
        self._all.append(SimulatedThread(body, -1 - len(self._all), name, self._world.now))

    def bell(self) -> Bell:
        return SimulatedBell(self)

    def flag(self) -> Flag:
        return SimulatedFlag(self)

    def runnable(self) -> list[SimulatedThread]:
        now = self._world.now
        return [thread for thread in self._all if thread.wake <= now]

    def next_wake(self) -> float:
        return min((thread.wake for thread in self._all), default=math.inf)

    def step(self, thread: SimulatedThread) -> None:
        """Let a thread run until it waits."""
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)  # type: ignore[arg-type]
        self.current = thread
        try:
            thread.body.switch()
        finally:
            self.current = None
            asyncio._set_running_loop(loop)
        if thread.body.dead:
            self._all.remove(thread)

    def pause(self, seconds: float) -> None:
        """Sleep, in a simulated thread; elsewhere nothing happens."""
        if self._world.dead:
            raise Killed
        thread = self.current
        if thread is not None:
            thread.wake = self._world.now + seconds
            self._main.switch()
            if self._world.dead:
                raise Killed

    def wake(self, thread: SimulatedThread) -> None:
        thread.wake = min(thread.wake, self._world.now + self._world.wake_up_s())

    def end(self) -> None:
        """The process is gone, and its threads with it."""
        for thread in list(self._all):
            if thread.body:
                thread.body.throw(Killed)
        self._all.clear()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While this lasts, `threading.get_ident` tells the simulated threads apart."""
        threading.get_ident = self._ident
        try:
            yield
        finally:
            threading.get_ident = _real_ident

    def _ident(self) -> int:
        current = self.current if self.inside() else None
        return _real_ident() if current is None else current.ident

    def _live(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Killed:
            pass
        except BaseException as error:
            self._world.violated(f"a thread ended of {error!r}")


class SimulatedBell:
    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._taken = False
        self._waiter: SimulatedThread | None = None

    def acquire(self) -> bool:
        while self._taken:
            self._waiter = self._threads.current
            self._threads.pause(math.inf)
        self._taken = True
        return True

    def release(self) -> None:
        if not self._taken:
            raise RuntimeError("release unlocked lock")
        self._taken = False
        if self._waiter is not None:
            self._threads.wake(self._waiter)
            self._waiter = None


class SimulatedFlag:
    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._set = False
        self._waiter: SimulatedThread | None = None

    def set(self) -> None:
        self._set = True
        if self._waiter is not None:
            self._threads.wake(self._waiter)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            self._waiter = self._threads.current
            self._threads.pause(math.inf if timeout is None else timeout)
            self._waiter = None
        return self._set


class SimulatedLoop(asyncio.BaseEventLoop):
    """asyncio's own loop, with `_run_once` replaced: one callback or one thread's step at a time, no waiting."""

    _ready: Any
    _scheduled: list[Any]

    def __init__(self, world: World, threads: SimulatedThreads) -> None:
        super().__init__()
        self._world = world
        self._threads = threads
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        return self._world.now

    def _run_once(self) -> None:
        world, ready = self._world, self._ready
        self._release_timers()
        runnable = self._threads.runnable()
        if ready and not (runnable and world.thread_first()):
            handle = self._next()
            if not handle._cancelled:
                handle._run()
        elif runnable:
            self._threads.step(world.pick(runnable))
        else:
            self._skip()
        world.step()
        if world.dying:
            self._stopping = True

    def bury(self) -> None:
        """After the process's end: cancel every task until none is left, unseen by anybody, and close."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(50):
                tasks = asyncio.all_tasks(self)
                if not tasks:
                    break
                for task in tasks:
                    task.cancel()
                for _ in range(1000):
                    if not self._ready:
                        break
                    self._ready.popleft()._run()
        finally:
            asyncio._set_running_loop(None)  # type: ignore[arg-type]
        self._ready.clear()
        self.close()

    def _release_timers(self) -> None:
        scheduled = self._scheduled
        while scheduled and (scheduled[0]._cancelled or scheduled[0]._when <= self._world.now):
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                self._ready.append(handle)

    def _next(self) -> Any:
        ready = self._ready
        if self._world.shuffled and len(ready) > 1:
            tasks = 0
            while tasks < len(ready) and _steps_a_task(ready[tasks]):
                tasks += 1
            if tasks > 1:
                place = self._world.below(tasks)
                handle = ready[place]
                del ready[place]
                return handle
        return ready.popleft()

    def _skip(self) -> None:
        """Nothing can run: go to the moment at which something can."""
        until = min(self._scheduled[0]._when if self._scheduled else math.inf, self._threads.next_wake())
        if until == math.inf:
            self._world.violated("everything waits for everything: nothing is ready, and no timer runs")
            self._stopping = True
        else:
            self._world.skip_to(until)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self._world.dead:
            error = context.get("exception")
            self._world.violated(f"asyncio: {context.get('message')} {error!r}")

    def _process_events(self, event_list: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def _steps_a_task(handle: Any) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)
