"""The index of one agent version: immutable, built from its passages and their vectors, searched kind by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.approximate import CROSSOVER, Graph, graph_over
from ruche.storage.index.background import BACKGROUND
from ruche.storage.index.general import General, Untaught
from ruche.storage.index.head import Head, drawn, fit_head, scaled_to
from ruche.storage.index.hybrid import DOCUMENTS, LONG_QUERIES, LONG_QUERY, RULES, Blend
from ruche.storage.index.kept import KeptHead, data_hash, halved, kept_heads, restored
from ruche.storage.index.lexical import QUERY_CHARACTERS, LexicalIndex
from ruche.storage.index.lift import Lift
from ruche.storage.index.logistic import sigmoid
from ruche.storage.index.passages import Passage
from ruche.storage.index.proposing import proposed
from ruche.storage.index.ranking import Scores, rounded, top_places
from ruche.storage.index.spelling import Spelling
from ruche.storage.index.vectors import Rows, dots, unit_rows
from ruche.storage.index.words import terms

KINDS = ("rule", "intent", "scenario", "transition", "option", "knowledge")
TAUGHT = ("rule", "intent")
"""Kinds whose examples teach a head."""


class Found(NamedTuple):
    """The best items of one kind, best first, in columns; scores rounded to 1e-4, `lexicals` on a scale of 0 to 1."""

    ids: list[str]
    scores: list[float]
    vectors: list[float]
    lexicals: list[float]


NOTHING = Found([], [], [], [])


class Teaching(NamedTuple):
    """How heads are fitted to an agent's examples."""

    threshold: float
    """The score at which a rule matches with this embedder."""
    background: Rows
    """The vectors of BACKGROUND, in its order."""
    several: bool | None = None
    """Whether rules may fire together; None: they do when two of them share an example."""
    general: General | None = None
    """What ships for this embedder about rules without examples; used where `several` is True."""
    embedder: str = ""
    """The name of the embedder whose vectors they are."""
    kept: Mapping[str, KeptHead] = {}
    """Heads of an earlier time by kind; one that was fitted to the same data is taken as it is."""
    telling: Rows | None = None
    """One vector per rule, in the order of their ids: of the words by which their sentences differ."""


class AgentIndex:
    """Everything of one agent that can be found. An item's cosine is the best over its texts.

    Not shared between agents or tenants, and never changed after it is built, so that any thread may search it.
    """

    def __init__(self, passages: Sequence[Passage], rows: Rows, teaching: Teaching | None = None,
                 spelling: Spelling | None = None, lines: Mapping[str, float] | None = None) -> None:
        """`rows` holds one unit vector per passage, in the same order.

        Without `teaching` examples count by their likeness alone; without `spelling` nothing is repaired. `lines`: by
        kind, the score where a match begins, above which items without examples are lifted.
        """
        self.spelling = spelling
        order = sorted(range(len(passages)), key=lambda place: (KINDS.index(passages[place].kind), passages[place].id))
        self._passages = [passages[place] for place in order]
        self._matrix = unit_rows(rows, rows.shape[1])[np.array(order, dtype=np.intp)]
        self._shelves: dict[str, _Shelf] = {}
        start = 0
        for kind in KINDS:
            end = start + sum(1 for passage in self._passages if passage.kind == kind)
            if end > start:
                taught = teaching if kind in TAUGHT else None
                line = None if lines is None else lines.get(kind)
                self._shelves[kind] = _Shelf(kind, self._passages[start:end], self._matrix[start:end], taught, line)
            start = end

    def __len__(self) -> int:
        return len(self._passages)

    def settle(self, crossover: int = CROSSOVER) -> bool:
        """Build a graph over the knowledge where there is so much that it pays; takes a minute, while the index is
        searched. True when there is one now."""
        shelf = self._shelves.get("knowledge")
        return shelf is not None and shelf.settle(crossover)

    @property
    def several(self) -> bool:
        """True when each rule is decided for itself."""
        rules = self._shelves.get("rule")
        return rules is not None and rules.each

    def search(self, vector: NDArray[np.float32], text: str, limit: int,
               scopes: Sequence[str] | None = None) -> dict[str, Found]:
        """Kind to its `limit` best items, score descending, id ascending; see `Retrieval.retrieve` for `scopes`."""
        asked = terms(text[:QUERY_CHARACTERS])
        found = {kind: shelf.search(vector, text, asked, limit, scopes) for kind, shelf in self._shelves.items()
                 if kind != "option" or scopes is not None}
        return {kind: found.get(kind, NOTHING) for kind in KINDS}

    def heads(self) -> bytes:
        """All heads, to be kept with the agent."""
        return kept_heads({kind: (shelf.data, shelf.head) for kind, shelf in self._shelves.items()
                           if shelf.head is not None})

    def rows(self) -> dict[str, Rows]:
        """Text to its vector, so that the next version embeds only what is new."""
        return {passage.text: row for passage, row in zip(self._passages, self._matrix, strict=True)}


