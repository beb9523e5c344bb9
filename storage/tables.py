"""The queryable tables: DuckDB, locked down, fed in batches. Rows go in protected and come out protected.

Its write-ahead log is off: the journal is the log. What was applied since the last checkpoint is applied again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import duckdb

from ruche.storage import platform
from ruche.storage.collection import Collection, Values
from ruche.storage.errors import IntegrityError, Unavailable
from ruche.storage.fields import StoredField
from ruche.storage.overlay import Change
from ruche.storage.runs import DayFiles, RunPlace

SCHEMA: Final = 1
OUTSIDE: Final = "runs"
"""The collection whose last field is kept in day files; its table has the place instead."""
_PLACE: Final = ("day", "place", "length")
_LOCK_DOWN: Final = (
    "PRAGMA disable_checkpoint_on_shutdown",  # only after the day files are on disk, and that is for us to say
    "SET threads=1", "SET memory_limit='1GB'", "SET wal_autocheckpoint='1TB'", "SET temp_directory=''",
    "SET allow_community_extensions=false", "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false", "SET enable_external_access=false", "SET lock_configuration=true",
)

Operator = Literal["=", "<", "<=", ">", ">="]


class Condition(NamedTuple):
    """A comparison of a stored column with a stored value."""

    column: int
    operator: Operator
    value: Any


class Query(NamedTuple):
    """What to look for in one collection: conditions, order, where to go on, how many."""

    conditions: tuple[Condition, ...] = ()
    order: tuple[int, ...] = ()
    descending: bool = False
    after: tuple[Any, ...] | None = None
    limit: int = 1000


class Tables:
    """One connection, used under the store's lock. Raises IntegrityError when the file is not usable."""

    def __init__(self, path: Path, collections: Sequence[Collection], days: DayFiles) -> None:
        self._collections, self._days = collections, days
        with platform.private_umask():
            self._connection = duckdb.connect()
            try:
                self._open(path)
            except duckdb.Error as error:
                self._connection.close()
                raise IntegrityError(f"{path.name}: the table file cannot be used ({type(error).__name__})",
                                     file=str(path)) from None
        self._appenders: dict[int, Any] = {}

    def _open(self, path: Path) -> None:
        self._connection.execute("ATTACH ? AS ruche (RECOVERY_MODE no_wal_writes)", [str(path)])
        self._connection.execute("USE ruche")
        for statement in _LOCK_DOWN:
            self._connection.execute(statement)
        if not self._connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name='applied'").fetchall():
            self._create()
        schema, self.applied = self._connection.execute("SELECT schema, sequence FROM applied").fetchall()[0]
        if schema != SCHEMA:
            raise IntegrityError(f"{path.name}: written by another version of the engine (schema {schema})")

    def _create(self) -> None:
        self._connection.execute("BEGIN")
        for collection in self._collections:
            columns = [f"{field.name} {collection.sql_type(field)}" for field in self._kept(collection)]
            if collection.name == OUTSIDE:
                columns += [f"{name} BIGINT" for name in _PLACE]
            self._connection.execute(f"CREATE TABLE {collection.name} (tenant BIGINT, {', '.join(columns)})")
            for name in (collection.model.key, *collection.model.lookup):
                self._connection.execute(f"CREATE INDEX {collection.name}_{name} ON {collection.name} ({name})")
        self._connection.execute("CREATE TABLE days (day BIGINT, length BIGINT)")
        self._connection.execute("CREATE TABLE applied (schema BIGINT, sequence BIGINT)")
        self._connection.execute("INSERT INTO applied VALUES (?, 0)", [SCHEMA])
        self._connection.execute("COMMIT")

    # --- feeding ---------------------------------------------------------------------------------------------

    def apply(self, changes: Iterable[tuple[int, Change]], sequence: int) -> None:
        """Put a batch of (sequence, change) into the tables in one transaction, up to and with `sequence`."""
        final: list[dict[tuple[int, Any], tuple[int, Values | None]]] = [{} for _ in self._collections]
        for number, change in changes:
            final[change.collection][change.tag, change.key] = (number, change.values)
        self._connection.execute("BEGIN")
        try:
            for collection, rows in zip(self._collections, final, strict=True):
                if rows:
                    self._replace(collection, rows)
            self._note(sequence)
            self._connection.execute("COMMIT")
        except BaseException:
            self._appenders.clear()
            self._connection.execute("ROLLBACK")
            raise
        self.applied = sequence

    def _replace(self, collection: Collection, rows: dict[tuple[int, Any], tuple[int, Values | None]]) -> None:
        if not collection.model.once:
            self._remove(collection, rows)
        self.insert(collection, [(tag, number, values) for (tag, _), (number, values) in rows.items()
                                 if values is not None])

    def _remove(self, collection: Collection, rows: Iterable[tuple[int, Any]]) -> None:
        gone = list(rows)
        self._connection.execute(
            f"DELETE FROM {collection.name} USING (SELECT unnest(?::BIGINT[]) AS t, "  # noqa: S608 - our own names
            f"unnest(?::{self._key_type(collection)}[]) AS k) AS gone "
            f"WHERE {collection.model.key} = gone.k AND {collection.name}.tenant = gone.t",
            [[tag for tag, _ in gone], [key for _, key in gone]])

    def insert(self, collection: Collection, rows: Sequence[tuple[int, int, Values]]) -> None:
        """Rows (tenant tag, sequence, values) that are known to be new, inside the caller's transaction."""
        if not rows:
            return
        appender = self._appenders.get(collection.number)
        if appender is None:
            appender = self._appenders[collection.number] = self._connection.appender(collection.name)
        if collection.name == OUTSIDE:
            appender.append_rows([(tag, *values[:-1], *self._days.put(number, tag, values))
                                  for tag, number, values in rows])
        else:
            appender.append_rows([(tag, *values) for tag, _, values in rows])
        appender.flush()

    def load(self, batches: Iterable[tuple[Collection, Sequence[tuple[int, Values]]]],
             runs: Iterable[tuple[int, Values, RunPlace]], sequence: int) -> None:
        """Fill empty tables from a snapshot and the day files, up to and with `sequence`."""
        self._connection.execute("BEGIN")
        for collection, rows in batches:
            self.insert(collection, [(tag, 0, values) for tag, values in rows])
        appender = self._connection.appender(OUTSIDE)
        placed = ((tag, *values[:-1], *place) for tag, values, place in runs)
        while part := list(itertools.islice(placed, 1000)):
            appender.append_rows(part)
        appender.flush()
        self._note(sequence)
        self._connection.execute("COMMIT")
        self.applied = sequence

    def _note(self, sequence: int) -> None:
        """Write down how far the tables and the day files are filled, in the transaction that fills them."""
        self._connection.execute("UPDATE applied SET sequence = ?", [sequence])
        for day, length in self._days.lengths():
            self._connection.execute("DELETE FROM days WHERE day = ?", [day])
            self._connection.execute("INSERT INTO days VALUES (?, ?)", [day, length])

    def checkpoint(self) -> None:
        """Make what is applied durable: day files first, then the tables. Raises Unavailable, StorageStopped."""
        self._days.sync()
        try:
            self._connection.execute("CHECKPOINT")
        except duckdb.Error as error:
            raise Unavailable(f"the tables could not be written ({type(error).__name__})", retry_after=5.0) from error

    # --- reading ---------------------------------------------------------------------------------------------

    def day_lengths(self) -> dict[int, int]:
        """How far each day file was filled at the last checkpoint."""
        return dict(self._connection.execute("SELECT day, length FROM days").fetchall())

    def get(self, collection: Collection, tag: int, key: Any) -> Values | None:
        rows = self._rows(collection, f"tenant = ? AND {collection.model.key} = ?", "", [tag, key])
        return rows[0] if rows else None

    def outside_bytes(self, collection: Collection, tag: int) -> int:
        """What a tenant's rows of this collection take in the day files."""
        found = self._connection.execute(
            f"SELECT coalesce(sum(length), 0) FROM {collection.name} WHERE tenant = ?", [tag]).fetchall()  # noqa: S608
        return int(found[0][0])

    def find(self, collection: Collection, tag: int | None, query: Query) -> list[Values]:
        """Rows that meet every condition; of all tenants when `tag` is None."""
        texts: list[str] = []
        values: list[Any] = []
        if tag is not None:
            texts.append("tenant = ?")
            values.append(tag)
        for condition in query.conditions:
            texts.append(f"{collection.columns[condition.column]} {condition.operator} ?")
            values.append(condition.value)
        names = [collection.columns[column] for column in query.order]
        if query.after is not None:
            texts.append(f"({', '.join(names)}) {'<' if query.descending else '>'} ({', '.join('?' * len(names))})")
            values.extend(query.after)
        direction = " DESC" if query.descending else ""
        order = f"ORDER BY {', '.join(name + direction for name in names)} " if names else ""
        return self._rows(collection, " AND ".join(texts) or "true", order + "LIMIT ?", [*values, query.limit])

    def everything(self, collection: Collection) -> Iterable[list[tuple[Any, ...]]]:
        """All rows of a table with their tenant tag, in batches: what a snapshot holds."""
        names = ", ".join(field.name for field in self._kept(collection))
        found = self._connection.execute(f"SELECT tenant, {names} FROM {collection.name}")  # noqa: S608
        while rows := found.fetchmany(500):
            yield rows

    def close(self) -> None:
        self._appenders.clear()
        self._connection.close()

    def _rows(self, collection: Collection, where: str, rest: str, values: list[Any]) -> list[Values]:
        names = [field.name for field in self._kept(collection)]
        outside = collection.name == OUTSIDE
        chosen = ", ".join([*names, *_PLACE] if outside else names)
        found: list[Values] = self._connection.execute(
            f"SELECT {chosen} FROM {collection.name} WHERE {where} {rest}", values).fetchall()  # noqa: S608
        if outside:
            return [(*row[:-3], self._days.body(RunPlace(*row[-3:]))) for row in found]
        return found

    @staticmethod
    def _kept(collection: Collection) -> tuple[StoredField, ...]:
        return collection.fields[:-1] if collection.name == OUTSIDE else collection.fields

    @staticmethod
    def _key_type(collection: Collection) -> str:
        return collection.sql_type(collection.fields[collection.key])
