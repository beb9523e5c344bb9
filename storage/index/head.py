"""What an agent's examples teach: a linear head per kind, fitted when the agent is prepared, and its scale.

A message belongs to the agent when head and likeness together exceed what sentences about nothing reach.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.background import BACKGROUND
from ruche.storage.index.grams import SIZE, gram_row
from ruche.storage.index.logistic import STRENGTH, Matrix, fit_each, fit_one, logit, sigmoid
from ruche.storage.index.ranking import Scores
from ruche.storage.index.vectors import Rows, dots

Places = NDArray[np.intp]

AHEAD = 0.15
"""By which a message must exceed the median of the background sentences, before scaling.

On visible clinc150 rows the best line between in and out of scope lies 0.10 to 0.23 above it, for 5 to 150 rules of 1
to 100 examples, with MiniLM and with hashing alike.
"""

SENTENCE = 20.0
"""With 49 sentences to learn from, heads of other topics raise the F1 of 48 rules from 58 to 70; 10 to 30 do equally
well."""

WORDS, WORDS_EXAMPLES, WORDS_GROWTH, WORDS_MOST = 0.2, 10.0, 0.3, 0.5
"""Weight of the words beside the cosine, up to so many examples an item, and the power of the examples by which it
grows. The more examples, the better their words tell: on visible banking77 rows 0.2 is best from 1 to 10, 0.3 to 0.4
for 30, 0.4 for 100 (+0.9 points over 0.1); on clinc150 0.2 for 3 to 30. """

READING, READING_STRENGTH = 20, 60.0
"""Examples an item, on average, from which a head of rules that may fire together reads words and their order as well,
and its STRENGTH then. On visible folds with 50 examples a rule it has 60 % of the sets right instead of 50, with 12 it
gains nothing beside what the rules' sentences tell."""
READING_ONE, READING_SHARE = 50, 0.7
"""The same where one item is meant, and the length of what it reads beside the vector's 1: on visible banking77 rows
+0.3 points with 100 examples, nothing with 30, and it costs with 10."""
READING_ROWS = 12_000
"""Texts up to which it is tried: 120 MB while it is fitted."""

_MOST_LINE = 0.9
_INTERCEPT = 0.3
"""The column that carries the intercept of a rule that may fire beside others."""


@dataclass(frozen=True, slots=True)
class Head:
    """Scores of the items with examples, on the scale of the likeness: 0 to 1, `threshold` where a match begins."""

    weights: Rows
    """Items x dimensions, or dimensions + SIZE where the head reads words as well: see `seen`."""
    intercepts: Scores | None
    """Given where every item is decided for itself; None where one of them is meant."""
    counts: Places
    """How many examples each item has."""
    share: float
    """Of the head in the score, 0 to 1; the likeness has the rest."""
    own: float
    """Mean logit of a text for the item that it teaches."""
    line: float
    """The unscaled score where a match begins."""
    threshold: float
    words: float = field(init=False)
    """The weight of the words of an item's texts, where the cosine has 1."""

    def __post_init__(self) -> None:
        mean = float(self.counts[self.taught].mean()) if self.taught.any() else 0.0
        object.__setattr__(self, "words", min(WORDS * max(1.0, mean / WORDS_EXAMPLES) ** WORDS_GROWTH, WORDS_MOST))

    def seen(self, vector: Rows, text: str) -> Rows:
        """What the head looks at of a message."""
        if self.weights.shape[1] == len(vector):
            return vector
        row: Rows = np.concatenate((vector, gram_row(text)))
        return row

    @property
    def taught(self) -> NDArray[np.bool_]:
        """The items that have examples; the others go by their likeness."""
        found: NDArray[np.bool_] = self.counts > 0
        return found

    def weighed(self, seen: Rows, told: Scores, allowed: Places | None = None) -> Scores:
        """Where every item is decided for itself: evidence that examples and the items' own sentences give together.

        `told` is the sentences' (see `Untaught.evidence`); it weighs as much as SENTENCE examples.
        """
        counts = self.counts if allowed is None else self.counts[allowed]
        share = counts / (counts + SENTENCE)
        result: Scores = share * (self._logits(seen, allowed) - logit(self.line)) + (1.0 - share) * told
        return result

    def scores(self, seen: Rows, cosines: Rows, lexical: Scores, likeness: Scores,
               allowed: Places | None = None) -> Scores:
        """One score per item. The arrays hold all items or the `allowed` ones; `likeness` is what those without
        examples keep."""
        taught = self.taught if allowed is None else self.taught[allowed]
        if self.intercepts is None:
            found = scaled_to(self.unscaled(seen, cosines, lexical, allowed), self.line, self.threshold)
        else:
            sure = scaled_to(sigmoid(self._logits(seen, allowed)), self.line, self.threshold)
            found = self.share * sure + (1.0 - self.share) * likeness
        result: Scores = np.where(taught, found, likeness)
        return result

    def unscaled(self, seen: Rows, cosines: Rows, lexical: Scores, allowed: Places | None = None) -> Scores:
        """Where one item is meant: logits over `own`, blended with the likeness."""
        likeness = (cosines + self.words * lexical) / (1.0 + self.words)
        result: Scores = self.share / self.own * self._logits(seen, allowed) + (1.0 - self.share) * likeness
        return result

    def _logits(self, seen: Rows, allowed: Places | None) -> Scores:
        logits = dots(self.weights, seen).astype(np.float64)
        if self.intercepts is not None:
            logits += self.intercepts
        return logits if allowed is None else logits[allowed]


