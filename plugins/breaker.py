"""A circuit breaker: closed while things work, open after too many failures, half-open for one trial at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Opens after `failures` within `window` seconds; `cooldown` seconds later one trial decides.

    Every `allow()` that says True should be followed by one of `succeeded`, `failed` or `abandoned`; a trial of which
    nothing is heard counts for nothing, and the next may begin a `cooldown` later.
    """

    def __init__(self, *, failures: int = 5, window: float = 30.0, cooldown: float = 10.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._window = window
        self._cooldown = cooldown
        self._clock = clock
        self._failed: deque[float] = deque()
        self._opened: float | None = None
        self._trying = False
        self.trips = 0
        """How often it opened."""

    @property
    def state(self) -> State:
        if self._opened is None:
            return "closed"
        return "half-open" if self._clock() - self._opened >= self._cooldown else "open"

    def allow(self) -> bool:
        """True when the call may be made; while half-open for one call at a time."""
        state = self.state
        if state == "half-open":
            self._opened, self._trying = self._clock(), True
        return state != "open"

    def wait(self) -> float:
        """Seconds until a call may be tried; 0 means that it may be made now, exactly as after a true `allow()`."""
        if self.allow():
            return 0.0
        opened = self._clock() if self._opened is None else self._opened
        return max(self._cooldown - (self._clock() - opened), 0.001)

    def succeeded(self) -> None:
        """The call worked: a trial closes the breaker."""
        if self._trying:
            self._opened, self._trying = None, False
            self._failed.clear()

    def failed(self) -> None:
        """The call failed or took too long: a trial opens the breaker anew."""
        now = self._clock()
        if self._trying:
            self._trip(now)
        elif self._opened is None:
            self._failed.append(now)
            while now - self._failed[0] > self._window:
                self._failed.popleft()
            if len(self._failed) >= self._limit:
                self._trip(now)

    def rest(self, seconds: float) -> None:
        """Whoever is called asks to be left alone so long: open at once, and until then."""
        self._trip(self._clock() + max(0.0, seconds - self._cooldown))

    def abandoned(self) -> None:
        """Nobody waited for the call's end; it says nothing, so another trial may begin at once."""
        if self._trying:
            self._opened, self._trying = self._clock() - self._cooldown, False

    def _trip(self, now: float) -> None:
        self._opened, self._trying = now, False
        self._failed.clear()
        self.trips += 1
