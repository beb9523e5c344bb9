"""Matches what was said against a list of allowed values, forgiving a small slip in a longer word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ruche.engine.brain.signals import words_of

MOST_WORDS = 20
"""Of a message in which slips are forgiven."""


def close(lower: str, allowed: Mapping[str, str], taken: Sequence[tuple[int, int]], *,
          loose: bool) -> tuple[int, int, str, float] | None:
    """(start, end, value, confidence) of the longest allowed value in `lower`; with slips only where `loose`.

    A slip is one letter in a value of 4 to 7 characters and two in a longer one. Two values equally close are no match.
    """
    places = _places(lower)
    loose = loose and len(places) <= MOST_WORDS
    best: list[tuple[int, int, int, int, str]] = []
    for key, value in allowed.items():
        size = len(key.split())
        for start in range(len(places) - size + 1):
            first, last = places[start][0], places[start + size - 1][1]
            if any(first < end and last > begin for begin, end in taken):
                continue
            said = " ".join(lower[a:b] for a, b in places[start:start + size])
            slips = 0 if said == key else distance(said, key, _allowance(key) if loose else 0)
            if slips is not None:
                best.append((slips, -len(key), first, last, value))
    if not best:
        return None
    best.sort()
    slips, length, first, last, value = best[0]
    if slips and any(other[:2] == (slips, length) and other[4] != value for other in best[1:]):
        return None
    return first, last, value, 1.0 if slips == 0 else 0.8


def distance(left: str, right: str, limit: int) -> int | None:
    """Edits (a swap of neighbours counts as one) from `left` to `right`, None when more than `limit`."""
    if abs(len(left) - len(right)) > limit or not limit:
        return None
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, one in enumerate(left, 1):
        last, row, older = row, [i], before
        before = last
        for j, other in enumerate(right, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (one != other))
            if i > 1 and j > 1 and one == right[j - 2] and left[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1] if row[-1] <= limit else None


def _allowance(key: str) -> int:
    return 0 if len(key) < 4 else 1 if len(key) < 8 else 2


def _places(lower: str) -> list[tuple[int, int]]:
    places, at = [], 0
    for word in words_of(lower):
        start = lower.replace("’", "'").find(word, at)
        places.append((start, start + len(word)))
        at = start + len(word)
    return places
