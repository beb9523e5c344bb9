"""Vectors from hashed words and letter groups: no weights, no training, the same on every machine.

It matches wording, not meaning; it serves where no model is installed. (Weinberger et al., Feature Hashing, 2009.)
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.words import COMMON, words

DIMENSIONS, CHARACTERS = 512, 4_096
WORD, PAIR, GROUP, LITTLE = 1.0, 0.5, 0.35, 0.1
"""Weights of a word, two neighbouring words, a group of 3 or 4 letters, and a word that says little."""


class HashingEmbedder:
    """Signed hashed features of 512 dimensions, unit length, about 0.1 ms a sentence. Needs nothing."""

    immediate = True

    @property
    def name(self) -> str:
        return "hashing-1"

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    @property
    def rule_threshold(self) -> float:
        """Calibrated as for MiniLM, on the same clinc150 rows.

        At 0.35 the right rule is in for 53 % of messages and something wrong for 19 % of those out of scope with the
        rule's sentence alone; 72 % and 34 % with three examples, 82 % and 52 % with ten.
        """
        return 0.35

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """len(texts) x 512, rows of length 1; a text without words has a vector of its own."""
        rows = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for place, text in enumerate(texts):
            rows[place] = _vector(text[:CHARACTERS])
        return rows


def _vector(text: str) -> NDArray[np.float32]:
    sums = [0.0] * DIMENSIONS
    for feature, weight in _weights(words(text)).items():
        code = zlib.crc32(feature.encode("utf-8", "replace"))
        sums[code % DIMENSIONS] += weight if code & 0x8000_0000 else -weight
    length = math.sqrt(math.fsum(value * value for value in sums))
    if length == 0.0:
        sums[0], length = 1.0, 1.0
    return (np.array(sums, dtype=np.float64) / length).astype(np.float32)


def _weights(found: list[str]) -> dict[str, float]:
    """Feature to weight; a repeated feature grows with the square root of its count."""
    counts: Counter[tuple[str, float]] = Counter(_features(found))
    weights: dict[str, float] = {}
    for (feature, weight), count in counts.items():
        weights[feature] = weights.get(feature, 0.0) + weight * math.sqrt(count)
    return weights


def _features(found: list[str]) -> Iterator[tuple[str, float]]:
    for word in found:
        if word in COMMON:
            yield f"w {word}", LITTLE
            continue
        yield f"w {word}", WORD
        marked = f"<{word[:40]}>"
        for size in (3, 4):
            for start in range(len(marked) - size + 1):
                yield f"g {marked[start:start + size]}", GROUP
    for first, second in itertools.pairwise(found):
        if first not in COMMON and second not in COMMON:
            yield f"p {first} {second}", PAIR
