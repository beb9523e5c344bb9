"""When the tables are made durable and snapshotted, what may be let go of then, and what a failure of it leads to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from ruche.storage import platform
from ruche.storage.auditor import Auditor
from ruche.storage.datafiles import DataFiles, Limits
from ruche.storage.errors import StorageStopped
from ruche.storage.feed import Feed
from ruche.storage.ledger import Ledger
from ruche.storage.quiet import Quiet
from ruche.storage.reading import Reading
from ruche.storage.tablefile import CheckpointFailed

_OVERDUE: Final = 4
"""Times as much as makes a checkpoint due, after which whoever feeds makes it: what is not written stays in memory."""


class Upkeep:
    """Of an open store; any thread. A checkpoint keeps others from feeding the tables, but from nothing else; beside a
    snapshot, of which there is one at a time, everything goes on."""

    def __init__(self, files: DataFiles, limits: Limits, feed: Feed, ledger: Ledger, auditor: Auditor,
                 quiet: Quiet, replayed: Callable[[int], None]) -> None:
        """`replayed` is told how far the tables were filled when they had to begin again."""
        self._files, self._limits, self._feed, self._ledger = files, limits, feed, ledger
        self._auditor, self._quiet, self._replayed = auditor, quiet, replayed
        self._journal, self._tables = files.journal, files.tables
        self._checkpointed_bytes = self._snapshot_bytes = 0
        self._checkpointed_at = time.monotonic()
        self._one, self._finished = threading.RLock(), False

    def due(self) -> bool:
        """Whether enough was written, or enough time has passed, since the last checkpoint or snapshot."""
        fresh = self._journal.written - self._checkpointed_bytes
        late = time.monotonic() - self._checkpointed_at >= self._limits.checkpoint_seconds
        return fresh >= self._limits.checkpoint_bytes or (fresh > 0 and late) or self._snapshot_due()

    def overdue(self) -> bool:
        """Whether whoever is to make checkpoints has fallen behind."""
        return self._journal.written - self._checkpointed_bytes >= _OVERDUE * self._limits.checkpoint_bytes

    def _snapshot_due(self) -> bool:
        """Whether so much was written since the last snapshot that another one pays."""
        due = max(self._limits.snapshot_bytes, self._files.snapshots.size())
        return self._journal.written - self._snapshot_bytes >= due

    def checkpoint(self, *, snapshot: bool = True) -> None:
        """Make the tables durable as they are; where a snapshot is due, take it and let go of journal segments that
        nothing needs any more.

        snapshot: else it is left to `checkpoint` on another thread, as it is while another thread takes one.
        """
        self._check()
        if not snapshot or not self._snapshot_due() or not self._one.acquire(blocking=False):
            self._checkpoint()
        else:
            try:
                self._keep(self._checkpoint_and_read())
            finally:
                self._one.release()
        self._journal.restore_reserve()

    def settle(self) -> None:
        """Everything appended so far is in the tables and the day files, durably."""
        with self._one:
            self._check()
            with self._quiet, self.stopping():
                self._feed.drain()
            self.checkpoint()

    def finish(self) -> None:
        """Wait for what is under way; whoever comes later is refused."""
        with self._one, self._tables.feeding:
            self._finished = True

    def _check(self) -> None:
        if self._finished:
            raise StorageStopped("storage is closed")

    def _checkpoint_and_read(self) -> Reading:
        """Gives what a snapshot is to be made of: exactly what is durable now."""
        with self._tables.feeding:
            self._checkpoint()
            self._snapshot_bytes = self._journal.written
            return self._tables.reading()

    def _checkpoint(self) -> None:
        with self._tables.feeding:
            with self.stopping():
                self._checkpoint_tables()
                self._auditor.checkpoint()
            self._checkpointed_bytes, self._checkpointed_at = self._journal.written, time.monotonic()

    def _keep(self, reading: Reading) -> None:
        try:
            covered = self._files.snapshots.take(reading)
        except BaseException:
            self._snapshot_bytes = 0  # due again at once
            raise
        finally:
            reading.close()
        self._journal.forget(covered)

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        """Whatever stops one part of the store stops the journal."""
        try:
            yield
        except OSError as error:
            found = platform.disk_error(error, "writing the data directory")
            if isinstance(found, StorageStopped):
                self._journal.stop(found.message)
            raise found from error
        except StorageStopped as error:
            self._journal.stop(error.message)
            raise

    def _checkpoint_tables(self) -> None:
        """After a failed checkpoint the tables begin again from the last one, and get back what was applied since."""
        reached = self._tables.applied
        try:
            self._tables.checkpoint()
        except CheckpointFailed as failed:
            with self._quiet:
                self._files.reopen_tables(more_memory=failed.memory)
                applied = self._tables.applied
                self._feed.put_back((sequence, self._ledger.read(body))
                                    for sequence, body in self._journal.between(applied, reached))
                self._feed.drain()
                self._files.days.caught_up()
                self._replayed(applied)
            raise
