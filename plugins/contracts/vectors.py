"""Text to vectors, and passages to scores: what the retriever and the reranker run on their threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Text to unit vectors. Each text is encoded alone, so that its vector never depends on its neighbours.

    An embedder that answers a sentence within 0.2 ms may say so with an attribute `immediate = True`: then short texts
    are encoded where they are needed, on the event loop too, instead of on the service thread. One that reads whole
    words may list them, in lower case, in an attribute `words` (a frozenset): they are never taken for slips. One that
    several threads may call at once may say `parallel = True`: then publishing uses more than one core.
    """

    @property
    def name(self) -> str:
        """Identity of model and version: part of every index and cache key."""

    @property
    def dimensions(self) -> int: ...

    @property
    def rule_threshold(self) -> float:
        """Score (0 to 1, on the hybrid scale) that a rule must reach by default with this embedder."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """len(texts) x dimensions, float32, rows of length 1. Blocking; called on a service thread."""


@runtime_checkable
class Reranker(Protocol):
    """Scores of passages for a query, higher is better, in the order given. Blocking; called on a service thread."""

    @property
    def name(self) -> str: ...

    def score(self, query: str, passages: Sequence[str]) -> Sequence[float]: ...
