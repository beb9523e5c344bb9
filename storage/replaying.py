"""Feeds the tables with what the journal holds beyond them, when a store is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ruche.storage.datafiles import DataFiles, Limits
from ruche.storage.feed import Feed
from ruche.storage.ledger import Ledger

_PARTS: Final = 2
"""Times as much journal as makes a checkpoint due is replayed before one is made: what is not written stays in
memory."""


def replay(files: DataFiles, limits: Limits, feed: Feed, ledger: Ledger, replayed: Callable[[int], None]) -> int:
    """Gives the number of frames. `replayed` is told how far the tables were filled before. Raises IntegrityError."""
    journal, tables, part = files.journal, files.tables, _PARTS * limits.checkpoint_bytes
    count, applied, fresh = 0, tables.applied, 0
    for count, (sequence, body) in enumerate(journal.recover(applied), 1):  # noqa: B007
        feed.add(sequence, ledger.read(body))
        fresh += len(body)
        if feed.full():
            feed.apply_batch()
            tables.tidy()
        if fresh > part:
            feed.drain()
            replayed(applied)
            tables.checkpoint()
            fresh = 0
    feed.drain()
    files.days.caught_up()
    replayed(applied)
    if count:
        tables.checkpoint()
    return count
