"""BM25 that grows and shrinks text by text: a dictionary of postings, scored with numpy.

Lucene's formula: ln(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * length / mean length)).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.ranking import best
from ruche.storage.index.words import terms

K1, B = 1.2, 0.75
QUERY_CHARACTERS = 4_000
"""A query is cut to this many characters: a longer one only costs time."""

Scores = NDArray[np.float64]


class _Posting:
    """Where one word occurs: place to count, and the same as arrays once it is asked for."""

    __slots__ = ("arrays", "counts")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.arrays: tuple[NDArray[np.intp], Scores] | None = None


class LexicalIndex:
    """BM25 over texts with ids. Adding texts one by one gives exactly the scores of a rebuilt index.

    A removed text leaves a free place that the next one takes; statistics are those of the texts that are there.
    """

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._place: dict[str, int] = {}
        self._free: list[int] = []
        self._texts: dict[int, Counter[str]] = {}
        self._postings: dict[str, _Posting] = {}
        self._lengths: list[int] = []
        self._norms: Scores = np.zeros(0)
        self._stale = True

    def __len__(self) -> int:
        return len(self._place)

    def add(self, id: str, text: str) -> None:
        """Add a text or replace the one of this id."""
        self.remove([id])
        counts = Counter(terms(text))
        place = self._take_place(id)
        self._texts[place] = counts
        self._lengths[place] = counts.total()
        for word, count in counts.items():
            posting = self._postings.setdefault(word, _Posting())
            posting.counts[place] = count
            posting.arrays = None
        self._stale = True

    def remove(self, ids: Iterable[str]) -> None:
        """Forget ids; unknown ones are ignored."""
        for key in ids:
            place = self._place.pop(key, None)
            if place is not None:
                self._drop(place)

    def scores(self, query: str) -> Scores:
        """BM25 of every place for a query, in the order of `ids`; a word asked for twice counts twice."""
        return self.weigh(terms(query[:QUERY_CHARACTERS]))

    def weigh(self, asked: Iterable[str]) -> Scores:
        """The same for a query that is split into terms already."""
        found = [self._impact(posting) for word in asked if (posting := self._postings.get(word)) is not None]
        if not found:
            return np.zeros(len(self._ids))
        places = np.concatenate([part[0] for part in found])
        weights = np.concatenate([part[1] for part in found])
        sums: Scores = np.bincount(places, weights, len(self._ids)).astype(np.float64, copy=False)
        return sums

    def search(self, query: str, limit: int) -> list[tuple[str, float]]:
        """The `limit` best (id, score) that share a word with the query, rounded to 1e-4, ties by id."""
        return best(self.scores(query), [key or "" for key in self._ids], limit, least=1e-4)

    def settle(self) -> None:
        """Work out every weight now, so that searching afterwards changes nothing and any thread may do it."""
        for posting in self._postings.values():
            self._impact(posting)

    @property
    def ids(self) -> tuple[str | None, ...]:
        """The id at each place; None where the place is free."""
        return tuple(self._ids)

    def _take_place(self, id: str) -> int:
        if self._free:
            place = self._free.pop()
            self._ids[place] = id
        else:
            place = len(self._ids)
            self._ids.append(id)
            self._lengths.append(0)
        self._place[id] = place
        return place

    def _drop(self, place: int) -> None:
        for word in self._texts.pop(place):
            posting = self._postings[word]
            del posting.counts[place]
            posting.arrays = None
            if not posting.counts:
                del self._postings[word]
        self._ids[place] = None
        self._lengths[place] = 0
        self._free.append(place)
        self._stale = True

    def _impact(self, posting: _Posting) -> tuple[NDArray[np.intp], Scores]:
        if self._stale:
            self._refresh()
        if posting.arrays is None:
            posting.arrays = self._weigh(posting.counts)
        return posting.arrays

    def _refresh(self) -> None:
        """Length norms hang on the mean length, so that every change makes all weights stale."""
        lengths = np.asarray(self._lengths, dtype=np.float64)
        mean = float(lengths.sum()) / max(len(self._place), 1) or 1.0
        self._norms = K1 * (1.0 - B + B * lengths / mean)
        for posting in self._postings.values():
            posting.arrays = None
        self._stale = False

    def _weigh(self, counts: dict[int, int]) -> tuple[NDArray[np.intp], Scores]:
        places = np.fromiter(counts, dtype=np.intp, count=len(counts))
        frequency = np.fromiter(counts.values(), dtype=np.float64, count=len(counts))
        rarity = math.log(1.0 + (len(self._place) - len(counts) + 0.5) / (len(counts) + 0.5))
        return places, rarity * frequency / (frequency + self._norms[places])
