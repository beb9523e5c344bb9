"""Vectors of what authors wrote, kept from one start to the next: a text is embedded once for each model."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from ruche.plugins.contracts import Vectors

if TYPE_CHECKING:
    from ruche.storage.store import Store

T = TypeVar("T")
Read = Callable[[Callable[["Store"], T]], Awaitable[T]]
"""Runs a function of the store where it may wait, as `Scribe.read` does."""

NAME = "vectors"
MOST = 50_000
"""Vectors that are kept: 77 MB of MiniLM's."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    model: str
    dimensions: int
    texts: tuple[bytes, ...]
    """Digests of the texts, in the order of the rows."""
    rows: bytes


_decode = msgspec.msgpack.Decoder(_Kept).decode


class Remembered:
    """What was asked for since the start is kept at `save`, the rest is let go. Loop thread only."""

    def __init__(self, read: Read[bytes | None], model: str, dimensions: int) -> None:
        self._read, self._model, self._dimensions = read, model, dimensions
        self._rows: dict[bytes, Vectors] | None = None
        self._used: dict[bytes, Vectors] = {}
        self._changed = False

    async def of(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """The rows that are known, by text."""
        rows = self._rows = await self._load() if self._rows is None else self._rows
        found = {text: row for text in texts if (row := rows.get(_digest(text))) is not None}
        self._used.update((_digest(text), row) for text, row in found.items())
        return found

    def add(self, texts: Sequence[str], rows: Sequence[Vectors]) -> None:
        self._used.update(zip(map(_digest, texts), rows, strict=True))
        self._changed = self._changed or bool(texts)

    async def save(self) -> None:
        """Keep what is new; nothing where nothing is."""
        if not self._changed:
            return
        self._changed = False
        kept = dict(list(self._used.items())[-MOST:])
        content = msgspec.msgpack.encode(_Kept(self._model, self._dimensions, tuple(kept),
                                               np.stack(list(kept.values())).astype("<f4").tobytes()))
        await self._read(lambda store: store.computed.put(NAME, content))

    async def _load(self) -> dict[bytes, Vectors]:
        content = await self._read(lambda store: store.computed.get(NAME))
        try:
            kept = None if content is None else _decode(content)
        except msgspec.MsgspecError:
            kept = None
        width = 4 * self._dimensions
        if kept is None or (kept.model, kept.dimensions, len(kept.rows)) != (self._model, self._dimensions,
                                                                            len(kept.texts) * width):
            return {}
        rows = np.frombuffer(kept.rows, dtype="<f4").reshape(len(kept.texts), self._dimensions)
        return dict(zip(kept.texts, rows, strict=True))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
