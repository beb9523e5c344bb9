"""The files of a data directory, opened in the order that safety asks for, and rebuilt where they can be."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ruche.storage import platform
from ruche.storage.collection import Collection, collections
from ruche.storage.computed import Computed
from ruche.storage.connection import distrusted
from ruche.storage.errors import ConfigurationError, IntegrityError
from ruche.storage.journal import SEGMENT_BYTES, Journal
from ruche.storage.keyline import now_ms
from ruche.storage.keyring import Keyring, KeySource
from ruche.storage.log import AuditLog
from ruche.storage.notary import Notary
from ruche.storage.rows import MODELS
from ruche.storage.runs import DayFiles
from ruche.storage.snapshot import Snapshots
from ruche.storage.tablefile import Outdated
from ruche.storage.tables import Tables
from ruche.storage.upgrade import bring_up_to_date


class Limits(NamedTuple):
    """When a checkpoint and a snapshot of the tables are due, and when a journal segment is full."""

    checkpoint_bytes: int = 16 * 1024 * 1024
    checkpoint_seconds: float = 60.0
    snapshot_bytes: int = 256 * 1024 * 1024
    segment_bytes: int = SEGMENT_BYTES


DEFAULT_LIMITS: Final = Limits()


class DataFiles:
    """Lock, keyring, day files, snapshots, journal and tables of one directory."""

    def __init__(self, directory: Path, keys: KeySource, reserve_bytes: int, limits: Limits,
                 disk: platform.Disk | None) -> None:
        """Raises DataLocked, ConfigurationError, IntegrityError; then nothing is left open."""
        platform.private_directory(directory)
        self.directory = directory
        self._lock = platform.DirectoryLock(directory / "lock")
        self._opened: list[Keyring | DayFiles | AuditLog | Journal | Tables] = []
        try:
            platform.check_tree(directory)
            bring_up_to_date(directory, disk or platform.Disk())
            self.collections: Sequence[Collection] = collections(MODELS)
            self.keyring = _open_keyring(directory, keys, disk)
            self._opened.append(self.keyring)
            self.computed = Computed(directory / "computed", self.keyring.derive("computed"))
            self.days = DayFiles(directory / "runs", self.collections, disk=disk)
            self._opened.append(self.days)
            self.log = AuditLog(directory / "log", disk=disk)
            self._opened.append(self.log)
            self.snapshots = Snapshots(directory / "snapshots", self.keyring, self.collections, disk)
            self.journal = Journal(directory / "journal", self.keyring, reserve_bytes=reserve_bytes,
                                   segment_bytes=limits.segment_bytes, disk=disk)
            self._opened.append(self.journal)
            self.rebuilt = False
            self.tables = self._open_tables(directory / "tables.duckdb")
            self.notary = Notary(directory / "log", self.keyring.signing_seed, now_ms, disk=disk)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close what is open, and the lock last."""
        with contextlib.ExitStack() as closing:
            closing.callback(self._lock.release)
            for part in self._opened:
                closing.callback(part.close)
            if self._opened:
                self.keyring.keep_places()
            self._opened.clear()

    def disown(self) -> None:
        """In a forked child: let go of the descriptors; the table file is left alone, the parent is using it."""
        self.days.close()
        self.log.close()
        self.journal.disown()
        self.keyring.close()
        self._lock.release()
        self._opened.clear()

    def reopen_tables(self, *, more_memory: bool = False) -> None:
        """Tables, day files and logs as they were at the last checkpoint. Raises IntegrityError."""
        self.tables.reopen(more_memory=more_memory)
        self.days.reset(self.tables.day_lengths())
        self._begin_log(self.tables)

    def _begin_log(self, tables: Tables) -> None:
        if not self.log.begin(tables.log_sizes()):
            self.log.rebuild((one.order, one.tag, one.leaf) for one in self.days.everything(tables.applied))

    def _open_tables(self, path: Path) -> Tables:
        if distrusted(path).exists():
            _set_aside(path)
            distrusted(path).unlink()
        tables = self._sound_tables(path)
        self._opened.append(tables)
        if tables.applied > 0:
            self.days.begin(tables.day_lengths())
            tables.sweeping.days(self.days.dropped)
        else:
            self._fill(tables)
        self._begin_log(tables)
        return tables

    def _sound_tables(self, path: Path) -> Tables:
        """The tables of the file, new ones in the place of what cannot be used."""
        try:
            tables = Tables(path, self.collections, self.days, self.log)
            if not tables.begun:
                return tables
            tables.close()
            _remove(path)
        except Outdated:
            _remove(path)  # snapshots and journal have it all
        except IntegrityError:
            _set_aside(path)
        return Tables(path, self.collections, self.days, self.log)

    def _fill(self, tables: Tables) -> None:
        """New tables: the newest sound snapshot and the day files; the journal has the rest."""
        sequence, batches = self.snapshots.newest()
        if sequence:
            leaves = [(one.order, one.tag, one.leaf) for one in self.days.everything(sequence)]
            tables.load(batches, self.days.everything(sequence), self.log.rebuild(leaves), sequence)
            self.rebuilt = True


def _open_keyring(directory: Path, keys: KeySource, disk: platform.Disk | None) -> Keyring:
    platform.private_directory(directory / "keys")
    path = directory / "keys" / "keyring"
    if not path.exists() and any((directory / "journal").glob("*.seg")):
        raise ConfigurationError(f"{path} is missing, and without it the data cannot be read; bring it back")
    return Keyring(path, keys.root_key(), disk=disk)


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + ".wal")):
        name.unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    """Keep a damaged table file for whoever wants to look, out of the way."""
    for name in (path, path.with_name(path.name + ".wal")):
        if name.exists():
            name.replace(name.with_name(name.name + ".damaged"))
