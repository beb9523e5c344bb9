"""A bounded memory of what was used last."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The last `size` values used. Losing an entry costs time, never meaning; safe in any thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[K, V] = {}

    def get(self, name: K) -> V | None:
        value = self._kept.pop(name, None)
        if value is not None:
            self._kept[name] = value
        return value

    def put(self, name: K, value: V) -> V:
        self._kept[name] = value
        while len(self._kept) > self._size:
            oldest = next(iter(self._kept), None)
            if oldest is not None:
                self._kept.pop(oldest, None)
        return value

    def clear(self) -> None:
        self._kept.clear()
