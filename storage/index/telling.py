"""The words by which an agent's rules differ: what is left of a condition without what most of them say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.words import COMMON, stem, terms, words

_FREQUENT, _FEW = 0.12, 2
"""Share of the sentences that may have a word before it tells nothing, and the number that always may."""
_ROOT = 4
"""Letters that two words share when one begins with the other."""
_VAGUE = frozenset((
    "concerning", "discuss", "discusses", "indicate", "indicates", "inquires", "issue", "issues", "kind", "mention",
    "mentions", "regarding", "related", "relates", "someone", "something", "sort", "talk", "talks", "thing", "things",
    "wonders",
))
"""Words that stand in a condition and in no message."""
_OR, _BETWEEN = re.compile(r"\bor\b|/"), re.compile(r"\bor\b|[,/;]")
_WHOLE = 1.0 - 1e-9

Values = NDArray[np.float64]


class Shares(NamedTuple):
    """Per rule, how much of its telling words a message has: 0 to 1, by their rarity among the rules."""

    share: Values
    own: Values
    """Without the words of rules of which everything was said: "account" alone says nothing for "savings account"."""


def telling_words(sentences: Sequence[str]) -> list[list[str]]:
    """Of each sentence, the words that few of the others have, in order."""
    few = _few(sentences)
    return [_telling(sentence, few) for sentence in sentences]


def telling_texts(sentences: Sequence[str]) -> list[str]:
    """The telling words as a text to embed; the whole sentence where there are none."""
    return [" ".join(found) or sentence for found, sentence in zip(telling_words(sentences), sentences, strict=True)]


class Overlap:
    """How much of each rule's telling words a message has; `cancel` and `cancelling` count as one.

    Of a condition with "or", one of the alternatives is enough.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        few, weights = _few(sentences), _weights(sentences)
        found = [list(_alternatives(sentence, few)) or [[]] for sentence in sentences]
        self._starts = np.cumsum([0, *(len(one) for one in found[:-1])]).astype(np.intp)
        flat = [list(dict.fromkeys(stem(word) for word in words)) for one in found for words in one]
        self._whole = np.array([sum(weights[word] for word in one) or 1.0 for one in flat])
        places: dict[str, list[int]] = {}
        for place, stems in enumerate(flat):
            for word in stems:
                places.setdefault(word, []).append(place)
        self._words = {word: (np.array(found, dtype=np.intp), weights[word]) for word, found in places.items()}
        self._roots: dict[str, list[str]] = {}
        for word in self._words:
            self._roots.setdefault(word[:_ROOT], []).append(word)

    def shares(self, asked: Iterable[str]) -> Shares:
        """What the terms of a message have of each rule."""
        said = [self._words[word] for word in self._said(asked)]
        sums, left = np.zeros(len(self._whole)), np.zeros(len(self._whole))
        for places, weight in said:
            sums[places] += weight
        whole = sums >= _WHOLE * self._whole
        for places, weight in said:
            if not whole[places].any():
                left[places] += weight
        share = np.minimum(sums / self._whole, 1.0)
        own = np.where(whole, 1.0, left / self._whole)
        return Shares(np.maximum.reduceat(share, self._starts), np.maximum.reduceat(own, self._starts))

    def _said(self, asked: Iterable[str]) -> list[str]:
        """The rules' own words that a message has, in one form or another."""
        return list(dict.fromkeys(own for term in asked for own in self._roots.get(term[:_ROOT], ())
                                  if own == term or _same_root(own, term)))


def _same_root(one: str, other: str) -> bool:
    return min(len(one), len(other)) >= _ROOT and (one.startswith(other) or other.startswith(one))


def _few(sentences: Sequence[str]) -> frozenset[str]:
    """Stems that few sentences have."""
    counts = Counter(word for sentence in sentences for word in set(terms(sentence)))
    most = max(_FEW, _FREQUENT * len(sentences))
    return frozenset(word for word, count in counts.items() if count <= most)


def _weights(sentences: Sequence[str]) -> dict[str, float]:
    """By stem: a word that so many sentences have tells each of them that part."""
    counts = Counter(word for sentence in sentences for word in {stem(word) for word in words(sentence)})
    return {word: 1.0 / count for word, count in counts.items()}


def _telling(text: str, few: frozenset[str]) -> list[str]:
    return [word for word in dict.fromkeys(words(text))
            if word not in COMMON and word not in _VAGUE and stem(word) in few]


def _alternatives(sentence: str, few: frozenset[str]) -> Iterator[list[str]]:
    """The telling words of each part of "a, b or c"; of a sentence without "or", all of them."""
    for part in _BETWEEN.split(sentence) if _OR.search(sentence) else (sentence,):
        if found := _telling(part, few):
            yield found
