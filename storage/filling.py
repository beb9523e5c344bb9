"""What is known of a table beside its file, made anew when the file is opened: registers and sieves."""

from __future__ import annotations

from typing import Final

import numpy as np

from ruche.storage.collection import Collection
from ruche.storage.connection import Connection
from ruche.storage.fields import Protection
from ruche.storage.seats import Seats, found_bits
from ruche.storage.sieve import Sieves
from ruche.storage.tablefile import SEAT

_AT_ONCE: Final = 1 << 17
"""Seats that are looked at together: bounds the memory it takes."""


def fill(connection: Connection, collection: Collection, seats: Seats, sieves: Sieves) -> None:
    """Read every row's registered values once; about 0.3 us a value."""
    wanted = dict.fromkeys((*seats.columns, *sieves.columns(collection)))
    chosen = ", ".join([SEAT, "tenant", *(f"{_read(collection, column)} AS c{column}" for column in wanted)])
    at = _first(connection, collection, 0)
    while at is not None:
        found = connection.columns(f"SELECT {chosen} FROM {collection.name} WHERE {SEAT} BETWEEN ? AND ?",  # noqa: S608
                                   [at, at + _AT_ONCE - 1])
        numbers = {column: found_bits(found[f"c{column}"]) for column in wanted}
        seats.fill(found[SEAT].astype(np.int64), found["tenant"].astype(np.int64),
                   {column: numbers[column] for column in seats.columns})
        for column in sieves.columns(collection):
            sieves.add_numbers(collection, column, numbers[column])
        at = _first(connection, collection, at + _AT_ONCE)


def _read(collection: Collection, column: int) -> str:
    """What to ask the database for: of a keyed hash the number of its first 64 bits, which it makes sooner than we."""
    name = collection.columns[column]
    return f"{name}[1:8]::BIT::UBIGINT" if collection.fields[column].protection is Protection.HASH else name


def _first(connection: Connection, collection: Collection, seat: int) -> int | None:
    """The first seat with a row, from this one on."""
    found = connection.execute(f"SELECT min({SEAT}) FROM {collection.name} WHERE {SEAT} >= ?", [seat]).fetchone()  # noqa: S608
    return None if found is None or found[0] is None else int(found[0])
