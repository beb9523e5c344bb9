"""Which of several rules without examples a message means: heads for what people mean everywhere (no, change, when),
and for every other rule what its sentence alone can tell. Fitted by scripts/train_general.py, shipped as numbers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.storage.errors import ConfigurationError
from ruche.storage.index.grams import SIZE, gram_row
from ruche.storage.index.logistic import logit
from ruche.storage.index.ranking import Scores
from ruche.storage.index.telling import Overlap, Shares
from ruche.storage.index.vectors import Rows, dots

SAME = 0.85
"""Cosine of a rule's sentence to a known one from which the two mean the same. On visible sentences, different
meanings come up to 0.80 ("new" and "existing")."""
LINE, KNOWN_LINE = 0.42, 0.3
"""Probabilities from which a rule is meant: by its own sentence, and by a shipped head."""

INTERCEPT = 0.3
FEATURES = 10
_LEAST_SPREAD = 0.02


class General(NamedTuple):
    """Fitted parameters for one embedder."""

    anchors: Rows
    """Known sentences x dimensions."""
    heads: NDArray[np.intp]
    """The head of each anchor."""
    weights: Rows
    """Heads x (dimensions + SIZE + 1): of the vector, of the hashed words, and the intercept's, over INTERCEPT."""
    transfer: Scores
    """FEATURES weights of what a sentence alone can tell."""


class Untaught:
    """The rules of an agent as far as their own sentences go. Immutable."""

    def __init__(self, sentences: Sequence[str], rows: Rows, telling: Rows, background: Rows, general: General) -> None:
        """`rows` and `telling` hold the vectors of the sentences and of their telling words."""
        self._rows, self._telling = rows, telling
        self._overlap = Overlap(sentences)
        by_chance = background @ telling.T
        self._chance, self._spread = by_chance.mean(axis=0), np.maximum(by_chance.std(axis=0), _LEAST_SPREAD)
        self._transfer = general.transfer
        likeness = rows @ general.anchors.T
        best = likeness.argmax(axis=1)
        self.known = likeness.max(axis=1) >= SAME
        """Rules that a shipped head decides."""
        self._heads, self._weights = general.heads[best], general.weights

    def evidence(self, vector: Rows, text: str, asked: Sequence[str]) -> Scores:
        """Per rule, by how much its logit exceeds that of its line; `asked` are the terms of the message's text."""
        told: Scores = features(dots(self._rows, vector), dots(self._telling, vector), self._chance, self._spread,
                                self._overlap.shares(asked)) @ self._transfer - logit(LINE)
        if not self.known.any():
            return told
        known = dots(self._weights, read(vector, text)).astype(np.float64)[self._heads] - logit(KNOWN_LINE)
        result: Scores = np.where(self.known, known, told)
        return result


def read(vector: Rows, text: str) -> Rows:
    """What the heads look at: dimensions + SIZE + 1 columns."""
    row: Rows = np.concatenate((vector, gram_row(text), np.array((INTERCEPT,), dtype=np.float32)))
    return row


def features(cosines: Rows, telling: Rows, chance: Scores, spread: Scores, shares: Shares) -> Scores:
    """Rules x FEATURES for one message."""
    wide = np.maximum(float(telling.std()), _LEAST_SPREAD)
    result: Scores = np.column_stack((
        cosines, telling, (telling - telling.mean()) / wide, (telling - chance) / spread / 5.0, telling - telling.max(),
        shares.share, shares.share >= 1.0, shares.own, shares.share > 0.0, np.ones(len(cosines)))).astype(np.float64)
    return result


@cache
def shipped(embedder: str) -> General | None:
    """What ships for an embedder, by its name; None for others."""
    content = json.loads(Path(__file__).with_name("general.json").read_text(encoding="utf-8"))
    return general_of(content) if content.get("embedder") == embedder else None


def general_of(content: dict[str, Any]) -> General:
    """Raises ConfigurationError when the parameters are damaged."""
    try:
        size = int(content["dimensions"])
        found = General(_matrix(content["anchors"], size), np.array(content["heads"], dtype=np.intp),
                        _matrix(content["weights"], size + SIZE + 1), np.array(content["transfer"], dtype=np.float64))
        fits = (len(found.anchors) == len(found.heads) and found.heads.max() < len(found.weights)
                and found.transfer.shape == (FEATURES,) and bool(np.isfinite(found.weights).all()))
    except (KeyError, ValueError, TypeError):
        fits = False
    if not fits:
        raise ConfigurationError("the parameters of the general intents are damaged; install the package again")
    return found


def packed(rows: Rows) -> str:
    """Half precision, base64."""
    return base64.b64encode(np.asarray(rows, dtype="<f2").tobytes()).decode()


def _matrix(text: str, columns: int) -> Rows:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2").reshape(-1, columns).astype(np.float32)
