"""Hashed words and pairs of neighbours of a text: what a sentence vector blurs (no, when, how long, not yet).

No vocabulary is kept anywhere. (Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009.)
"""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np

from ruche.storage.index.vectors import Rows
from ruche.storage.index.words import words

SIZE = 2_048
"""Columns; two n-grams may share one."""
CHARACTERS = 2_000
"""What is read of a text."""


def gram_row(text: str) -> Rows:
    """One row of SIZE columns and length 1 (0 for a text without words). The same on every machine."""
    row = np.zeros(SIZE, dtype=np.float32)
    found = words(text[:CHARACTERS])
    pairs = pairwise(("", *found, ""))  # where a text begins and ends counts as a word
    for gram in dict.fromkeys((*found, *(f"{one} {other}" for one, other in pairs)) if found else ()):
        number = zlib.crc32(gram.encode("utf-8", "replace"))
        row[(number >> 1) % SIZE] += 1.0 if number & 1 else -1.0
    length = float(np.linalg.norm(row))
    return row / np.float32(length) if length else row
