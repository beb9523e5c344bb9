"""Search among very many rows of one agent: a graph proposes the nearest, exact cosines decide.

Built by one thread in the order of the rows, so that the same rows give the same graph; held in memory alone, because
the library checks nothing that it reads from a file. Without the library `hnswlib` exact search serves at any size.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.vectors import Rows

CROSSOVER: Final = 25_000
"""Rows from which on a graph pays: `python -m bench.crossover` (load 14) gave 0.64 ms instead of 0.66 at 10,000 rows of
384, 1.2 instead of 1.6 at 20,000 and 3.2 instead of 5.4 at 40,000, with the same found each time."""
_LINKS, _BREADTH = 16, 200
_WIDEST: Final = 200
"""Candidates that a query looks at, at least: all of the exact answer at 40,000 clustered rows."""


def hnsw() -> Any:
    """`hnswlib`, None where it is not installed."""
    try:
        return importlib.import_module("hnswlib")
    except ImportError:
        return None


class Graph:
    """Over unit rows that never change. Any thread may ask; building takes about a minute for 40,000 rows."""

    def __init__(self, found: Any, rows: Rows) -> None:
        self._size, self._lock = len(rows), threading.Lock()
        self._graph = found.Index(space="ip", dim=rows.shape[1])
        self._graph.init_index(max_elements=len(rows), ef_construction=_BREADTH, M=_LINKS, random_seed=1)
        self._graph.set_num_threads(1)  # more give another graph each time
        self._graph.add_items(rows, np.arange(len(rows)), num_threads=1)

    def nearest(self, query: Rows, count: int) -> NDArray[np.intp]:
        """The places of about the `count` nearest rows, nearest first."""
        count = min(count, self._size)
        with self._lock:
            self._graph.set_ef(min(self._size, max(_WIDEST, 2 * count)))
            found, _ = self._graph.knn_query(np.asarray(query, dtype=np.float32).reshape(1, -1), k=count,
                                             num_threads=1)
        return found[0].astype(np.intp)  # type: ignore[no-any-return]


def graph_over(rows: Rows, crossover: int = CROSSOVER) -> Graph | None:
    """A graph where there are so many rows that it pays, and the library is there."""
    found = hnsw() if len(rows) >= crossover else None
    return None if found is None else Graph(found, rows)
