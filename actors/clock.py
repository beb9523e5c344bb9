"""What happens again and again: idle sessions are let go, journalled records are fed to the tables, the courier looks
for what is due (`reminders.py` for what must survive a restart)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ruche.actors.directory import Directory
from ruche.actors.scribe import Scribe
from ruche.actors.system import ActorSystem

log = logging.getLogger(__name__)

Action = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Tick:
    """One periodic action. Times in seconds; `error` is the type of the last failure, empty after a success."""

    name: str
    every: float
    action: Action
    runs: int = 0
    failures: int = 0
    error: str = ""
    timer: asyncio.TimerHandle | None = None


class Clock:
    """Made inside an actor system, which stops it first of all. Sweeps the directory of sessions and applies what the
    scribe has journalled; `every` adds more.

    An action never overlaps itself; one that fails is logged and tried again at its next time.
    """

    def __init__(self, sessions: Directory[Any], scribe: Scribe, *, sweep_every: float = 1.0,
                 apply_every: float = 0.5) -> None:
        self._system = ActorSystem.running()
        self._ticks: dict[str, Tick] = {}
        self._stopped = False
        self._system.before_exit(self.stop)
        self.every(sweep_every, "sweep", _awaited(sessions.sweep))
        self.every(apply_every, "apply", scribe.apply)

    def every(self, seconds: float, name: str, action: Action) -> None:
        """Run `action()` again `seconds` after it last ended. Raises ValueError for a name that is taken."""
        if name in self._ticks or seconds <= 0:
            raise ValueError(f"the clock has a {name} already, or its time {seconds} is not positive")
        self._ticks[name] = tick = Tick(name, seconds, action)
        self._wind(tick)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        return {name: {"every": tick.every, "runs": tick.runs, "failures": tick.failures, "error": tick.error}
                for name, tick in self._ticks.items()}

    async def stop(self) -> None:
        """No action begins any more."""
        self._stopped = True
        for tick in self._ticks.values():
            if tick.timer is not None:
                tick.timer.cancel()

    def _wind(self, tick: Tick) -> None:
        if not self._stopped:
            tick.timer = self._system.loop.call_later(tick.every, self._strike, tick)

    def _strike(self, tick: Tick) -> None:
        self._system.start_task(self._run(tick))

    async def _run(self, tick: Tick) -> None:
        tick.runs += 1
        try:
            await tick.action()
        except Exception as error:
            tick.failures, tick.error = tick.failures + 1, type(error).__name__
            log.error("the clock's %s failed of %s", tick.name, type(error).__name__)
        else:
            tick.error = ""
        finally:
            self._wind(tick)


def _awaited(function: Callable[[], object]) -> Action:
    async def action() -> object:
        return function()

    return action
