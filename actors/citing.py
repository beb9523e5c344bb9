"""Which of the memories that bear on a message are told: one of each topic, because people repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ruche.plugins.selectors import Topics
from ruche.storage.index.memory import Recollection

CITED = 3
"""Specification (memory, A7)."""
SAME = Topics(eps=0.1, top=1)
"""Sentences of a cosine of 0.9 say the same."""


def cited(worth: Sequence[Recollection]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of the best of each topic, best first, and of what was passed over because one of them says the same."""
    if not worth:
        return (), ()
    rows = np.stack([np.frombuffer(one.row, dtype=np.float32) for one in worth])
    chosen = SAME.select([one.score for one in worth], rows, max_k=CITED)
    places = tuple(range(chosen.keep)) if chosen.places is None else chosen.places
    names = [one.utterance.id for one in worth]
    return (tuple(names[place] for place in places),
            tuple(name for place, name in enumerate(names[:places[-1]]) if place not in places))
