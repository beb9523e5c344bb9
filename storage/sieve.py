"""Which values a column surely does not hold, so that asking for somebody new needs no table at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruche.storage.collection import Collection
from ruche.storage.fields import Protection

_BITS: Final = 16
"""Bits a value: with four probes 1 value in 400 that was never added looks as if it had been."""
_PROBES: Final = 4
_FIRST: Final = 1 << 15
"""Values that the first layer is made for; every further layer holds twice as many as the one before."""

Numbers = NDArray[np.uint64]


class Sieves:
    """One sieve for every keyed value by which a row is asked for: tokens, and the hash that is a table's key."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._of = {(collection.number, column): Sieve() for collection in collections
                    for column in {collection.key, *collection.lookups} if _fitting(collection, column)}

    def columns(self, collection: Collection) -> list[int]:
        """Numbers of the columns that have one."""
        return [column for number, column in self._of if number == collection.number]

    def add(self, collection: Collection, column: int, values: Iterable[Any]) -> None:
        self._of[collection.number, column].add(values)

    def lack(self, collection: Collection, column: int, value: Any) -> bool:
        """True when no row that was ever added has this value; False as well when nobody can say."""
        sieve = self._of.get((collection.number, column))
        return sieve is not None and not sieve.may_hold(value)


def _fitting(collection: Collection, column: int) -> bool:
    protection = collection.fields[column].protection
    return protection is Protection.TOKEN or (protection is Protection.HASH and column == collection.key)


class Sieve:
    """A growing Bloom filter (Almeida et al., 2007) over keyed hashes and tokens, which are uniform already.

    One thread adds, any thread asks. Never wrong about a value that was added; what is removed elsewhere stays in.
    """

    def __init__(self) -> None:
        self._layers: tuple[_Layer, ...] = (_Layer(_FIRST),)

    def add(self, values: Iterable[Any]) -> None:
        numbers = np.fromiter((_number(value) for value in values), dtype=np.uint64)
        for layer in self._layers:
            numbers = numbers[~layer.hold(numbers)]
        while numbers.size:
            if not self._layers[-1].left:
                self._layers = (*self._layers, _Layer(2 * self._layers[-1].capacity))
            taken = numbers[:self._layers[-1].left]
            self._layers[-1].add(taken)
            numbers = numbers[taken.size:]

    def may_hold(self, value: Any) -> bool:
        """False only for a value that was never added. Takes about 2 us."""
        number = _number(value)
        return any(layer.holds(number) for layer in self._layers)


class _Layer:
    """So many values, in a bit field of fixed size; `left` is how many more it is made for."""

    def __init__(self, capacity: int) -> None:
        self.capacity = self.left = capacity
        self._field = bytearray(capacity * _BITS // 8)
        self._bytes = np.frombuffer(self._field, dtype=np.uint8)
        self._mask = capacity * _BITS - 1

    def add(self, numbers: Numbers) -> None:
        places = self._places(numbers)
        np.bitwise_or.at(self._bytes, places >> np.uint64(3), _bit(places))
        self.left -= numbers.size

    def hold(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Which of the numbers may be in here."""
        places = self._places(numbers)
        found: NDArray[np.bool_] = (self._bytes[places >> np.uint64(3)] & _bit(places)).all(axis=0)
        return found

    def holds(self, number: int) -> bool:
        step = number >> 32 | 1
        for probe in range(_PROBES):
            place = (number + probe * step) & self._mask
            if not self._field[place >> 3] & 1 << (place & 7):
                return False
        return True

    def _places(self, numbers: Numbers) -> Numbers:
        """One row a probe, by double hashing with the number's two halves."""
        steps = numbers >> np.uint64(32) | np.uint64(1)
        return np.stack([numbers + np.uint64(probe) * steps for probe in range(_PROBES)]) & np.uint64(self._mask)


def _bit(places: Numbers) -> NDArray[np.uint8]:
    return (np.uint64(1) << (places & np.uint64(7))).astype(np.uint8)


def _number(value: Any) -> int:
    """64 bits of a keyed hash (bytes), or a token as an unsigned number."""
    return int.from_bytes(value[:8], "big") if isinstance(value, bytes) else value & 0xFFFF_FFFF_FFFF_FFFF
