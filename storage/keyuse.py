"""What is still sealed under a key: counted in the tables, the day files, the journal and the snapshots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag

from ruche.storage import frames, vault
from ruche.storage.collection import Collection, Values
from ruche.storage.errors import IntegrityError
from ruche.storage.journal import Journal
from ruche.storage.query import Query
from ruche.storage.quiet import Quiet
from ruche.storage.segment import open_frame, segment_cipher
from ruche.storage.snapshot import Snapshots
from ruche.storage.tables import Tables

_ROWS: Final = 500
_decode = msgspec.msgpack.Decoder().decode


class KeyUse:
    """Reads everything that is stored, in parts that each hold the store's lock for milliseconds."""

    def __init__(self, collections: Sequence[Collection], tables: Tables, journal: Journal, snapshots: Snapshots,
                 keys: vault.FileKeys, quiet: Quiet, drain: Callable[[], object]) -> None:
        self._collections, self._tables, self._quiet, self._drain = collections, tables, quiet, drain
        self._journal, self._snapshots, self._keys = journal, snapshots, keys

    def counts(self) -> Counter[bytes]:
        """Sealed values by data key, and files by journal key. Raises IntegrityError where they cannot be read."""
        found: Counter[bytes] = Counter()
        for collection in self._collections:
            for rows in self.rows(collection):
                found.update(key for row in rows for key in _keys(row))
        self._count_journal(found)
        self._count_snapshots(found)
        return found

    def rows(self, collection: Collection, limit: int = _ROWS) -> Iterator[list[Values]]:
        """Every row of every tenant, in the order of keys, with what was appended before; each part is read under the
        lock when it is asked for."""
        with self._quiet:
            self._drain()
        after: tuple[Any, ...] | None = None
        while True:
            with self._quiet:
                found = self._tables.find(collection, None, Query(order=(collection.key,), after=after, limit=limit))
            rows = _whole_keys(found, collection.key) if len(found) == limit else found
            if not rows:
                return
            yield rows
            after = (rows[-1][collection.key],)

    def _count_journal(self, found: Counter[bytes]) -> None:
        for _, path in self._journal.segments():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # forgotten meanwhile
            cipher = segment_cipher(content, path, self._keys)
            found[frames.HEADER.unpack_from(content)[2]] += 1
            for frame in frames.scan(content).frames:
                try:
                    changes = _decode(open_frame(cipher, frame))
                except (InvalidTag, ValueError):
                    raise IntegrityError(f"{path.name}: the frame at byte {frame.start} was changed",
                                         file=str(path), offset=frame.start) from None
                found.update(key for change in changes for key in _keys(change))

    def _count_snapshots(self, found: Counter[bytes]) -> None:
        for sequence in self._snapshots.sequences():
            found[self._snapshots.key_id(sequence)] += 1
            for _, rows in self._snapshots.read(sequence):
                found.update(key for _, values in rows for key in _keys(values))


def _keys(values: Iterable[Any]) -> Iterator[bytes]:
    """Ids of the keys that sealed the blobs among these values."""
    for value in values:
        if isinstance(value, bytes) and len(value) >= vault.OVERHEAD and value[:1] == vault.VERSION:
            yield value[1:9]


def _whole_keys(rows: list[Values], key: int) -> list[Values]:
    """Without the last key, which rows of other tenants may share beyond the end; all of them if it is the only one."""
    last = rows[-1][key]
    return [row for row in rows if row[key] != last] or rows
