"""The seats of a table: the number of every row, in the order in which rows were written, and which rows have a value.

Rows lie in the file by seat, so that the database finds a seat by the bounds it keeps of every part of a table. It has
no index of its own: those stay in its memory whole, 1 KB for a session and its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruche.storage.collection import Collection, Values
from ruche.storage.errors import Unavailable
from ruche.storage.fields import Protection, StoredField
from ruche.storage.register import Numbers, Register

_MIX: Final = 0x9E37_79B9_7F4A_7C15
_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_POSITIVE: Final = 0x7FFF_FFFF_FFFF_FFFF


class Seats:
    """Of one table. The feeding thread changes it, under the tables' lock what others see; others ask under that."""

    def __init__(self, collection: Collection, scratch: Path) -> None:
        columns = collection.lookups if collection.model.once and not collection.model.logged else (
            collection.key, *collection.lookups)  # what is written once and never asked for by its key
        self.columns: Final = tuple(dict.fromkeys(columns))
        self._once = collection.model.once
        self._registers = {column: Register(scratch) for column in self.columns}
        self._numbers = {column: _bits_of(collection.fields[column]) for column in self.columns}
        self._living = _Living()
        self._next = 0

    def fill(self, seats: Numbers, tags: Numbers, columns: dict[int, NDArray[np.uint64]]) -> None:
        """Rows that the table holds: their seats, tenants, and 64 bits of each registered value."""
        if seats.size:
            self._living.add_all(seats)
            self._next = max(self._next, int(seats.max()) + 1)
        for column, values in columns.items():
            self._registers[column].fill(_mixed(tags, values), seats)

    def draw(self, count: int) -> range:
        """Seats for so many new rows; those of a transaction that failed stay empty."""
        first, self._next = self._next, self._next + count
        return range(first, self._next)

    def settle(self, rows: Iterable[tuple[int, int, Values]], gone: Iterable[int]) -> None:
        """What a transaction has put (seat, tenant tag, values) and removed (seats), once it is committed."""
        for seat in gone:
            self._living.remove(seat)
        put = list(rows)
        for seat, _, _ in put:
            self._living.add(seat)
        lives = None if self._once else self._living.holds
        for column, register in self._registers.items():
            add, number = register.add, self._numbers[column]
            for seat, tag, values in put:
                add((number(values[column]) ^ tag * _MIX) & _POSITIVE, seat, lives)
            register.spill(self._living.which)

    def of(self, column: int, tag: int, value: Any) -> list[int]:
        """Seats of the rows of a tenant that may have this value: of those that have it none is missing."""
        try:
            return [seat for seat in self._registers[column].seats(mixed(tag, bits(value)))
                    if self._living.holds(seat)]
        except OSError as error:
            raise Unavailable("where a row lies could not be read back; restart the process",
                              retry_after=5.0) from error

    def tidy(self, lock: threading.RLock) -> None:
        """Make many runs of look-ups few. The feeding thread; the lock is held for moments."""
        for register in self._registers.values():
            while crowded := register.crowded():
                made = register.merged([run.content() for run in crowded], self._living.which)
                with lock:
                    register.replace(crowded, made)

    def close(self) -> None:
        for register in self._registers.values():
            register.close()


class _Living:
    """A bit for every seat from the first one on: whether a row is there."""

    def __init__(self) -> None:
        self._first = -1
        self._field = bytearray()

    def add(self, seat: int) -> None:
        place = self._place(seat)
        self._field[place >> 3] |= 1 << (place & 7)

    def add_all(self, seats: Numbers) -> None:
        self._place(int(seats.min()))
        self._place(int(seats.max()))
        places = seats - self._first
        field = np.frombuffer(self._field, dtype=np.uint8)
        np.bitwise_or.at(field, places >> 3, (1 << (places & 7)).astype(np.uint8))

    def remove(self, seat: int) -> None:
        place = seat - self._first
        self._field[place >> 3] &= ~(1 << (place & 7))

    def holds(self, seat: int) -> bool:
        place = seat - self._first
        return bool(self._field[place >> 3] >> (place & 7) & 1)

    def which(self, seats: Numbers) -> NDArray[np.bool_]:
        """Which of the seats hold a row."""
        places = seats - self._first
        field = np.frombuffer(bytes(self._field), dtype=np.uint8)
        found: NDArray[np.bool_] = (field[places >> 3] >> (places & 7) & 1).astype(np.bool_)
        return found

    def _place(self, seat: int) -> int:
        """The seat's bit, for which there is room afterwards. The first seat asked for is the lowest of all."""
        if self._first < 0:
            self._first = seat & ~7
        place = seat - self._first
        if place >> 3 >= len(self._field):
            self._field.extend(bytes(max(1024, (place >> 3) + 1 - len(self._field), len(self._field) >> 2)))
        return place


def bits(value: Any) -> int:
    """64 bits of a stored value: of a keyed hash its first ones, a token as it is, of an id what this process makes of
    it."""
    if isinstance(value, bytes | bytearray):
        return int.from_bytes(value[:8], "big")
    return (hash(value) if isinstance(value, str) else int(value)) & _MASK


def _bits_of(field: StoredField) -> Callable[[Any], int]:
    """`bits` for the values of one field, without asking what each is."""
    match field.protection:
        case Protection.HASH:
            return lambda value: int.from_bytes(value[:8], "big")
        case Protection.CLEAR if field.kind is str:
            return lambda value: hash(value) & _MASK
        case _:
            return lambda value: int(value) & _MASK


def many_bits(values: Sequence[Any]) -> NDArray[np.uint64]:
    """`bits` of each."""
    return np.fromiter(map(bits, values), dtype=np.uint64, count=len(values))


def found_bits(values: NDArray[Any]) -> NDArray[np.uint64]:
    """`bits` of each of a column's values, as the database gives it: texts, or numbers, which are the bits."""
    if values.dtype == np.object_:
        return np.fromiter(map(hash, values), dtype=np.int64, count=len(values)).view(np.uint64)
    return values.astype(np.int64 if values.dtype.kind == "i" else np.uint64, copy=False).view(np.uint64)


def mixed(tag: int, number: int) -> int:
    """The number of a tenant's value in a register: 63 bits."""
    return (number ^ tag * _MIX) & _POSITIVE


def _mixed(tags: Numbers, numbers: NDArray[np.uint64]) -> Numbers:
    salted = tags.astype(np.uint64) * np.uint64(_MIX)
    return ((numbers ^ salted) & np.uint64(_POSITIVE)).astype(np.int64)
