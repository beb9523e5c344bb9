"""Where a rule matches with an embedder that nobody has calibrated: well above what unrelated sentences reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.background import BACKGROUND

SPREADS = 3.63
"""Standard deviations above the mean cosine of unrelated sentences: with MiniLM that is its own threshold, 0.35."""
LEAST, MOST = 0.1, 0.97


def calibrated_threshold(encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> float:
    """A threshold on the embedder's own scale, to two decimals; it takes 40 short texts, about 0.2 s.

    Multilingual models put unrelated sentences at 0.7 and above, so that no fixed figure fits them all.
    """
    rows = np.asarray(encode(BACKGROUND), dtype=np.float64)
    cosines = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return round(float(np.clip(cosines.mean() + SPREADS * cosines.std(), LEAST, MOST)), 2)
