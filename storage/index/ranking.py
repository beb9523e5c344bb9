"""One order for everything that is scored: score descending, id ascending, scores rounded to 1e-4."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEPS = 10_000
"""Scores are multiples of 1/STEPS, so that the last bits of a sum never decide an order."""

Scores = NDArray[np.float64]
Places = NDArray[np.int64]


def rounded(scores: NDArray[np.floating]) -> Scores:
    """The scores to four decimals, float64."""
    return np.rint(np.asarray(scores, dtype=np.float64) * STEPS) / STEPS


def top_places(scores: NDArray[np.floating], limit: int) -> Places:
    """Positions of the `limit` best rounded scores, best first, equal ones by position."""
    count = len(scores)
    keys = np.rint(scores * -STEPS).astype(np.int64) * count + np.arange(count)
    if limit < count:
        keys.partition(limit)
        keys = keys[:limit]
    keys.sort()
    places: Places = keys % count if count else keys
    return places


def best(scores: NDArray[np.floating], ids: Sequence[str], limit: int,
         least: float = -np.inf) -> list[tuple[str, float]]:
    """The `limit` best (id, score) of at least `least`, ties by id; `ids` may stand in any order.

    Everything that ties with the last kept score takes part in the tiebreak, so the cut does not depend on positions.
    """
    steps = np.rint(np.asarray(scores, dtype=np.float64) * STEPS)
    if 0 < limit < len(steps):
        least = max(least, float(np.partition(steps, -limit)[-limit]) / STEPS)
    places = np.flatnonzero(steps >= least * STEPS - 0.5) if np.isfinite(least) else np.arange(len(steps))
    found = [(ids[place], float(steps[place]) / STEPS) for place in places.tolist()]
    found.sort(key=lambda hit: (-hit[1], hit[0]))
    return found[:max(limit, 0)]
