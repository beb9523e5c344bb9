"""The queryable tables: fed in batches, asked while they are fed. Rows go in protected and come out protected.

Who feeds holds `feeding`, who asks holds `lock`; the feeder takes `lock` only to commit, so that nobody waits for a
batch or a checkpoint.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruche.storage.collection import Collection, Values
from ruche.storage.connection import Appender, Connection
from ruche.storage.entries import Entry, Order, Place
from ruche.storage.filling import fill
from ruche.storage.log import AuditLog
from ruche.storage.overlay import Change
from ruche.storage.platform import memory_mb
from ruche.storage.query import Query
from ruche.storage.question import Question, names_of
from ruche.storage.reading import Reading
from ruche.storage.runs import DayFiles
from ruche.storage.seats import Seats
from ruche.storage.sieve import Sieves
from ruche.storage.sweeping import Sweeping
from ruche.storage.tablefile import MEMORY_MB, PLACE, SCHEMA, TableFile

_LOADED_BYTES: Final = 32 * 1024 * 1024
"""Bytes of a snapshot's rows between two checkpoints while they are loaded."""

Row = tuple[Any, ...]
Address = tuple[int, Any]
"""Tenant tag and stored key of a row."""


class Moves(NamedTuple):
    """What a transaction did to one table: rows put (seat, tag, values) and seats left."""

    seats: Seats
    put: list[tuple[int, int, Values]]
    gone: list[int]


