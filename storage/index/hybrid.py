"""Blends cosine and BM25 into one score per item: a weighted sum, never a fusion of ranks.

Rank fusion costs 8 to 23 points at the first place on short rules and loses on memory and documents as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.ranking import Scores

Scale = Literal["raw", "maximum", "range"]


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights of the two parts, and the scale that each is brought to before they are added."""

    vector: float
    lexical: float
    vector_scale: Scale = "raw"
    lexical_scale: Scale = "range"

    def __call__(self, cosines: NDArray[np.floating], bm25: NDArray[np.floating]) -> tuple[Scores, Scores]:
        """The blended scores, and the lexical part on its scale (0 to 1). Both arrays have one entry per item."""
        lexical = scaled(bm25, self.lexical_scale)
        return self.weighted(scaled(cosines, self.vector_scale), lexical), lexical

    def weighted(self, vector: NDArray[np.floating], lexical: NDArray[np.floating]) -> Scores:
        """The sum of parts that are on their scales."""
        return self.vector * np.asarray(vector, dtype=np.float64) + self.lexical * lexical


def scaled(scores: NDArray[np.floating], scale: Scale) -> Scores:
    """`raw` as they are; `maximum` divided by the best; `range` from worst (0) to best (1).

    Scores that are all equal say nothing, so that both scales make them 0; what is left is the other part's order.
    """
    values = np.asarray(scores, dtype=np.float64)
    if scale == "raw" or not len(values):
        return values
    low, high = float(values.min()), float(values.max())
    if high <= low or high <= 0.0:
        return np.zeros(len(values))
    return values / high if scale == "maximum" else (values - low) / (high - low)


RULES = Blend(vector=1 / 1.1, lexical=0.1 / 1.1, lexical_scale="maximum")
"""Short texts: cosine + 0.1 x BM25 / best, divided by 1.1 so that the scale ends at 1."""

DOCUMENTS = Blend(vector=0.7, lexical=0.3)
"""Long texts; the cosine stays raw, so that a threshold keeps its meaning from query to query."""

LONG_QUERIES = Blend(vector=0.5, lexical=0.5)
"""Documents for a query that is longer than an embedder reads: words speak for its rest."""
LONG_QUERY = 100
"""Telling words from which a query is long: about 256 tokens, all that an embedder reads."""

MEMORY = Blend(vector=0.5, lexical=0.5, vector_scale="range")
"""Best sentence's cosine and BM25 on a window of three turns: vectors want sentences, words want context."""
