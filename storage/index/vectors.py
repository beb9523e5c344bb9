"""Exact search over unit vectors held in one float32 matrix. Approximate indexes may stand behind the same protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ruche.storage.errors import ConfigurationError
from ruche.storage.index.ranking import best

Rows = NDArray[np.float32]

_TOLERANCE = 1e-3


class VectorIndex(Protocol):
    """Nearest neighbours by cosine. One index per tenant: there is no filter, because filters leak and cost recall."""

    def add(self, ids: Sequence[str], rows: Rows) -> None: ...

    def remove(self, ids: Iterable[str]) -> None: ...

    def search(self, query: Rows, limit: int) -> list[tuple[str, float]]: ...

    def __len__(self) -> int: ...


def unit_rows(rows: Rows, dimensions: int) -> Rows:
    """Checked float32 rows of length 1, C-contiguous. Raises ConfigurationError for a wrong shape, length or NaN."""
    checked = np.ascontiguousarray(rows, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[1] != dimensions:
        raise ConfigurationError(f"vectors of shape {checked.shape} do not fit an index of {dimensions} dimensions; "
                                 "rebuild the index with the embedder that is configured now")
    lengths = np.einsum("ij,ij->i", checked, checked)
    if not bool(np.all(np.abs(lengths - 1.0) <= _TOLERANCE)):
        raise ConfigurationError("an embedder gave a vector whose length is not 1; check the model folder")
    return checked


def dots(rows: Rows, query: Rows) -> Rows:
    """The product of a query with each row, one dot product a row.

    A matrix product would spread over threads and let a score depend on how many rows there are; this neither does,
    and on one core it is as fast (20 ns a row of 384).
    """
    product: Rows = np.vecdot(rows, query)
    return product


class ExactVectors:
    """All rows in one matrix; a row's score depends on that row and the query alone.

    Rows stand in a matrix that doubles when full; a removed row is overwritten by the last one.
    """

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._matrix: Rows = np.zeros((0, dimensions), dtype=np.float32)
        self._ids: list[str] = []
        self._place: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[str], rows: Rows) -> None:
        """Add or replace len(ids) rows of `dimensions`."""
        checked = unit_rows(rows, self._dimensions)
        if len(checked) != len(ids):
            raise ValueError(f"{len(ids)} ids for {len(checked)} vectors")
        self._grow(len(self._ids) + len(ids))
        for key, row in zip(ids, checked, strict=True):
            place = self._place.setdefault(key, len(self._ids))
            if place == len(self._ids):
                self._ids.append(key)
            self._matrix[place] = row

    def remove(self, ids: Iterable[str]) -> None:
        """Forget ids; unknown ones are ignored."""
        for key in ids:
            place = self._place.pop(key, None)
            if place is not None:
                self._fill(place)

    def scores(self, query: Rows) -> Rows:
        """Cosines of a unit query to every row, in the order of `ids`."""
        return dots(self._matrix[:len(self._ids)], np.asarray(query, dtype=np.float32).reshape(self._dimensions))

    def search(self, query: Rows, limit: int) -> list[tuple[str, float]]:
        """The `limit` nearest (id, cosine), best first, rounded to 1e-4, ties by id."""
        return best(self.scores(query), self._ids, limit)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._ids)

    def rows_of(self, ids: Sequence[str]) -> Rows:
        """The rows of ids that are there, in their order."""
        return self._matrix[np.fromiter((self._place[key] for key in ids), dtype=np.intp, count=len(ids))]

    def holds(self, id: str, row: Rows) -> bool:
        """Whether this is the row of an id now."""
        place = self._place.get(id)
        return place is not None and bool(np.array_equal(self._matrix[place], row))

    def _grow(self, needed: int) -> None:
        if needed > len(self._matrix):
            larger = np.zeros((max(needed, 2 * len(self._matrix), 64), self._dimensions), dtype=np.float32)
            larger[:len(self._ids)] = self._matrix[:len(self._ids)]
            self._matrix = larger

    def _fill(self, place: int) -> None:
        last = self._ids.pop()
        row = len(self._ids)
        if place != row:
            self._ids[place] = last
            self._place[last] = place
            self._matrix[place] = self._matrix[row]
        self._matrix[row] = 0.0
