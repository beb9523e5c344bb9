"""A bounded memory of what was used last."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values used last: at most `size` of them, at least half as many. Losing an entry costs time, never meaning;
    safe in any thread."""

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._lock = threading.Lock()

    def get(self, name: K) -> V | None:
        value = self._young.get(name)
        return self._again(name) if value is None else value

    def put(self, name: K, value: V) -> V:
        if len(self._young) >= self._half and name not in self._young:
            self._young, self._old = {}, self._young
        self._young[name] = value
        return value

    def clear(self) -> None:
        """What is asked for meanwhile does not come back."""
        with self._lock:
            self._young, self._old = {}, {}

    def _again(self, name: K) -> V | None:
        with self._lock:
            value = self._old.get(name)
            return None if value is None else self.put(name, value)
