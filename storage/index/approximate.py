"""Search for tenants with many vectors: exact up to a measured size, above it a graph that is checked exactly.

One index per tenant, built by one thread in the order of ids, so that the same rows give the same graph. The graph only
proposes: every score is the exact cosine. Without the library `hnswlib` exact search serves at any size.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from ruche.storage.errors import IntegrityError
from ruche.storage.index.ranking import best
from ruche.storage.index.vectors import ExactVectors, Rows, dots

CROSSOVER: Final = 20_000
"""Rows from which on the graph is faster: `python -m bench.crossover` gave 0.45 ms (exact) against 0.51 at 10,000 rows
of 384, 1.1 against 0.78 at 20,000 and 2.0 against 0.85 at 40,000, with all of the ten nearest (load 12 on 2 cores)."""
_LINKS, _BREADTH = 16, 200
_WIDEST: Final = 200
"""Candidates that a query looks at: all of the exact answer at 20,000 clustered rows (`bench.crossover`)."""
_FRESH: Final = 0.1
"""Share of rows outside the graph at which `settle` builds it anew; until then they are searched exactly."""


def library() -> Any:
    """`hnswlib`, None where it is not installed."""
    try:
        return importlib.import_module("hnswlib")
    except ImportError:
        return None


class TenantVectors:
    """A `VectorIndex` of one tenant. Any thread may search or change it; `settle` builds the graph and takes minutes
    for a hundred thousand rows, so it belongs on a thread that nobody waits for."""

    def __init__(self, dimensions: int, *, crossover: int = CROSSOVER) -> None:
        self._dimensions, self._crossover = dimensions, crossover
        self._exact = ExactVectors(dimensions)
        self._graph: Any = None
        self._labels: list[str] = []
        self._inside: set[str] = set()
        """Ids whose row is in the graph as it is now."""
        self._outside: set[str] = set()
        self._removed = False
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._exact)

    @property
    def approximate(self) -> bool:
        """Whether a graph proposes what is compared."""
        return self._graph is not None

    def add(self, ids: Sequence[str], rows: Rows) -> None:
        """Add or replace len(ids) unit rows. Raises ConfigurationError."""
        with self._lock:
            self._exact.add(ids, rows)
            self._removed = self._removed or not self._inside.isdisjoint(ids)
            self._inside.difference_update(ids)
            self._outside.update(ids)

    def remove(self, ids: Iterable[str]) -> None:
        """Forget ids. Their rows are never found again; the graph holds them until `settle` builds it anew."""
        with self._lock:
            gone = set(ids)
            self._exact.remove(gone)
            self._removed = self._removed or not self._inside.isdisjoint(gone)
            self._inside -= gone
            self._outside -= gone

    def search(self, query: Rows, limit: int) -> list[tuple[str, float]]:
        """The `limit` nearest (id, cosine), best first, rounded to 1e-4, ties by id."""
        with self._lock:
            if self._graph is None or limit <= 0:
                return self._exact.search(query, limit)
            proposed = self._proposed(query, limit)
            rows = self._exact.rows_of(proposed)
        return best(dots(rows, np.asarray(query, dtype=np.float32).reshape(self._dimensions)), proposed, limit)

    def settle(self) -> bool:
        """Build the graph if there are so many rows and it is too far from them; True when it did."""
        with self._lock:
            found, ids = library(), self._exact.ids
            if len(ids) < self._crossover or found is None:
                self._graph, self._labels, self._inside, self._removed = None, [], set(), False
                return False
            if self._graph is not None and not self._removed and len(self._outside) <= _FRESH * len(ids):
                return False
            labels = sorted(ids)
            rows = self._exact.rows_of(labels).copy()
        graph = _built(found, rows)
        with self._lock:
            self._graph, self._labels = graph, labels
            self._inside = {label for label, row in zip(labels, rows, strict=True)
                            if self._exact.holds(label, row)}
            self._outside = set(self._exact.ids) - self._inside
            self._removed = len(self._inside) < len(labels)
        return True

    # --- a snapshot ------------------------------------------------------------------------------------------

    def state(self) -> bytes | None:
        """Everything, to be sealed and read back by `restore`; None while it holds rows that were removed."""
        with self._lock:
            if self._removed:
                return None
            ids = self._exact.ids
            graph = None if self._graph is None else _plain(self._graph.__getstate__()[0])
            return msgspec.msgpack.encode((self._dimensions, ids, self._exact.rows_of(ids).tobytes(), self._labels,
                                           graph))

    @classmethod
    def restore(cls, state: bytes, *, crossover: int = CROSSOVER) -> TenantVectors:
        """What `state` gave; only ever called with bytes that were sealed by us: the library checks nothing itself.

        Raises IntegrityError for what is no such state.
        """
        try:
            dimensions, ids, rows, labels, graph = msgspec.msgpack.decode(state)
            made = cls(dimensions, crossover=crossover)
            made.add(ids, np.frombuffer(rows, dtype=np.float32).reshape(len(ids), dimensions))
        except (ValueError, TypeError, msgspec.DecodeError):
            raise IntegrityError("this is no state of a vector index; rebuild it") from None
        found = library()
        if graph is not None and found is not None:
            made._graph, made._labels, made._inside = _revived(found, graph), labels, set(labels)
            made._outside -= made._inside
        return made

    def _proposed(self, query: Rows, limit: int) -> list[str]:
        """Ids to compare exactly: what the graph says, without what was removed, and what it does not hold."""
        count = min(len(self._labels), max(4 * limit, 64))
        self._graph.set_ef(min(len(self._labels), max(_WIDEST, 2 * count)))
        found, _ = self._graph.knn_query(np.asarray(query, dtype=np.float32).reshape(1, -1), k=count, num_threads=1)
        near = [self._labels[place] for place in found[0].tolist()]
        kept = [one for one in near if one in self._inside]
        if len(kept) < len(near) and len(kept) < limit:
            return list(self._exact.ids)  # so much of what is near was removed that the graph is no help
        return kept + list(self._outside)


def _built(found: Any, rows: Rows) -> Any:
    graph = found.Index(space="ip", dim=rows.shape[1])
    graph.init_index(max_elements=len(rows), ef_construction=_BREADTH, M=_LINKS, random_seed=1)
    graph.set_num_threads(1)  # more give another graph each time
    graph.add_items(rows, np.arange(len(rows)), num_threads=1)
    return graph


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return {name: (value.dtype.str, list(value.shape), value.tobytes()) if isinstance(value, np.ndarray) else value
            for name, value in state.items()}


def _revived(found: Any, state: dict[str, Any]) -> Any:
    arrays = {name: np.frombuffer(value[2], dtype=value[0]).reshape(value[1]).copy()
              if isinstance(value, (list, tuple)) else value for name, value in state.items()}
    graph = found.Index.__new__(found.Index)
    graph.__setstate__((arrays,))
    return graph
