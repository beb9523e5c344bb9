"""Repairs a slip of the hand against the words that an agent uses: one letter too many, missing, wrong or swapped.

Only a word that neither the agent nor the embedder knows is touched, so that what is spelt right stays as it is.
(Damerau, A technique for computer detection and correction of spelling errors, 1964.)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable

from ruche.storage.index.words import COMMON, words

LEAST, LEAST_UNAIDED, MOST = 4, 6, 24
"""Letters of a word that is repaired; without a list of the language's words, only longer ones are."""
MOST_REPAIRS = 8
"""In one message: a text with more strange words is no text with slips."""
LONGEST = 500
"""Characters of a message that is looked through."""

_LETTERS = re.compile(r"[^\W\d_]+")


class Spelling:
    """The words of an agent, with a table that finds those one slip away. Immutable once built."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts: Counter[str] = Counter(word for text in texts for word in words(text))
        self._counts = dict(counts)
        self._near: dict[str, list[str]] = {}
        for word in sorted(counts, key=lambda word: (-counts[word], word)):
            if LEAST - 1 <= len(word) <= MOST and word.isalpha():
                for shorter in _shortened(word):
                    self._near.setdefault(shorter, []).append(word)

    def repaired(self, text: str, known: Container[str] | None) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The text with its slips repaired, and (as written, as read) of each.

        `known`: the whole words of the embedder, None where it has no such list.
        """
        if not self._near or len(text) > LONGEST:
            return text, ()
        least = LEAST if known is not None else LEAST_UNAIDED
        repairs: dict[str, str] = {}
        for said in dict.fromkeys(_LETTERS.findall(text)):
            word = said.lower()
            if least <= len(word) <= MOST and word not in self._counts and word not in COMMON and \
                    (known is None or word not in known):
                meant = self._meant(word, aided=known is not None)
                if meant is not None:
                    repairs[said] = meant
        if not repairs or len(repairs) > MOST_REPAIRS:
            return text, ()
        return _LETTERS.sub(lambda found: repairs.get(found[0], found[0]), text), tuple(repairs.items())

    def _meant(self, word: str, *, aided: bool) -> str | None:
        """The commonest word one slip away, the first in the alphabet among equals."""
        near = {other for shorter in _shortened(word) for other in self._near.get(shorter, ())}
        close = [other for other in near if one_slip(word, other) and (aided or other[0] == word[0])]
        return min(close, key=lambda other: (-self._counts[other], other), default=None)


def one_slip(left: str, right: str) -> bool:
    """True when one letter is inserted, dropped or replaced, or two neighbours are swapped."""
    if len(left) > len(right):
        left, right = right, left
    start = 0
    while start < len(left) and left[start] == right[start]:
        start += 1
    if len(left) < len(right):
        return len(right) - len(left) == 1 and left[start:] == right[start + 1:]
    if left[start + 1:] == right[start + 1:]:
        return left != right
    return left[start:start + 2] == right[start:start + 2][::-1] and left[start + 2:] == right[start + 2:]


def _shortened(word: str) -> set[str]:
    """The word, and the word without one of its letters: two words one slip apart have one of them in common."""
    return {word, *(word[:place] + word[place + 1:] for place in range(len(word)))}
