"""The words by which an agent's rules differ: what is left of a condition without what most of them say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.words import COMMON, stem, terms, words

_FREQUENT, _FEW = 0.12, 2
"""Share of the sentences that may have a word before it tells nothing, and the number that always may."""
_ROOT = 4
"""Letters that two words share when one begins with the other."""


def telling_words(sentences: Sequence[str]) -> list[list[str]]:
    """Of each sentence, the words that few of the others have, in order."""
    counts = Counter(word for sentence in sentences for word in set(terms(sentence)))
    most = max(_FEW, _FREQUENT * len(sentences))
    return [[word for word in dict.fromkeys(words(sentence)) if word not in COMMON and counts[stem(word)] <= most]
            for sentence in sentences]


def telling_texts(sentences: Sequence[str]) -> list[str]:
    """The telling words as a text to embed; the whole sentence where there are none."""
    return [" ".join(found) or sentence for found, sentence in zip(telling_words(sentences), sentences, strict=True)]


class Overlap:
    """How many of each rule's telling words a message has; `cancel` and `cancelling` count as one."""

    def __init__(self, sentences: Sequence[str]) -> None:
        found = [[stem(word) for word in one] for one in telling_words(sentences)]
        self._sizes = np.array([max(1, len(one)) for one in found], dtype=np.float64)
        self._homes: dict[str, list[tuple[str, int]]] = {}
        for number, stems in enumerate(found):
            for one in dict.fromkeys(stems):
                self._homes.setdefault(one[:_ROOT], []).append((one, number))

    def shares(self, asked: Iterable[str]) -> NDArray[np.float64]:
        """Per rule, the share of its telling words among the terms of a message."""
        shared: set[tuple[str, int]] = set()
        for term in set(asked):
            for own, number in self._homes.get(term[:_ROOT], ()):
                if own == term or (min(len(own), len(term)) >= _ROOT
                                   and (own.startswith(term) or term.startswith(own))):
                    shared.add((own, number))
        counts = np.zeros(len(self._sizes))
        for _, number in shared:
            counts[number] += 1.0
        result: NDArray[np.float64] = np.minimum(counts / self._sizes, 1.0)
        return result
