"""The end of phase 4: knowledge and rules in the order of a reranker, where there is one, and cut to what stands out.

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
from ruche.plugins.selectors import selector_for
from ruche.plugins.tape import Tape

CANDIDATES, KEPT = 24, 8
"""Specification (memory, A7)."""
RULES = 20
"""Rules that are reordered (specification, conversation, section 4)."""


class Ranking(Protocol):
    """The reranking service as the brain sees it: bounded in time, and never raising for the model."""

    def serves(self, kind: Kind) -> bool: ...

    async def rerank(self, query: str, passages: Sequence[str], keep: int = 8, *, kind: Kind = "documents",
                     before: Sequence[float] | None = None, space: str = "") -> Reranked: ...


async def reorder(who: Identified, retrieved: Retrieved, ranking: Ranking | None, tape: Tape) -> Retrieved:
    """What was retrieved, with its knowledge and rules reordered, and its knowledge cut to what stands out. Nothing is
    asked where there is nothing to reorder."""
    if ranking is not None:
        retrieved = await _passages(who, retrieved, ranking, tape)
        retrieved = await _rules(who, retrieved, ranking, tape)
    return _selected(who, retrieved) if len(retrieved.hits.knowledge) > 1 else retrieved


def _selected(who: Identified, retrieved: Retrieved) -> Retrieved:
    """The selector goes by the search's scores, on which the threshold lies; what it keeps stays in order."""
    own = who.agent.bundle.agent.knowledge_threshold
    selector, most = selector_for("knowledge", retrieved.threshold if own is None else own)
    found = retrieved.hits.knowledge
    ranked = sorted(found, key=lambda hit: (-hit.score, hit.id))
    chosen = selector.select([hit.score for hit in ranked], max_k=most, min_k=1)
    places = range(chosen.keep) if chosen.places is None else chosen.places
    kept = {ranked[place].id for place in places}
    if len(kept) == len(found):
        return retrieved
    cut = {"method": chosen.method, "cutoff": chosen.cutoff, "kept": len(kept)}
    hits = msgspec.structs.replace(retrieved.hits, knowledge=tuple(hit for hit in found if hit.id in kept))
    return msgspec.structs.replace(retrieved, hits=hits, cut=cut)


async def _rules(who: Identified, retrieved: Retrieved, ranking: Ranking, tape: Tape) -> Retrieved:
    """The rules that match in the reranker's own order (of two, a blend would always leave the first); which of them
    match stays as it is. Rules that are decided each for itself have no order worth asking for, and what examples
    taught knows more than a reranker."""
    if retrieved.hits.several or not ranking.serves("rules"):
        return retrieved
    found = [hit for hit in retrieved.hits.rules[:RULES] if hit.score >= retrieved.threshold]
    rules = [who.agent.rules[hit.id].rule for hit in found if hit.id in who.agent.rules]
    if len(found) < 2 or len(rules) < len(found) or any(rule.examples for rule in rules):
        return retrieved
    texts, scores = [rule.if_ for rule in rules], [hit.score for hit in found]
    ranked, fault = await asked(
        tape, "rerank rules", [who.text, [hit.id for hit in found]],
        lambda: ranking.rerank(who.text, texts, len(texts), kind="rules", space=who.turn.tenant),
        Reranked, None)
    if ranked is None or ranked.reason:
        return msgspec.structs.replace(retrieved, rules_unranked=fault if ranked is None else ranked.reason)
    return msgspec.structs.replace(retrieved, rule_ranks={
        found[place].id: score for place, score in zip(ranked.places, scores, strict=True)})


async def _passages(who: Identified, retrieved: Retrieved, ranking: Ranking, tape: Tape) -> Retrieved:
    found = retrieved.hits.knowledge[:CANDIDATES]
    if len(found) < 2 or not ranking.serves("documents"):
        return retrieved
    texts, scores = [who.agent.passages.get(hit.id, "") for hit in found], [hit.score for hit in found]
    ranked, fault = await asked(
        tape, "rerank", [who.text, [hit.id for hit in found]],
        lambda: ranking.rerank(who.text, texts, KEPT, before=scores, space=who.turn.tenant), Reranked, None)
    places = tuple(range(min(KEPT, len(found)))) if ranked is None else ranked.places
    hits = msgspec.structs.replace(retrieved.hits, knowledge=tuple(found[place] for place in places))
    return msgspec.structs.replace(retrieved, hits=hits,
                                   unranked=fault if ranked is None else ranked.reason or "", ranked=places)
