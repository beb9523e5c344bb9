"""How many requests of a tenant are being worked on at once: as many as the loop keeps up with, and the rest wait.

Everybody's turns take their steps on one loop, so each step of a quiet tenant waits for whatever stands before it. A
flood that waits outside costs nobody anything.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

FIRST = 4
"""Requests of a tenant that are always let in."""
TICK_S = 0.02
BUSY = 0.6
"""Share of a tick that the loop's thread may compute before it counts as busy."""
FADING = 0.95
"""Of what was let in, each tick forgets a twentieth: most of it is forgotten after a second."""
SELDOM = 0.1
"""Whoever let in less than that lately, nobody for about a second, is not the one who keeps the loop busy."""
LATE_S = 0.005
"""A tick that comes so much too late was kept waiting by a busy loop, or by whoever else computes."""


@dataclass(slots=True, eq=False)
class _Line:
    """One tenant's requests: `inside` are worked on, `window` of them may be, the rest wait in order.

    `lately` counts those that were let in, older ones for less and less.
    """

    inside: int = 0
    window: int = FIRST
    lately: float = 0.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def admit(self) -> None:
        while self.waiting and self.inside < self.window:
            call = self.waiting.popleft()
            if not call.done():
                self.let_in()
                call.set_result(None)

    def let_in(self) -> None:
        self.inside += 1
        self.lately += 1.0

    def adapt(self, crowding: bool) -> None:
        """Half as many for a tenant that crowds others out, half as many again for the rest."""
        if not self.waiting:
            self.window = max(self.window, FIRST)
        elif crowding:
            self.window = max(1, self.window // 2)
        else:
            self.window += max(1, self.window // 2)
        self.lately *= FADING
        self.admit()


class Admission:
    """A window of requests per tenant, which adapts every 20 ms to the loop while any of them wait.

    Multiplicative decrease where the loop is busy and increase where it is not, as congestion control does it: turns
    that wait for a model or for the disk leave the loop idle and are let in as they come; turns that compute are let
    in a few at a time, each tenant's in order. A tenant that was let in less often than the others on average is not
    made to wait longer for their sake. Loop thread only. `clock` is a monotonic one, `computed` that of the loop's
    thread's own work, both in seconds, as `tick_s` is.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic,
                 computed: Callable[[], float] = time.thread_time, tick_s: float = TICK_S) -> None:
        self._clock, self._computed, self._tick_s = clock, computed, tick_s
        self._lines: dict[str, _Line] = {}
        self._ticking = False
        self._last = (0.0, 0.0)

    def inside(self, tenant: str) -> Admitted:
        """`async with admission.inside(tenant):` is entered when the tenant's request may be worked on, in order."""
        return Admitted(self, tenant)

    def snapshot(self) -> dict[str, dict[str, int]]:
        """Requests that are worked on and that are not yet let in, by tenant."""
        return {"inside": {name: line.inside for name, line in self._lines.items() if line.inside},
                "outside": {name: len(line.waiting) for name, line in self._lines.items() if line.waiting}}

    async def enter(self, tenant: str) -> None:
        """Take a place, waiting for it; each must be given back by `leave`. Cancelled, it has taken none."""
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = _Line()
        if not line.waiting and line.inside < line.window:
            return line.let_in()
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting.append(call)
        self._watch()
        try:
            await call
        except BaseException:
            if call.done() and not call.cancelled():
                self.leave(tenant)  # let in and cancelled in the same breath
            elif call in line.waiting:  # else it was passed over already, and its line may be gone
                line.waiting.remove(call)
                self._tidy(tenant, line)
            raise

    def leave(self, tenant: str) -> None:
        """Give a place back."""
        line = self._lines[tenant]
        line.inside -= 1
        line.admit()
        self._tidy(tenant, line)

    def _tidy(self, tenant: str, line: _Line) -> None:
        if not line.inside and not line.waiting and not self._ticking:
            self._lines.pop(tenant, None)

    def _watch(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._again()

    def _again(self) -> None:
        self._last = (self._clock(), self._computed())
        asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def _tick(self) -> None:
        began, computed = self._last
        spent = self._clock() - began
        busy = spent > self._tick_s + LATE_S or self._computed() - computed > BUSY * spent
        usual = sum(line.lately for line in self._lines.values()) / len(self._lines)
        for line in self._lines.values():
            line.adapt(busy and line.lately >= max(usual, SELDOM))
        self._ticking = any(line.waiting for line in self._lines.values())
        if self._ticking:
            self._again()
        else:
            self._lines = {name: line for name, line in self._lines.items() if line.inside}


class Admitted:
    """A tenant's place, held inside `async with`."""

    __slots__ = ("_admission", "_tenant")

    def __init__(self, admission: Admission, tenant: str) -> None:
        self._admission = admission
        self._tenant = tenant

    async def __aenter__(self) -> None:
        await self._admission.enter(self._tenant)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self._admission.leave(self._tenant)