class Tables:
    """Raises IntegrityError when the file is not usable, Unavailable while memory is short."""

    def __init__(self, path: Path, collections: Sequence[Collection], days: DayFiles, log: AuditLog) -> None:
        self._collections, self._days, self._log, self._path = collections, days, log, path
        self._appenders: dict[int, Appender] = {}
        self._memory_mb = MEMORY_MB
        self.lock: Final = threading.RLock()
        """Held while something is asked, so that tables and overlay are seen at one moment. Never wait for `feeding`
        with it."""
        self.feeding: Final = threading.RLock()
        """Held while something is fed, swept or checkpointed."""
        self._connect()

    def _connect(self) -> None:
        self._file = TableFile(self._path, self._collections, self._memory_mb)
        self._seats: dict[int, Seats] = {}
        try:
            self._read()
        except BaseException:
            self.close()  # else the file stays in use, and no other can take its place
            raise

    def _read(self) -> None:
        """Raises IntegrityError for a block that is damaged: it shows when it is read."""
        self._connection, self.applied = self._file.writer, self._file.applied
        self.sweeping = Sweeping(self._connection, self._collections)
        self._sieves = Sieves(self._collections)
        for one in self._collections:
            self._seats[one.number] = Seats(one, self._path.parent)
            fill(self._connection, one, self._seats[one.number], self._sieves)

    def reopen(self, *, more_memory: bool = False) -> None:
        """Begin again from the file, as it was at the last checkpoint: after a failed one nothing else can be read."""
        self.close()
        if more_memory:
            self._memory_mb = min(2 * self._memory_mb, max(memory_mb() // 2, self._memory_mb))
        self._connect()

    @property
    def begun(self) -> bool:
        """Whether there are rows of which nothing tells how far they go: loading them was cut short."""
        return not self.applied and self._file.holds_rows()

    # --- feeding ---------------------------------------------------------------------------------------------

    def apply(self, changes: Iterable[tuple[int, Change]], sequence: int,
              known: Callable[[], None] = lambda: None) -> None:
        """Put a batch of (sequence, change) into the tables in one transaction, up to and with `sequence`; `known` is
        called at the moment from which on the tables answer for it."""
        final: list[dict[Address, Row | None]] = [{} for _ in self._collections]
        parts: Counter[int] = Counter()
        self._connection.execute("BEGIN")
        try:
            for number, change in changes:
                final[change.collection][change.tag, change.key] = self._row(number, change, parts)
            moves = [self._replace(collection, rows) for collection, rows in zip(self._collections, final, strict=True)
                     if rows]
            self._days.write()
            self._note(sequence, self._log.write())
            with self.lock:
                self._connection.execute("COMMIT")
                self._settle(moves)
                self.applied = sequence
                known()
        except BaseException:
            self._appenders.clear()
            self._days.undo()
            self._log.undo()
            self._connection.roll_back()
            raise
        self._log.kept()

    def _row(self, number: int, change: Change, parts: Counter[int]) -> Row | None:
        """The row as its table has it; what is logged goes to its day file and becomes a leaf first. `parts` counts
        the entries of each frame."""
        collection, values = self._collections[change.collection], change.values
        if values is None or not collection.model.logged:
            return values
        place, leaf = self._days.put((number, parts[number]), change.tag, collection, values)
        parts[number] += 1
        index = self._log.stage(change.tag, leaf)
        return None if place is None else (*values[:-1], *place, index)

    def _replace(self, collection: Collection, rows: dict[Address, Row | None]) -> Moves:
        gone = [] if collection.model.once else self._remove(collection, rows)
        return self._insert(collection, [(tag, values) for (tag, _), values in rows.items() if values is not None],
                            gone)

    def _remove(self, collection: Collection, rows: Iterable[Address]) -> list[int]:
        """Gives the seats that were left."""
        seats, places = self._seats[collection.number], list[tuple[int, int, Any]]()
        for tag, key in rows:
            if not self.lacks(collection, collection.key, key):
                places += [(seat, tag, key) for seat in seats.of(collection.key, tag, key)]
        if not places:
            return []
        found = self._connection.execute(
            f"DELETE FROM {collection.name} USING (SELECT unnest(?::BIGINT[]) AS s, "  # noqa: S608 - our own names
            f"unnest(?::BIGINT[]) AS t, unnest(?::{collection.sql_type(collection.fields[collection.key])}[]) AS k) "
            f"AS gone WHERE seat = gone.s AND {collection.name}.tenant = gone.t AND {collection.model.key} = gone.k "
            "RETURNING seat", [list(one) for one in zip(*places, strict=True)]).fetchall()
        return [seat for seat, in found]

    def _insert(self, collection: Collection, rows: Sequence[tuple[int, Row]], gone: list[int]) -> Moves:
        seats = self._seats[collection.number]
        put = [(seat, tag, values) for seat, (tag, values) in zip(seats.draw(len(rows)), rows, strict=True)]
        if put:
            appender = self._appenders.get(collection.number)
            if appender is None:
                appender = self._appenders[collection.number] = self._connection.appender(collection.name)
            appender.append_rows([(seat, tag, *values) for seat, tag, values in put])
            appender.flush()
            for column in self._sieves.columns(collection):
                self._sieves.add(collection, column, [values[column] for _, _, values in put])
        return Moves(seats, put, gone)

    @staticmethod
    def _settle(moves: Iterable[Moves]) -> None:
        for one in moves:
            one.seats.settle(one.put, one.gone)

    def tidy(self) -> None:
        """Keep look-ups short; whoever feeds calls it now and then."""
        for seats in self._seats.values():
            seats.tidy(self.lock)

    def load(self, batches: Iterable[tuple[Collection, Sequence[tuple[int, Values]]]], entries: Iterator[Entry],
             leaves: Mapping[Order, int], sequence: int) -> None:
        """Fill empty tables from a snapshot and the day files, up to and with `sequence`; `leaves` has the index in its
        log of every entry by its order. What is cut short is `begun`."""
        loaded = 0
        for collection, rows in batches:
            self._load(collection, rows)
            loaded += sum(len(value) for _, values in rows for value in values if isinstance(value, bytes))
            if loaded > _LOADED_BYTES:
                self._file.checkpoint()
                loaded = 0
        sizes: dict[int, int] = {}
        while part := list(itertools.islice(entries, 1000)):
            made: dict[int, list[tuple[int, Row]]] = {}
            for entry in part:
                sizes[entry.tag] = sizes.get(entry.tag, 0) + 1
                if entry.values is not None:
                    made.setdefault(entry.number, []).append(
                        (entry.tag, (*entry.values[:-1], *entry.place, leaves[entry.order])))
            for number, found in made.items():
                self._load(self._collections[number], found)
        self._connection.execute("BEGIN")
        self._note(sequence, sizes.items())
        self._connection.execute("COMMIT")
        self.applied = sequence

    def _load(self, collection: Collection, rows: Sequence[tuple[int, Row]]) -> None:
        self._connection.execute("BEGIN")
        moves = self._insert(collection, rows, [])
        self._connection.execute("COMMIT")
        self._settle([moves])
        self.tidy()

    def _note(self, sequence: int, grown: Iterable[tuple[int, int]]) -> None:
        """Write down how far the tables, the day files and the logs are filled, in the transaction that fills them.
        Never by an update: who reads an older state would keep checkpoints from being made."""
        self._connection.execute("DELETE FROM applied")
        self._connection.execute("INSERT INTO applied VALUES (?, ?)", [SCHEMA, sequence])
        for tag, size in grown:
            self._connection.execute("DELETE FROM logs WHERE tenant = ?", [tag])
            self._connection.execute("INSERT INTO logs VALUES (?, ?)", [tag, size])
        for day, length in self._days.lengths():
            self._connection.execute("DELETE FROM days WHERE day = ?", [day])
            self._connection.execute("INSERT INTO days VALUES (?, ?)", [day, length])

    def checkpoint(self) -> None:
        """Make what is applied durable: day files and logs first. Raises CheckpointFailed, StorageStopped."""
        self._days.sync()
        self._log.sync()
        self._file.checkpoint()

    # --- asking ----------------------------------------------------------------------------------------------

    def day_lengths(self) -> dict[int, int]:
        """How far each day file was filled at the last checkpoint."""
        return dict(self._connection.execute("SELECT day, length FROM days").fetchall())

    def log_sizes(self) -> dict[int, int]:
        """Leaves of each tenant's log, by tag."""
        return dict(self._connection.execute("SELECT tenant, size FROM logs").fetchall())

    def leaf(self, collection: Collection, tag: int, key: Any) -> int | None:
        """Which leaf of the tenant's log a row is; None when there is no such row."""
        asked = self._question(collection, tag, Query.of(collection.key, key))
        found = None if asked is None else self._file.reader.execute(*asked.chosen("leaf")).fetchone()
        return None if found is None else int(found[0])

    def lacks(self, collection: Collection, column: int, value: Any) -> bool:
        """True when surely no row has this value; any thread, without the lock. Rows are known here before they are
        committed, so who asks after looking for the row in the overlay misses none."""
        return self._sieves.lack(collection, column, value)

    def get(self, collection: Collection, tag: int, key: Any) -> Values | None:
        rows = self.find(collection, tag, Query.of(collection.key, key))
        return rows[0] if rows else None

    def outside_bytes(self, collection: Collection, tag: int) -> int:
        """What a tenant's rows of this collection take in the day files."""
        found = self._file.reader.execute(
            f"SELECT coalesce(sum(length), 0) FROM {collection.name} WHERE tenant = ?", [tag]).fetchall()  # noqa: S608
        return int(found[0][0])

    def find(self, collection: Collection, tag: int | None, query: Query) -> list[Values]:
        """Rows that meet every condition; of all tenants when `tag` is None."""
        asked = self._question(collection, tag, query)
        if asked is None:
            return []
        if not collection.model.logged:
            return self._file.reader.execute(*asked.chosen(names_of(collection))).fetchall()
        found = self._file.reader.execute(*asked.chosen(f"{names_of(collection)}, {', '.join(PLACE[:3])}")).fetchall()
        return [(*row[:-3], self._days.body(Place(*row[-3:]))) for row in found]

    def _question(self, collection: Collection, tag: int | None, query: Query) -> Question | None:
        """None when surely no row meets it."""
        seats = self._seats[collection.number]
        fewest: list[int] | None = None
        for one in query.conditions:
            if one.operator != "=" or tag is None or one.column not in seats.columns:
                continue
            found = [] if self.lacks(collection, one.column, one.value) else seats.of(one.column, tag, one.value)
            if not found:
                return None
            if fewest is None or len(found) < len(fewest):
                fewest = found
        return Question.of(collection, tag, query, fewest)

    def reading(self) -> Reading:
        """What is applied, as it is now, to be read without a lock; whoever feeds asks, and whoever asked closes it."""
        return Reading(Connection(self._connection.raw.cursor(), self._path))

    def close(self) -> None:
        self._appenders.clear()
        for seats in self._seats.values():
            seats.close()
        self._file.close()
