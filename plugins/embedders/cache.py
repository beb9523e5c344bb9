"""Remembers vectors by the hash of their text, so that no text is kept and none is encoded twice in a row."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float32]


class VectorCache:
    """The `size` texts used last. Safe to use from several threads; two of them may encode the same text once each."""

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._rows: OrderedDict[bytes, Row] = OrderedDict()
        self._lock = Lock()

    def rows(self, texts: Sequence[str], encode: Callable[[str], Row], dimensions: int) -> Row:
        """len(texts) x dimensions; `encode` is called for what is not remembered, one text at a time."""
        result = np.empty((len(texts), dimensions), dtype=np.float32)
        for place, text in enumerate(texts):
            result[place] = self._row(text, encode)
        return result

    def _row(self, text: str, encode: Callable[[str], Row]) -> Row:
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
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
