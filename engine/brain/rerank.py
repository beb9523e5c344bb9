"""The end of phase 4: passages of knowledge in the order of a reranker, where the host has one.

It serves quality and fails open: the search's own order stands, cut to the same number, and the run says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ruche.actors.reranker import Kind, Reranked
from ruche.engine.brain.calls import asked
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.retrieve import Retrieved
from ruche.plugins.tape import Tape

CANDIDATES, KEPT = 24, 8
"""Specification (memory, A7)."""


class Ranking(Protocol):
    """The reranking service as the brain sees it: bounded in time, and never raising for the model."""

    def serves(self, kind: Kind) -> bool: ...

    async def rerank(self, query: str, passages: Sequence[str], keep: int = 8, *, kind: Kind = "documents",
                     before: Sequence[float] | None = None, space: str = "") -> Reranked: ...


async def reorder(who: Identified, retrieved: Retrieved, ranking: Ranking | None, tape: Tape) -> Retrieved:
    """What was retrieved, with its knowledge reordered. Nothing is asked where there is nothing to reorder."""
    found = retrieved.hits.knowledge[:CANDIDATES]
    if ranking is None or len(found) < 2 or not ranking.serves("documents"):
        return retrieved
    texts, scores = [who.agent.passages.get(hit.id, "") for hit in found], [hit.score for hit in found]
    ranked, fault = await asked(
        tape, "rerank", [who.text, [hit.id for hit in found]],
        lambda: ranking.rerank(who.text, texts, KEPT, before=scores, space=who.turn.tenant), Reranked, None)
    places = tuple(range(min(KEPT, len(found)))) if ranked is None else ranked.places
    hits = msgspec.structs.replace(retrieved.hits, knowledge=tuple(found[place] for place in places))
    return msgspec.structs.replace(retrieved, hits=hits,
                                   unranked=fault if ranked is None else ranked.reason or "", ranked=places)
