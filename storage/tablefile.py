"""The file of the tables: a DuckDB database, locked down before any statement that carries data, and its schema.

Its write-ahead log is off: the journal is the log. What was applied since the last checkpoint is applied again. Row
groups are small and there is no index, so that memory does not grow with what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb

from ruche.storage import platform
from ruche.storage.collection import Collection
from ruche.storage.connection import Connection
from ruche.storage.errors import IntegrityError, Unavailable
from ruche.storage.reading import tabled

SCHEMA: Final = 2
"""1: with indexes. 2: with seats in their place."""
SEAT: Final = "seat"
PLACE: Final = ("day", "place", "length", "leaf")
"""Of what is logged: where its last field lies in the day files, and which leaf of the tenant's log it is."""
MEMORY_MB: Final = 192
"""What DuckDB may hold of the file at first; measured: 4,096 rows of 30 KB in a row group still fit."""
_ROW_GROUP: Final = 4096
"""Rows that are written, and kept in memory while they are, together."""
_VACUUMED: Final = 4
"""Row groups' worth of removed rows that a checkpoint cleans up at most: bounds how long it takes."""
_LOCK_DOWN: Final = (
    "PRAGMA disable_checkpoint_on_shutdown",  # only after the day files are on disk, and that is for us to say
    "SET threads=1", f"SET max_vacuum_tasks={_VACUUMED}",
    "SET wal_autocheckpoint='1TB'", "SET temp_directory=''",
    "SET allow_community_extensions=false", "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false", "SET enable_external_access=false", "SET lock_configuration=true",
)


class Outdated(IntegrityError):
    """The file was written by another version of the engine: it is made anew from snapshots and journal."""


class CheckpointFailed(Unavailable):
    """The table file could not be written; what it held at the last checkpoint is in it."""

    def __init__(self, error: duckdb.Error) -> None:
        super().__init__(f"the tables could not be written ({type(error).__name__})", retry_after=5.0)
        self.memory = str(error).count(" used)") > 0
        """Whether it was for want of memory: DuckDB tells it in words alone."""


class TableFile:
    """`writer` feeds and checkpoints, `reader` asks; both see what is committed, the reader also during a checkpoint.

    Raises IntegrityError when the file is not usable, Outdated when it is of another version.
    """

    def __init__(self, path: Path, collections: Sequence[Collection], memory_mb: int) -> None:
        self.path, self._collections, self._writing = path, collections, False
        with platform.private_umask():
            self.writer = Connection(duckdb.connect(), path)
            try:
                self._open(memory_mb)
            except (duckdb.Error, IntegrityError) as error:
                self.writer.close()
                if isinstance(error, Outdated):
                    raise
                raise IntegrityError(f"{path.name}: the table file cannot be used ({type(error).__name__})",
                                     file=str(path)) from None

    def _open(self, memory_mb: int) -> None:
        self.writer.execute(f"ATTACH ? AS ruche (RECOVERY_MODE no_wal_writes, ROW_GROUP_SIZE {_ROW_GROUP})",
                            [str(self.path)])
        self.writer.execute("USE ruche")
        self.writer.execute(f"SET memory_limit='{memory_mb}MB'")
        for statement in _LOCK_DOWN:
            self.writer.execute(statement)
        if not self.writer.execute("SELECT 1 FROM duckdb_tables() WHERE table_name='applied'").fetchall():
            self._create()
        schema, self.applied = self.writer.execute("SELECT schema, sequence FROM applied").fetchall()[0]
        if schema != SCHEMA:
            raise Outdated(f"{self.path.name}: written by another version of the engine (schema {schema})")
        self._create_collections()
        self.reader = Connection(self.writer.raw.cursor(), self.path, lambda: self._writing)
        self.reader.execute("USE ruche")

    def _create(self) -> None:
        self.writer.execute("BEGIN")
        self._create_collections()
        self.writer.execute("CREATE TABLE days (day BIGINT, length BIGINT)")
        self.writer.execute("CREATE TABLE logs (tenant BIGINT, size BIGINT)")
        self.writer.execute("CREATE TABLE applied (schema BIGINT, sequence BIGINT)")
        self.writer.execute("INSERT INTO applied VALUES (?, 0)", [SCHEMA])
        self.writer.execute("COMMIT")

    def _create_collections(self) -> None:
        """Tables that are not there yet: all of a new file, the new ones of an older engine's file."""
        there = {name for name, in self.writer.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        for collection in self._collections:
            if collection.name not in there:
                columns = [f"{field.name} {collection.sql_type(field)}" for field in tabled(collection)]
                if collection.model.logged:
                    columns += [f"{name} BIGINT" for name in PLACE]
                self.writer.execute(
                    f"CREATE TABLE {collection.name} ({SEAT} BIGINT, tenant BIGINT, {', '.join(columns)})")

    def holds_rows(self) -> bool:
        """Whether any table has a row."""
        return any(self.writer.execute(f"SELECT 1 FROM {one.name} LIMIT 1").fetchall()  # noqa: S608 - our own names
                   for one in self._collections)

    def checkpoint(self) -> None:
        """Raises CheckpointFailed, after which the file must be opened again."""
        self._writing = True
        try:
            self.writer.raw.execute("CHECKPOINT")
        except duckdb.Error as error:
            raise CheckpointFailed(error) from error
        self._writing = False

    def close(self) -> None:
        self.reader.close()
        self.writer.close()
