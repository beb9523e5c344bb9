"""Rows that leave the tables in numbers: of a day, of a destroyed key, of an age, of a damaged day file.

Their seats stay in the registers until the next start; who looks there looks at the row itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ruche.storage.collection import Collection
from ruche.storage.connection import Connection


class Sweeping:
    """Of one connection, which nobody else writes through meanwhile."""

    def __init__(self, connection: Connection, collections: Sequence[Collection]) -> None:
        self._connection, self._collections = connection, collections

    def days(self, days: Iterable[int]) -> int:
        """Remove the rows of days that were dropped; gives how many."""
        return sum(self._count(f"DELETE FROM {collection.name} WHERE day IN (SELECT unnest(?::BIGINT[]))",  # noqa: S608
                               [list(days)])
                   for collection in self._collections if collection.model.logged)

    def keys(self, ids: Sequence[bytes]) -> int:
        """Remove every row that is sealed under one of the keys, but for those that remain; gives how many."""
        return sum(self._count(f"DELETE FROM {collection.name} WHERE {name}[2:9] IN (SELECT unnest(?::BLOB[]))",  # noqa: S608
                               [list(ids)])
                   for collection in self._collections if not collection.model.remains
                   for name in collection.sealed[:1])

    def older(self, collection: Collection, before_ms: int, held: Iterable[bytes]) -> int:
        """Remove rows whose age field is below `before_ms`, but for those sealed under a held key and open sessions;
        gives how many."""
        return self._count(f"DELETE FROM {collection.name} WHERE {_aged(collection)}",  # noqa: S608 - our own names
                           [before_ms, list(held)])

    def sessions(self, sessions: Collection, events: Collection, before_ms: int, held: Iterable[bytes]) -> int:
        """Remove the events of the sessions that `older` would remove; gives how many rows."""
        return self._count(
            f"DELETE FROM {events.name} WHERE (tenant, session) IN (SELECT (tenant, {sessions.model.key}) "  # noqa: S608
            f"FROM {sessions.name} WHERE {_aged(sessions)})", [before_ms, list(held)])

    def unreadable(self, collection: Collection, holds: Callable[[int, int, int], bool]) -> list[str]:
        """Remove rows of a logged collection whose body the day files do not have; gives their keys."""
        key = collection.model.key
        found = self._connection.execute(
            f"SELECT seat, {key}, day, place, length FROM {collection.name}").fetchall()  # noqa: S608
        bad = [(seat, name) for seat, name, *place in found if not holds(*place)]
        self._count(f"DELETE FROM {collection.name} WHERE seat IN (SELECT unnest(?::BIGINT[]))",  # noqa: S608
                    [[seat for seat, _ in bad]])
        return [name for _, name in bad]

    def _count(self, statement: str, values: list[Any]) -> int:
        found = self._connection.execute(statement, values).fetchone()
        return int(found[0]) if found else 0


def _aged(collection: Collection) -> str:
    """The condition for rows that are older than a time and not sealed under one of the held keys."""
    width = collection.by_name[collection.model.aged].width  # a bucket is as old as its last moment
    condition = (f"{collection.model.aged} + {max(width - 1, 0)} < ? "
                 f"AND {collection.sealed[0]}[2:9] NOT IN (SELECT unnest(?::BLOB[]))")
    return condition + (" AND NOT open" if "open" in collection.columns else "")
