"""A circuit breaker: after several failures in a row a service is left alone for a while, then tried once."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Closed until `failures` calls failed in a row; then open for `seconds`; then one trial decides.

    `monotonic` may be replaced by a test. Not thread-safe: used on the event loop.
    """

    def __init__(self, failures: int = 5, seconds: float = 30.0,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._seconds = seconds
        self._monotonic = monotonic
        self._failed = 0
        self._open_until = 0.0

    def wait(self) -> float:
        """Seconds until a call may be tried; 0 means now. While a trial runs, others wait."""
        if self._failed < self._limit:
            return 0.0
        left = self._open_until - self._monotonic()
        if left > 0:
            return left
        self._open_until = self._monotonic() + self._seconds
        return 0.0

    def succeeded(self) -> None:
        self._failed = 0

    def failed(self) -> None:
        self._failed += 1
        if self._failed >= self._limit:
            self._open_until = self._monotonic() + self._seconds
