"""Boosted trees of one shape: every level asks one question, so that a tree is a table of 2 ** depth values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.storage.errors import ConfigurationError

Values = NDArray[np.float64]


class Forest(NamedTuple):
    """`features` and `thresholds` are trees x depth, `values` trees x 2 ** depth; a value above a threshold sets the
    bit of its level, the first level's being the highest."""

    features: NDArray[np.intp]
    thresholds: Values
    values: Values

    def scores(self, rows: Values) -> Values:
        """One score per row; rows are candidates x features."""
        trees = np.arange(len(self.values))
        scores: Values = self.values[trees, self._leaves(rows)].sum(axis=1)
        return scores

    def parts(self, rows: Values) -> Values:
        """Candidates x features: what each feature's answers add to the score, level by level down the trees."""
        leaves, depth = self._leaves(rows), self.features.shape[1]
        found = np.zeros(rows.shape)
        before = np.repeat(self.values.mean(axis=1)[None, :], len(rows), axis=0)
        for level in range(depth):
            width = 1 << (depth - level - 1)
            means = self.values.reshape(len(self.values), -1, width).mean(axis=2)
            after = means[np.arange(len(self.values)), leaves >> (depth - level - 1)]
            for row, change in enumerate(after - before):
                np.add.at(found[row], self.features[:, level], change)
            before = after
        return found

    def _leaves(self, rows: Values) -> NDArray[np.intp]:
        bits = rows[:, self.features] > self.thresholds
        depth = self.features.shape[1]
        leaves: NDArray[np.intp] = (bits << np.arange(depth - 1, -1, -1)).sum(axis=2)
        return leaves


def forest_of(stored: dict[str, Any], size: int) -> Forest:
    """The forest as it is kept in JSON. Raises ConfigurationError when it is none over `size` features."""
    try:
        found = Forest(np.array(stored["features"], dtype=np.intp), np.array(stored["thresholds"], dtype=np.float64),
                       np.array(stored["values"], dtype=np.float64))
        fits = (found.features.shape == found.thresholds.shape and found.features.min() >= 0
                and found.features.max() < size and np.isfinite(found.values).all()
                and found.values.shape == (len(found.features), 1 << found.features.shape[1]))
    except (KeyError, ValueError, IndexError, TypeError):
        fits = False
    if not fits:
        raise ConfigurationError("the parameters of the step policy are damaged; install the package again")
    return found
