"""Hashed n-grams of words and letters: what a linear head reads a text by. No vocabulary is kept anywhere.

(Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009.)
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ruche.plugins.enforcers.reading import plain

BITS = 15
SIZE = 1 << BITS
"""Features; two n-grams may share one."""
CHARACTERS = 8_000
"""What is read of a text."""
WORDS, LETTERS = (1, 2, 3), (3, 4, 5)
"""Lengths of the n-grams."""

_SPACE = re.compile(r"\s+")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W_]+|[^\w\s]")
_PRIME = np.uint32(16_777_619)  # FNV-1
_MIX = np.uint32(0x9E37_79B1)  # golden ratio

Hashes = NDArray[np.uint32]
Features = NDArray[np.intp]


def features(text: str) -> Features:
    """Which of the SIZE features a text has, each once, ascending. The same on every machine; never empty."""
    read = _DIGITS.sub("0", _SPACE.sub(" ", plain(text[:CHARACTERS]))).strip()
    found = [*_grams(_word_hashes(read), WORDS, 11), *_grams(_letter_codes(read), LETTERS, 77)]
    places: Features = np.unique(np.concatenate(found) >> np.uint32(32 - BITS)).astype(np.intp)
    return places


def weigh(found: Features, weights: NDArray[np.floating]) -> float:
    """The sum of the features' weights over the root of their number, so that long texts do not win by length."""
    return float(weights[found].sum(dtype=np.float64)) / float(np.sqrt(len(found)))


def _word_hashes(text: str) -> Hashes:
    return np.array([zlib.crc32(word.encode()) for word in _WORD.findall(text)] or [0], dtype=np.uint32)


def _letter_codes(text: str) -> Hashes:
    return np.frombuffer(f" {text} ".encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint32)


def _grams(units: Hashes, lengths: Sequence[int], salt: int) -> list[Hashes]:
    """Hashes of all runs of each length."""
    found = []
    for length in lengths:
        count = max(len(units) - length + 1, 0)
        hashes = np.full(count, salt * length, dtype=np.uint32)
        for place in range(length):
            hashes = (hashes ^ units[place:place + count]) * _PRIME
        found.append((hashes ^ (hashes >> np.uint32(15))) * _MIX)
    return found
