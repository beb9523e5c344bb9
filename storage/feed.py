"""What was journalled and is not in the tables yet, and the step that puts it there. Erasures take effect here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ruche.storage.collection import Collection
from ruche.storage.keyring import Keyring
from ruche.storage.ledger import Ledger
from ruche.storage.overlay import Change, Overlay
from ruche.storage.rows import ErasureRow
from ruche.storage.tables import Tables

_BATCH: Final = 1000
"""Frames per transaction: bounds the memory it takes."""


class Pending(NamedTuple):
    """A journalled frame that the tables do not hold yet."""

    sequence: int
    changes: list[Change]


class Feed:
    """Filled by the appending thread; emptied by whoever holds the tables' `feeding`."""

    def __init__(self, collections: Sequence[Collection], overlay: Overlay, tables: Tables, keyring: Keyring,
                 ledger: Ledger) -> None:
        erasures = next(one for one in collections if one.model is ErasureRow)
        self._erasures, self._keys = erasures.number, erasures.columns.index("keys")
        self._collections, self._overlay = collections, overlay
        self._tables, self._keyring, self._ledger = tables, keyring, ledger
        self._pending: deque[Pending] = deque()

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, sequence: int, changes: list[Change]) -> None:
        self._pending.append(Pending(sequence, changes))

    def put_back(self, frames: Iterable[tuple[int, list[Change]]]) -> None:
        """Frames that the tables have lost again come before those that wait."""
        self._pending.extendleft(reversed([Pending(*frame) for frame in frames]))

    def full(self) -> bool:
        """A whole batch waits."""
        return len(self._pending) >= _BATCH

    def drain(self) -> None:
        while self._pending:
            self.apply_batch()

    def apply_batch(self) -> int:
        """Put a batch into the tables; what it erases is unreadable when this returns. Gives the number of frames.

        Raises StorageFull and StorageStopped with the batch still waiting.
        """
        batch = [self._pending[place] for place in range(min(_BATCH, len(self._pending)))]
        if not batch:
            return 0
        last, doomed = batch[-1].sequence, self._doomed(batch)
        if doomed:
            self._keyring.shred(doomed)
            self._forget_words()
        self._tables.apply(((one.sequence, change) for one in batch for change in one.changes), last,
                           lambda: self._drop(last, batch))
        if doomed:
            self._tables.sweeping.keys(doomed)
        for _ in batch:
            self._pending.popleft()
        return len(batch)

    def _drop(self, through: int, batch: Iterable[Pending]) -> None:
        for one in batch:
            self._overlay.drop(through, one.changes)

    def _doomed(self, batch: Sequence[Pending]) -> list[bytes]:
        """Ids of the data keys that erasures in the batch name."""
        return [bytes.fromhex(key) for one in batch for change in one.changes
                if change.collection == self._erasures and change.values is not None
                for key in change.values[self._keys].split(".")]

    def _forget_words(self) -> None:
        self._ledger.forget_persons()
        for collection in self._collections:
            collection.forget()
