"""The tables as they were at one moment, read beside everything that goes on: what a snapshot is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ruche.storage.collection import Collection
from ruche.storage.connection import Connection
from ruche.storage.fields import StoredField

_ROWS: Final = 500


class Reading:
    """A read transaction of its own. Begun under the store's lock; any thread may go on without it, then closes it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._connection.execute("USE ruche")
        self._connection.execute("BEGIN")
        self.applied: int = self._connection.execute("SELECT sequence FROM applied").fetchall()[0][0]
        """The last journal frame that is in it."""

    def everything(self, collection: Collection) -> Iterator[list[tuple[Any, ...]]]:
        """All rows of a table with their tenant tag, in batches, without what its day files hold."""
        names = ", ".join(field.name for field in tabled(collection))
        found = self._connection.execute(f"SELECT tenant, {names} FROM {collection.name}")  # noqa: S608 - our own names
        while rows := found.fetchmany(_ROWS):
            yield rows

    def close(self) -> None:
        self._connection.roll_back()
        self._connection.close()


def tabled(collection: Collection) -> tuple[StoredField, ...]:
    """The fields that a collection's table has: of what is logged the last one is in the day files."""
    return collection.fields[:-1] if collection.model.logged else collection.fields