class _Shelf:
    """Items of one kind in the order of their ids, so that equal scores are in order already."""

    def __init__(self, kind: str, entries: list[Passage], matrix: Rows, teaching: Teaching | None,
                 line: float | None) -> None:
        self._ids: list[str] = []
        self._blend: Blend = DOCUMENTS if kind == "knowledge" else RULES
        starts: list[int] = []
        for place, passage in enumerate(entries):
            if not self._ids or passage.id != self._ids[-1]:
                self._ids.append(passage.id)
                starts.append(place)
        self._starts = np.array(starts, dtype=np.intp)
        self._single = len(starts) == len(entries)
        self._matrix = matrix
        self._graph: Graph | None = None
        self._lexical = _lexical(entries)
        self._scoped = _scoped(entries, self._ids)
        self._everywhere = np.ones(len(self._ids), dtype=bool)
        for places in self._scoped.values():
            self._everywhere[places] = False
        self._untaught = None if teaching is None else self._told_apart(kind, entries, teaching)
        self._threshold = teaching.threshold if teaching is not None else 0.0
        self.data = ""
        self.head = None if self._single or teaching is None else self._kept_or_taught(kind, entries, teaching)
        self.each = self._untaught is not None or (self.head is not None and self.head.intercepts is not None)
        self._lift = None if self._single or self.each or line is None else Lift(self._counts(len(entries)), line)

    def search(self, vector: NDArray[np.float32], text: str, asked: list[str], limit: int,
               scopes: Sequence[str] | None) -> Found:
        if limit <= 0:
            return NOTHING
        blend = LONG_QUERIES if self._blend is DOCUMENTS and len(asked) >= LONG_QUERY else self._blend
        if self._graph is not None:
            found = self._proposed(self._graph, blend, vector, asked, limit)
            if found is not None:
                return found
        cosines, bm25 = self._likeness(vector, asked)
        seen = vector if self.head is None else self.head.seen(vector, text)
        told = None if self._untaught is None else self._untaught.evidence(vector, text, asked)
        if scopes is None or not self._scoped:
            return self._ranked(blend, seen, cosines, bm25, told, None, limit)
        allowed = self._allowed(scopes)
        return self._ranked(blend, seen, cosines, bm25, told, allowed, limit) if len(allowed) else NOTHING

    def settle(self, crossover: int) -> bool:
        """For items that are judged by their likeness alone, each with one text and everywhere."""
        if self._single and not self._scoped and self.head is None and self._blend is DOCUMENTS:
            self._graph = graph_over(self._matrix, crossover)
        return self._graph is not None

    def _proposed(self, graph: Graph, blend: Blend, vector: Rows, asked: list[str], limit: int) -> Found | None:
        found = proposed(graph, self._matrix, blend, vector, self._lexical.weigh(asked), limit)
        if found is None:
            return None
        parts = rounded(np.array((found.scores, found.cosines, found.lexical))).tolist()
        return Found([self._ids[place] for place in found.places.tolist()], *parts)

    def _likeness(self, vector: Rows, asked: list[str]) -> tuple[Rows, Scores]:
        cosines = dots(self._matrix, vector)
        if not self._single:
            cosines = np.maximum.reduceat(cosines, self._starts)
        return cosines, self._lexical.weigh(asked)

    def _ranked(self, blend: Blend, seen: Rows, cosines: Rows, bm25: Scores, told: Scores | None,
                allowed: NDArray[np.intp] | None, limit: int) -> Found:
        if allowed is not None:
            cosines, bm25, told = cosines[allowed], bm25[allowed], None if told is None else told[allowed]
        scores, lexical = blend(cosines, bm25)
        if self._lift is not None:
            scores = self._lift(scores, allowed)
        if told is not None:
            told = told if self.head is None else self.head.weighed(seen, told, allowed)
            scores = scaled_to(sigmoid(told), 0.5, self._threshold)
        elif self.head is not None:
            scores = self.head.scores(seen, cosines, lexical, scores, allowed)
        places = top_places(scores, limit)
        parts = rounded(np.array((scores[places], cosines[places], lexical[places]))).tolist()
        ids = places if allowed is None else allowed[places]
        return Found([self._ids[place] for place in ids.tolist()], *parts)

    def _told_apart(self, kind: str, entries: list[Passage], teaching: Teaching) -> Untaught | None:
        """Rules that may fire together by their sentences alone, until examples tell more."""
        if kind != "rule" or not teaching.several or teaching.general is None or teaching.telling is None:
            return None
        return Untaught([entries[start].text for start in self._starts.tolist()], self._matrix[self._starts],
                        teaching.telling, teaching.background, teaching.general)

    def _counts(self, texts: int) -> NDArray[np.intp]:
        """How many examples each item has."""
        return np.diff(self._starts, append=texts) - 1

    def _kept_or_taught(self, kind: str, entries: list[Passage], teaching: Teaching) -> Head | None:
        self.data = data_hash(teaching.embedder, kind, [(entry.id, entry.text) for entry in entries], teaching.several,
                              teaching.threshold)
        found = restored(teaching.kept.get(kind), self.data, len(self._ids))
        return self._taught(entries, teaching) if found is None else found

    def _taught(self, entries: list[Passage], teaching: Teaching) -> Head | None:
        owners = np.repeat(np.arange(len(self._ids)), np.diff(self._starts, append=len(entries)))
        head = fit_head(self._matrix, owners, [passage.text for passage in entries], len(self._ids),
                        several=teaching.several, threshold=teaching.threshold, background=teaching.background)
        if head is None:
            return None
        head = halved(head)
        if head.intercepts is not None:
            return head
        tops = []
        for vector, text in zip(teaching.background, BACKGROUND, strict=True):
            cosines, bm25 = self._likeness(vector, terms(text))
            seen = head.seen(vector, text)
            tops.append(float(head.unscaled(seen, cosines, self._blend(cosines, bm25)[1])[head.taught].max()))
        return drawn(head, tops)

    def _allowed(self, scopes: Iterable[str]) -> NDArray[np.intp]:
        mask = self._everywhere.copy()
        for scope in scopes:
            if scope in self._scoped:
                mask[self._scoped[scope]] = True
        return np.flatnonzero(mask)


def _lexical(entries: list[Passage]) -> LexicalIndex:
    texts: dict[str, list[str]] = {}
    for passage in entries:
        texts.setdefault(passage.id, []).append(passage.text)
    index = LexicalIndex()
    for key, parts in texts.items():
        index.add(key, "\n".join(parts))
    index.settle()
    return index


def _scoped(entries: list[Passage], ids: list[str]) -> dict[str, NDArray[np.intp]]:
    place = {key: number for number, key in enumerate(ids)}
    found: dict[str, set[int]] = {}
    for passage in entries:
        if passage.scope is not None:
            found.setdefault(passage.scope, set()).add(place[passage.id])
    return {scope: np.array(sorted(places), dtype=np.intp) for scope, places in found.items()}