def fit_head(rows: Rows, owners: Places, texts: Sequence[str], count: int, *, several: bool | None,
             threshold: float, background: Rows) -> Head | None:
    """A head for `count` items, or None when fewer than two have examples: nothing is to be told apart.

    `owners` and `texts` stand beside the rows: the item of each and what it says; an item's first text is its own
    sentence. `several` says that rules may fire together; None: they do when two of them share an example. `background`
    shows to those rules what none of them means. Where one is meant the line is still to be drawn: see `drawn`.
    """
    counts = np.bincount(owners, minlength=count) - 1
    if int((counts > 0).sum()) < 2:
        return None
    if several if several is not None else _shared(owners, texts):
        return _each(rows, owners, texts, counts, threshold, background)
    return _one(rows, owners, texts, counts, threshold)


def drawn(head: Head, background: Sequence[float]) -> Head:
    """The head with its line above the best unscaled scores that sentences of the background reached.

    The line is never below the threshold: a few rules are told apart easily, and then much would seem to be meant.
    """
    line = min(max(float(np.median(background)) + AHEAD, head.threshold), max(_MOST_LINE, head.threshold))
    return dataclasses.replace(head, line=line)


def scaled_to(scores: Scores, line: float, threshold: float) -> Scores:
    """Two straight pieces: 0 stays, `line` becomes `threshold`, 1 stays; what lies outside is cut off."""
    below = scores * (threshold / line)
    above = threshold + (scores - line) * ((1.0 - threshold) / (1.0 - line))
    result: Scores = np.clip(np.where(scores < line, below, above), 0.0, 1.0)
    return result


def _one(rows: Rows, owners: Places, texts: Sequence[str], counts: Places, threshold: float) -> Head:
    reading = _reads(counts, len(texts), READING_ONE)
    wide: NDArray[np.floating] = _read(rows, texts) if reading else rows.astype(np.float64)
    weights = fit_one(wide, owners, len(counts)).weights
    logits = wide @ weights.T.astype(wide.dtype)
    own = max(float(logits[np.arange(len(wide)), owners].mean(dtype=np.float64)), 1e-6)
    weights[:, rows.shape[1]:] *= READING_SHARE
    return Head(weights=weights.astype(np.float32), intercepts=None, counts=counts,
                share=0.5 * _trust(counts, 100), own=own, line=threshold, threshold=threshold)


def _read(rows: Rows, texts: Sequence[str]) -> Rows:
    """The rows with what is read of their texts beside them."""
    wide = np.empty((len(texts), rows.shape[1] + SIZE), dtype=np.float32)
    wide[:, :rows.shape[1]] = rows
    for place, text in enumerate(texts):
        wide[place, rows.shape[1]:] = READING_SHARE * gram_row(text)
    return wide


def _reads(counts: Places, texts: int, least: int) -> bool:
    return texts <= READING_ROWS and float(counts[counts > 0].mean()) >= least


def _trust(counts: Places, full: int) -> float:
    """0 for a single taught item to 1 from `full` of them, by the logarithm.

    A head tells which item is meant, not whether any is: among few items even nonsense is nearest to one.
    """
    return min(1.0, math.log(int((counts > 0).sum())) / math.log(full))


def _shared(owners: Places, texts: Sequence[str]) -> bool:
    home: dict[str, int] = {}
    return any(home.setdefault(text, owner) != owner for text, owner in zip(texts, owners.tolist(), strict=True))


def _each(rows: Rows, owners: Places, texts: Sequence[str], counts: Places, threshold: float,
          background: Rows) -> Head:
    """Texts that several items share become one row that belongs to all of them; the background belongs to none.

    With the background, sentences without any intent stay without one (nlupp: 58 to 73 % after one fold).
    """
    firsts = list(dict.fromkeys(texts))
    row_of = {text: number for number, text in enumerate(firsts)}
    size, columns = len(firsts) + len(background), rows.shape[1]
    reading = _reads(counts, size, READING)
    owned = np.zeros((size, len(counts)), dtype=bool)
    wide: Matrix = np.full((size, columns + (SIZE if reading else 0) + 1), _INTERCEPT)
    wide[len(firsts):, :columns] = background
    for text, owner, row in zip(texts, owners.tolist(), rows, strict=True):
        owned[row_of[text], owner] = True
        wide[row_of[text], :columns] = row
    if reading:
        wide[:, columns:-1] = [gram_row(text) for text in (*firsts, *BACKGROUND[:len(background)])]
    weights = fit_each(wide, owned, READING_STRENGTH if reading else STRENGTH).weights
    own = float(np.mean((wide @ weights.T)[owned]))
    return Head(weights=weights[:, :-1].astype(np.float32), intercepts=_INTERCEPT * weights[:, -1], counts=counts,
                share=_trust(counts, 50), own=own, line=min(max(0.08 + 0.1 * own, 0.15), 0.4), threshold=threshold)
