"""Which values a column surely does not hold, so that asking for somebody new needs no table at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruche.storage.collection import Collection
from ruche.storage.fields import Protection
from ruche.storage.seats import bits, many_bits

_BITS: Final = 16
"""Bits a value: with four probes 1 value in 400 that was never added looks as if it had been."""
_PROBES: Final = 4
_FIRST: Final = 1 << 15
"""Values that the first layer is made for; every further layer holds twice as many as the one before."""

Numbers = NDArray[np.uint64]


class Sieves:
    """One sieve for every value by which a row is asked for whether it is there or not: tokens, and the keys of tables
    whose rows change."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._of = {(collection.number, column): Sieve() for collection in collections
                    for column in {collection.key, *collection.lookups} if _fitting(collection, column)}

    def columns(self, collection: Collection) -> list[int]:
        """Numbers of the columns that have one."""
        return [column for number, column in self._of if number == collection.number]

    def add(self, collection: Collection, column: int, values: Sequence[Any]) -> None:
        self.add_numbers(collection, column, many_bits(values))

    def add_numbers(self, collection: Collection, column: int, numbers: Numbers) -> None:
        """Values by their 64 bits."""
        self._of[collection.number, column].add(numbers)

    def lack(self, collection: Collection, column: int, value: Any) -> bool:
        """True when no row that was ever added has this value; False as well when nobody can say."""
        sieve = self._of.get((collection.number, column))
        return sieve is not None and not sieve.may_hold(bits(value))


def _fitting(collection: Collection, column: int) -> bool:
    return (collection.fields[column].protection is Protection.TOKEN
            or (column == collection.key and not collection.model.once))


class Sieve:
    """A growing Bloom filter (Almeida et al., 2007) over 64 bits of values that are uniform already.

    One thread adds, any thread asks. Never wrong about a value that was added; what is removed elsewhere stays in.
    """

    def __init__(self) -> None:
        self._layers: tuple[_Layer, ...] = (_Layer(_FIRST),)

    def add(self, numbers: Numbers) -> None:
        for layer in self._layers:
            numbers = numbers[~layer.hold(numbers)]
        while numbers.size:
            if not self._layers[-1].left:
                self._layers = (*self._layers, _Layer(2 * self._layers[-1].capacity))
            taken = numbers[:self._layers[-1].left]
            self._layers[-1].add(taken)
            numbers = numbers[taken.size:]

    def may_hold(self, number: int) -> bool:
        """False only for a number that was never added. Takes about 2 us."""
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

