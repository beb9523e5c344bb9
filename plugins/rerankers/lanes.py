"""Runs the batches of one request on several cores at once, where they are idle: whoever is free takes the next.

A model that spreads one run over cores waits for the slowest of them after every operation; here a lane that gets no
core takes no batch, and costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Batch = TypeVar("Batch")


class Lanes:
    """`count` lanes, of which the caller is one; the others are threads that end with this object."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads = ThreadPoolExecutor(count - 1, "rerank") if count > 1 else None

    def each(self, work: Callable[[Batch], None], batches: Sequence[Batch]) -> None:
        """Call `work` with every batch, the first ones first. Raises what it raises, once nothing runs any more."""
        waiting = deque(batches)
        others = self._begun(work, waiting)
        try:
            _drain(work, waiting)
        finally:
            waiting.clear()  # after a failure nothing more is begun
            wait([other for other in others if not other.cancel()])
        for other in others:
            if not other.cancelled():
                other.result()

    def _begun(self, work: Callable[[Batch], None], waiting: deque[Batch]) -> list[Future[None]]:
        if self._threads is None:
            return []
        return [self._threads.submit(_drain, work, waiting) for _ in range(min(self._count, len(waiting)) - 1)]


def _drain(work: Callable[[Batch], None], waiting: deque[Batch]) -> None:
    while True:
        try:
            batch = waiting.popleft()
        except IndexError:  # another lane took the last one
            return
        work(batch)
