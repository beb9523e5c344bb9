"""Text that tries to give the agent orders: `{use: injection}`, and what is looked at before any model reads it.

A linear head over hashed n-grams, trained by scripts/train_injection.py; `injection.json` holds it with its threshold
and the rates that were measured. It knows attacks by their wording. An ordinary request in the wrong place (a mail that
asks for a recipe) has none, so that text from tools and memories stays data whatever the head says.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.ngrams import BITS, CHARACTERS, SIZE, features, weigh
from ruche.plugins.enforcers.options import read_options
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

SHIPPED = Path(__file__).with_name("injection.json")
READ = 40_000
"""Characters that are looked at; nothing beyond them may be shown to a model."""
PIECE, LEAST = 400, 20
"""Characters of a sentence that is read by itself: of a longer one so many at a time, of a shorter one nothing."""
SURER = 1.0
"""By how much a sentence among others must be surer than a whole text: there are many in which to go wrong."""
KEPT = 2_048
"""Texts whose scores are remembered, by their hash."""

_SENTENCE = re.compile(r"[^.!?\n。！？]+[.!?。！？]*")


class Sighting(NamedTuple):
    """A score, and the part of the text that reached it."""

    score: float
    span: tuple[int, int]


class InjectionHead:
    """Immutable but for a memory of scores; safe in any thread that the interpreter runs."""

    def __init__(self, weights: NDArray[np.float32], bias: float, threshold: float, line: float) -> None:
        """`threshold` flags; at `line` one in a hundred harmless texts of the held-out part was above."""
        self._weights, self._bias = weights, bias
        self.threshold, self.line = threshold, line
        self._scores: OrderedDict[bytes, Sighting] = OrderedDict()

    def score(self, text: str) -> float:
        """The text read as a whole: the log-odds of an attack, before any prior."""
        return round(weigh(features(text), self._weights) + self._bias, 4)

    def look(self, text: str) -> Sighting:
        """The worst of a text: as a whole, and sentence by sentence less SURER. About 0.1 ms a sentence."""
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._scores.get(key)
        if known is None:
            known = self._scores[key] = self._worst(text[:READ])
            while len(self._scores) > KEPT:
                self._scores.popitem(last=False)
        return known

    def _worst(self, text: str) -> Sighting:
        worst = Sighting(self.score(text), (0, min(len(text), CHARACTERS)))
        parts = list(_parts(text))
        for start, end in parts if len(parts) > 1 else ():
            score = round(self.score(text[start:end]) - SURER, 4)
            if score > worst.score:
                worst = Sighting(score, (start, end))
        return worst

    def flags(self, text: str) -> bool:
        return self.look(text).score >= self.threshold


class InjectionEnforcer:
    """Judges replies as well: one that carries an attack on to the next reader is stopped. Options: `threshold`."""

    name = "injection"
    monotone = False

    def prepare(self, rule: Rule) -> float:
        options = read_options(rule, ("threshold",), empty=True)
        threshold = options.get("threshold", shipped().threshold)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float):
            raise ConfigurationError(f"rule {rule.id}: threshold is a number; leave it out for {shipped().threshold:g}")
        return float(threshold)

    def check(self, draft: Draft, rule: Rule, prepared: float) -> Verdict:
        seen = shipped().look(draft.text)
        if seen.score < prepared:
            return Verdict(outcome="pass")
        return Verdict(outcome="fail", reason="reads like orders to the agent", span=seen.span)


@lru_cache(maxsize=1)
def shipped() -> InjectionHead:
    """The head of the package. Raises ConfigurationError when its file is damaged."""
    return read_head(SHIPPED)


def read_head(path: Path) -> InjectionHead:
    """Raises ConfigurationError for a file that is missing, damaged, or of other features."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        weights = np.frombuffer(base64.b64decode(content["weights"]), dtype=np.int8)
        if content["bits"] != BITS or len(weights) != SIZE:
            raise ValueError("it was trained for other features")
        numbers = [float(content[name]) for name in ("scale", "bias", "threshold", "line")]
        if not all(map(np.isfinite, numbers)):
            raise ValueError("a number is not finite")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path.name} cannot be used ({error}); install the package again") from None
    scale, bias, threshold, line = numbers
    return InjectionHead(weights.astype(np.float32) * np.float32(scale), bias, threshold, line)


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Sentences that are long enough to say something, long ones in parts."""
    for found in _SENTENCE.finditer(text):
        for start in range(found.start(), found.end(), PIECE):
            end = min(start + PIECE, found.end())
            if end - start >= LEAST:
                yield start, end
