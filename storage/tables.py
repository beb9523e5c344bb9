"""The queryable tables: DuckDB, locked down, fed in batches. Rows go in protected and come out protected.

Its write-ahead log is off: the journal is the log. What was applied since the last checkpoint is applied again.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from ruche.storage import platform
from ruche.storage.collection import Collection, Values
from ruche.storage.connection import Appender, Connection
from ruche.storage.errors import IntegrityError, Unavailable
from ruche.storage.log import AuditLog
from ruche.storage.overlay import Change
from ruche.storage.query import Query
from ruche.storage.reading import Reading, tabled
from ruche.storage.runs import DayFiles, Entry, Order, Place
from ruche.storage.sieve import Sieves

SCHEMA: Final = 1
PLACE: Final = ("day", "place", "length", "leaf")
"""Of what is logged: where its last field lies in the day files, and which leaf of the tenant's log it is."""
_LOCK_DOWN: Final = (
    "PRAGMA disable_checkpoint_on_shutdown",  # only after the day files are on disk, and that is for us to say
    "SET threads=1", f"SET memory_limit='{platform.memory_mb() // 4}MB'",  # its indexes stay in it: 1 KB a turn
    "SET wal_autocheckpoint='1TB'", "SET temp_directory=''",
    "SET allow_community_extensions=false", "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false", "SET enable_external_access=false", "SET lock_configuration=true",
)

class CheckpointFailed(Unavailable):
    """The table file could not be written; what it held at the last checkpoint is in it."""


