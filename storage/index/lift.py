"""What items without examples are given beside items that have some, so that these do not take their messages.

People write like examples, not like conditions: a message is nearer to examples of another rule than to the sentence
of its own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.ranking import Scores

LIFT, GROWTH, RAMP = 0.09, 0.1, 0.1
"""What is given at 1 example each, per tenfold of them, and how far above the threshold it is given in full.

On visible rows of banking77 and clinc150, 15 to 150 rules of which 3 or 6 in ten had 1, 3 or 10 examples, the right
rule was matched for 68.9 % of the messages, with it for 73.6; in each of the 24 settings as often or more often. Where
one rule of 15 to 20 had 3 or 10 examples, 69.7 % and 71.2. By likeness alone, as scenarios are judged, 8 to 20 of them:
73.0 and 77.0.
"""


class Lift:
    """Of the items of one kind, of which some have examples."""

    def __init__(self, counts: NDArray[np.intp], threshold: float) -> None:
        """`counts`: how many examples each item has. Where none has any, none is lifted."""
        self._without = (counts == 0) & bool(counts.any())
        mean = float(counts[counts > 0].mean()) if counts.any() else 1.0
        self._most = LIFT + GROWTH * math.log10(mean)
        self._threshold = threshold

    def __call__(self, scores: Scores, allowed: NDArray[np.intp] | None = None) -> Scores:
        """The scores of all items or of the `allowed` ones, higher for those without examples where they are above the
        threshold: what matched before matches, and nothing else does."""
        without = self._without if allowed is None else self._without[allowed]
        above = np.clip((scores - self._threshold) / RAMP, 0.0, 1.0)
        result: Scores = np.where(without, np.minimum(scores + self._most * above, np.maximum(scores, 1.0)), scores)
        return result
