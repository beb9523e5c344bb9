"""Remembers vectors by the hash of their text, so that no text is kept and none is encoded twice in a row."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float32]


class VectorCache:
    """The `size` texts used last, each in a space of its own (a tenant): what one space knows, no other can tell.

    Safe to use from several threads; two of them may encode the same text once each.
    """

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._rows: OrderedDict[tuple[str, bytes], Row] = OrderedDict()
        self._lock = Lock()

    def forget(self, space: str) -> None:
        """Drop every vector of a space: somebody who wrote there was erased."""
        with self._lock:
            for key in [key for key in self._rows if key[0] == space]:
                del self._rows[key]

    def knows(self, space: str, text: str) -> bool:
        """True when the vector of a text is remembered there."""
        with self._lock:
            return _key(space, text) in self._rows

    def row(self, space: str, text: str, encode: Callable[[str], Row]) -> Row:
        """The vector of a text; `encode` is called when this space does not remember it. A failure is not kept."""
        key = _key(space, text)
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
                return row
        row = encode(text)
        with self._lock:
            self._rows[key] = row
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)
        return row


def _key(space: str, text: str) -> tuple[str, bytes]:
    return space, hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