class Tables:
    """One connection, used under the store's lock. Raises IntegrityError when the file is not usable."""

    def __init__(self, path: Path, collections: Sequence[Collection], days: DayFiles, log: AuditLog) -> None:
        self._collections, self._days, self._log, self._path = collections, days, log, path
        self._appenders: dict[int, Appender] = {}
        self._sieves = Sieves(collections)
        self._connect()

    def _connect(self) -> None:
        with platform.private_umask():
            self._connection = Connection(duckdb.connect(), self._path)
            try:
                self._open(self._path)
            except (duckdb.Error, IntegrityError) as error:
                self._connection.close()
                raise IntegrityError(f"{self._path.name}: the table file cannot be used ({type(error).__name__})",
                                     file=str(self._path)) from None

    def reopen(self) -> None:
        """Begin again from the file, as it was at the last checkpoint: after a failed one nothing else can be read."""
        self.close()
        self._connect()

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
        self._create_collections()
        for collection in self._collections:
            for column in self._sieves.columns(collection):
                found = self._connection.execute(f"SELECT {collection.columns[column]} FROM {collection.name}")  # noqa: S608
                while rows := found.fetchmany(10_000):
                    self._sieves.add(collection, column, [value for value, in rows])

    def _create(self) -> None:
        self._connection.execute("BEGIN")
        self._create_collections()
        self._connection.execute("CREATE TABLE days (day BIGINT, length BIGINT)")
        self._connection.execute("CREATE TABLE logs (tenant BIGINT, size BIGINT)")
        self._connection.execute("CREATE TABLE applied (schema BIGINT, sequence BIGINT)")
        self._connection.execute("INSERT INTO applied VALUES (?, 0)", [SCHEMA])
        self._connection.execute("COMMIT")

    def _create_collections(self) -> None:
        """Tables that are not there yet: all of a new file, the new ones of an older engine's file."""
        there = {name for name, in self._connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        for collection in self._collections:
            if collection.name in there:
                continue
            columns = [f"{field.name} {collection.sql_type(field)}" for field in tabled(collection)]
            if collection.model.logged:
                columns += [f"{name} BIGINT" for name in PLACE]
            self._connection.execute(f"CREATE TABLE {collection.name} (tenant BIGINT, {', '.join(columns)})")
            for name in (collection.model.key, *collection.model.lookup):
                self._connection.execute(f"CREATE INDEX {collection.name}_{name} ON {collection.name} ({name})")

    # --- feeding ---------------------------------------------------------------------------------------------

    def apply(self, changes: Iterable[tuple[int, Change]], sequence: int) -> None:
        """Put a batch of (sequence, change) into the tables in one transaction, up to and with `sequence`."""
        final: list[dict[tuple[int, Any], tuple[Any, ...] | None]] = [{} for _ in self._collections]
        parts: Counter[int] = Counter()
        self._connection.execute("BEGIN")
        try:
            for number, change in changes:
                final[change.collection][change.tag, change.key] = self._row(number, change, parts)
            for collection, rows in zip(self._collections, final, strict=True):
                if rows:
                    self._replace(collection, rows)
            self._note(sequence, self._log.write())
            self._connection.execute("COMMIT")
        except BaseException:
            self._appenders.clear()
            self._log.undo()
            self._connection.roll_back()
            raise
        self._log.kept()
        self.applied = sequence

    def _row(self, number: int, change: Change, parts: Counter[int]) -> tuple[Any, ...] | None:
        """The row as its table has it; what is logged goes to its day file and becomes a leaf first. `parts` counts
        the entries of each frame."""
        collection, values = self._collections[change.collection], change.values
        if values is None or not collection.model.logged:
            return values
        place, leaf = self._days.put((number, parts[number]), change.tag, collection, values)
        parts[number] += 1
        index = self._log.stage(change.tag, leaf)
        return None if place is None else (*values[:-1], *place, index)

    def _replace(self, collection: Collection, rows: dict[tuple[int, Any], tuple[Any, ...] | None]) -> None:
        if not collection.model.once:
            self._remove(collection, rows)
        self._insert(collection, [(tag, *values) for (tag, _), values in rows.items() if values is not None])

    def _remove(self, collection: Collection, rows: Iterable[tuple[int, Any]]) -> None:
        gone = list(rows)
        self._connection.execute(
            f"DELETE FROM {collection.name} USING (SELECT unnest(?::BIGINT[]) AS t, "  # noqa: S608 - our own names
            f"unnest(?::{self._key_type(collection)}[]) AS k) AS gone "
            f"WHERE {collection.model.key} = gone.k AND {collection.name}.tenant = gone.t",
            [[tag for tag, _ in gone], [key for _, key in gone]])

    def _insert(self, collection: Collection, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        appender = self._appenders.get(collection.number)
        if appender is None:
            appender = self._appenders[collection.number] = self._connection.appender(collection.name)
        appender.append_rows(rows)
        appender.flush()
        for column in self._sieves.columns(collection):
            self._sieves.add(collection, column, [row[1 + column] for row in rows])

    def load(self, batches: Iterable[tuple[Collection, Sequence[tuple[int, Values]]]], entries: Iterator[Entry],
             leaves: Mapping[Order, int], sequence: int) -> None:
        """Fill empty tables from a snapshot and the day files, up to and with `sequence`; `leaves` has the index in its
        log of every entry by its order."""
        self._connection.execute("BEGIN")
        for collection, rows in batches:
            self._insert(collection, [(tag, *values) for tag, values in rows])
        sizes: dict[int, int] = {}
        while part := list(itertools.islice(entries, 1000)):
            made: dict[int, list[tuple[Any, ...]]] = {}
            for entry in part:
                sizes[entry.tag] = sizes.get(entry.tag, 0) + 1
                if entry.values is not None:
                    made.setdefault(entry.number, []).append(
                        (entry.tag, *entry.values[:-1], *entry.place, leaves[entry.order]))
            for number, found in made.items():
                self._insert(self._collections[number], found)
        self._note(sequence, sizes.items())
        self._connection.execute("COMMIT")
        self.applied = sequence

    def _note(self, sequence: int, grown: Iterable[tuple[int, int]]) -> None:
        """Write down how far the tables, the day files and the logs are filled, in the transaction that fills them."""
        self._connection.execute("UPDATE applied SET sequence = ?", [sequence])
        for tag, size in grown:
            self._connection.execute("DELETE FROM logs WHERE tenant = ?", [tag])
            self._connection.execute("INSERT INTO logs VALUES (?, ?)", [tag, size])
        for day, length in self._days.lengths():
            self._connection.execute("DELETE FROM days WHERE day = ?", [day])
            self._connection.execute("INSERT INTO days VALUES (?, ?)", [day, length])

    def forget_days(self, days: Iterable[int]) -> int:
        """Remove the rows of days that were dropped; gives how many."""
        gone = 0
        for collection in self._collections:
            if collection.model.logged:
                gone += self._count(f"DELETE FROM {collection.name} WHERE day IN (SELECT unnest(?::BIGINT[]))",  # noqa: S608
                                    [list(days)])
        return gone

    def forget_keys(self, ids: Sequence[bytes]) -> int:
        """Remove every row that is sealed under one of the keys, but for those that remain; gives how many."""
        return sum(self._count(f"DELETE FROM {collection.name} WHERE {name}[2:9] IN (SELECT unnest(?::BLOB[]))",  # noqa: S608
                               [list(ids)])
                   for collection in self._collections if not collection.model.remains
                   for name in collection.sealed[:1])

    def forget_older(self, collection: Collection, before_ms: int, held: Iterable[bytes]) -> int:
        """Remove rows whose age field is below `before_ms`, but for those sealed under a held key and open sessions;
        gives how many."""
        return self._count(f"DELETE FROM {collection.name} WHERE {_aged(collection)}",  # noqa: S608 - our own names
                           [before_ms, list(held)])

    def forget_sessions(self, sessions: Collection, events: Collection, before_ms: int, held: Iterable[bytes]) -> int:
        """Remove the events of the sessions that `forget_older` would remove; gives how many rows."""
        return self._count(
            f"DELETE FROM {events.name} WHERE (tenant, session) IN (SELECT (tenant, {sessions.model.key}) "  # noqa: S608
            f"FROM {sessions.name} WHERE {_aged(sessions)})", [before_ms, list(held)])

    def forget_unreadable(self, collection: Collection) -> list[str]:
        """Remove rows of a logged collection whose body the day files do not have; gives their keys."""
        key = collection.model.key
        found = self._connection.execute(f"SELECT tenant, {key}, day, place, length FROM {collection.name}").fetchall()  # noqa: S608
        bad = [(tag, name) for tag, name, *place in found if not self._days.holds(Place(*place))]
        if bad:
            self._remove(collection, bad)
        return [name for _, name in bad]

    def _count(self, statement: str, values: list[Any]) -> int:
        found = self._connection.execute(statement, values).fetchone()
        return int(found[0]) if found else 0

    def checkpoint(self) -> None:
        """Make what is applied durable: day files and logs first. Raises CheckpointFailed, StorageStopped."""
        self._days.sync()
        self._log.sync()
        try:
            self._connection.raw.execute("CHECKPOINT")
        except duckdb.Error as error:
            raise CheckpointFailed(f"the tables could not be written ({type(error).__name__})",
                                   retry_after=5.0) from error

    # --- reading ---------------------------------------------------------------------------------------------

    def day_lengths(self) -> dict[int, int]:
        """How far each day file was filled at the last checkpoint."""
        return dict(self._connection.execute("SELECT day, length FROM days").fetchall())

    def log_sizes(self) -> dict[int, int]:
        """Leaves of each tenant's log, by tag."""
        return dict(self._connection.execute("SELECT tenant, size FROM logs").fetchall())

    def leaf(self, collection: Collection, tag: int, key: Any) -> int | None:
        """Which leaf of the tenant's log a row is; None when there is no such row."""
        found = self._connection.execute(
            f"SELECT leaf FROM {collection.name} WHERE tenant = ? AND {collection.model.key} = ?",  # noqa: S608
            [tag, key]).fetchone()
        return None if found is None else int(found[0])

    def lacks(self, collection: Collection, column: int, value: Any) -> bool:
        """True when surely no row has this value; any thread, without the lock. Rows are known here before they are
        committed, so who asks after looking for the row in the overlay misses none."""
        return self._sieves.lack(collection, column, value)

    def get(self, collection: Collection, tag: int, key: Any) -> Values | None:
        if self.lacks(collection, collection.key, key):
            return None
        rows = self._rows(collection, f"tenant = ? AND {collection.model.key} = ?", "", [tag, key])
        return rows[0] if rows else None

    def outside_bytes(self, collection: Collection, tag: int) -> int:
        """What a tenant's rows of this collection take in the day files."""
        found = self._connection.execute(
            f"SELECT coalesce(sum(length), 0) FROM {collection.name} WHERE tenant = ?", [tag]).fetchall()  # noqa: S608
        return int(found[0][0])

    def find(self, collection: Collection, tag: int | None, query: Query) -> list[Values]:
        """Rows that meet every condition; of all tenants when `tag` is None."""
        if any(one.operator == "=" and self.lacks(collection, one.column, one.value) for one in query.conditions):
            return []
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

    def reading(self) -> Reading:
        """What is applied, as it is now, to be read without the store's lock; whoever asked closes it."""
        return Reading(Connection(self._connection.raw.cursor(), self._path))

    def close(self) -> None:
        self._appenders.clear()
        self._connection.close()

    def _rows(self, collection: Collection, where: str, rest: str, values: list[Any]) -> list[Values]:
        names = [field.name for field in tabled(collection)]
        logged = bool(collection.model.logged)
        chosen = ", ".join([*names, *PLACE[:3]] if logged else names)
        found: list[Values] = self._connection.execute(
            f"SELECT {chosen} FROM {collection.name} WHERE {where} {rest}", values).fetchall()  # noqa: S608
        if logged:
            return [(*row[:-3], self._days.body(Place(*row[-3:]))) for row in found]
        return found

    @staticmethod
    def _key_type(collection: Collection) -> str:
        return collection.sql_type(collection.fields[collection.key])


def _aged(collection: Collection) -> str:
    """The condition for rows that are older than a time and not sealed under one of the held keys."""
    width = collection.by_name[collection.model.aged].width  # a bucket is as old as its last moment
    condition = (f"{collection.model.aged} + {max(width - 1, 0)} < ? "
                 f"AND {collection.sealed[0]}[2:9] NOT IN (SELECT unnest(?::BLOB[]))")
    return condition + (" AND NOT open" if "open" in collection.columns else "")
