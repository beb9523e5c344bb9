"""The best of very many items without looking at each: what a graph and the words propose, and proof that it is enough.

An item that neither proposed is no nearer than the furthest of the near ones and says no more of the words than the
least of the told ones; where even such an item would not be among the best, the best are those of the proposed
(Fagin's threshold, as far as the graph finds what is near).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.approximate import Graph
from ruche.storage.index.hybrid import Blend, scaled
from ruche.storage.index.ranking import Scores, rounded, top_places
from ruche.storage.index.vectors import Rows, dots

PROPOSED: Final = 4
"""Items that each side proposes for one that is asked for, 64 at least: always enough in `bench.crossover`."""


class Best(NamedTuple):
    """Places of the best, best first, with their scores, cosines and words."""

    places: NDArray[np.intp]
    scores: Scores
    cosines: Rows
    lexical: Scores


def proposed(graph: Graph, rows: Rows, blend: Blend, vector: Rows, bm25: Scores, limit: int) -> Best | None:
    """None where something else could be among the best: then everything has to be looked at. `blend` must take
    cosines as they are."""
    count = min(len(rows), max(PROPOSED * limit, 64))
    near = graph.nearest(vector, count)
    told = np.argpartition(bm25, len(bm25) - count)[len(bm25) - count:]
    places, lexical = np.union1d(near, told), scaled(bm25, blend.lexical_scale)
    cosines = dots(rows[places], vector)
    scores = blend.weighted(cosines, lexical[places])
    chosen = top_places(scores, limit)
    beyond = blend.weighted(dots(rows[near[-1:]], vector), lexical[told].min(keepdims=True))
    if count < len(rows) and rounded(scores[chosen[-1:]])[0] <= rounded(beyond)[0]:
        return None
    return Best(places[chosen], scores[chosen], cosines[chosen], lexical[places[chosen]])
