"""What people said before, found again: learnt after a turn, searched within one, of one person at a time.

Memory serves answer quality and fails open: a turn never waits for what is being learnt, and goes on without it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

import anyio
import numpy as np

from ruche.actors.citing import cited
from ruche.actors.memory_service import PEOPLE, Drop, Fill, Last, MemoryService, Name, Search, Who
from ruche.actors.reranker import Reranked, Reranking
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.plugins.contracts import Asked, Recalled, Recollected, Vectors
from ruche.plugins.errors import RucheError
from ruche.storage.index.cues import nameless
from ruche.storage.index.memory import ENOUGH, Question, Recollection, Views, viewed
from ruche.storage.model.memory import Remembered, Utterance

CANDIDATES, KEPT = 24, 8
"""Specification (memory, A7): so many are reranked, so many are kept."""
LEAST = 0.6
"""Share of the embedder's threshold for rules that the best sentence of a memory must reach to be cited."""
NAMELESS = 0.6
"""Share of the question without its speakers' names in the vector that is compared."""
SLICE = 8
"""Texts embedded at once; between slices the thread serves conversations."""

T = TypeVar("T")


class Shelves(Protocol):
    """Where memories are kept between two starts."""

    async def load(self, tenant: str, person: str) -> list[Remembered]:
        """Everything of a person, in the order in which it was kept."""

    async def keep(self, tenant: str, person: str, memories: Sequence[Remembered]) -> None:
        """Durable when it returns."""


class Meters(Protocol):
    """Who is told what recalls and learning take, in milliseconds."""

    def queried(self, stage: str, ms: float, *, ok: bool) -> None: ...

    def learnt(self, utterances: int, ms: float, *, ok: bool) -> None: ...

    def holding(self, utterances: int, size: int) -> None: ...

    def unreadable(self, reason: str) -> None: ...


class _NoMeters:
    def queried(self, stage: str, ms: float, *, ok: bool) -> None:
        return None

    def learnt(self, utterances: int, ms: float, *, ok: bool) -> None:
        return None

    def holding(self, utterances: int, size: int) -> None:
        return None

    def unreadable(self, reason: str) -> None:
        return None


class Memories:
    """`contracts.Memory` over the retriever's embedder. Made on the loop inside an actor system."""

    def __init__(self, retriever: Retriever, shelves: Shelves | None = None, reranking: Reranking | None = None, *,
                 people: int = PEOPLE, meters: Meters | None = None, system: ActorSystem | None = None) -> None:
        """Without `shelves` nothing is kept beyond the process; without `reranking` the search's order stands."""
        running = system or ActorSystem.running()
        self._service = running.spawn(MemoryService, retriever.embedder.dimensions, people)
        self._retriever, self._shelves, self._reranking = retriever, shelves, reranking
        self._meters = meters or _NoMeters()
        self._locks: dict[Name, anyio.Lock] = {}

    async def remember(self, tenant: str, person: str, utterances: Sequence[Utterance]) -> int:
        """Learn what was said, in order; how much of it was new. What is known already costs nothing.

        Raises ProviderFailed, StorageFull, StorageStopped: then nothing of it is known, and it may be tried again.
        """
        begun, made, name = time.perf_counter(), list[Remembered](), (tenant, person)
        try:
            made = await self._learn(name, utterances)
            return len(made)
        finally:
            self._meters.learnt(len(made), _since(begun), ok=sys.exc_info()[0] is None)

    async def _learn(self, name: Name, utterances: Sequence[Utterance]) -> list[Remembered]:
        async with self._lock(name):
            new, last = await self._unknown(name, utterances)
            made = [self._packed(utterance, await self._rows(seen)) for utterance, seen in viewed(new, last)]
            if made and self._shelves is not None:
                await self._shelves.keep(*name, made)
            await self._filled(Fill(name, made))
        return made

    async def _filled(self, fill: Fill) -> None:
        self._meters.holding(*await self._service.ask_async(fill, wait=True))

    async def recall(self, asked: Asked) -> Recalled:
        """The best of a person's memories for a text; see `contracts.Memory`."""
        begun = time.perf_counter()
        try:
            return await self._recall(asked)
        finally:
            self._meters.queried("total", _since(begun), ok=sys.exc_info()[0] is None)

    async def _recall(self, asked: Asked) -> Recalled:
        found = await self._timed("search", self.candidates(asked, CANDIDATES))
        if not found:
            return Recalled()
        ranked = await self._timed("rerank", self._reranked(asked.text, found))
        kept = [_recollected(found[place], place, ranked, rank) for rank, place in enumerate(ranked.places)]
        least = LEAST * self._retriever.embedder.rule_threshold if asked.least is None else asked.least
        worth = [found[one.place] for one in kept if one.vector >= least or one.lexical >= ENOUGH]
        told, repeated = cited(worth)
        return Recalled(memories=tuple(kept), considered=len(found), reason=ranked.reason or "", cited=told,
                        method="topics" if worth else "", repeated=repeated)

    async def candidates(self, asked: Asked, limit: int) -> list[Recollection]:
        """What the search alone finds, best first. Raises Unavailable and what the embedder raises."""
        name = asked.tenant, asked.person
        speakers = await self._service.ask_async(Who(name))
        if speakers is None:
            async with self._lock(name):
                await self._load(name)
            speakers = await self._service.ask_async(Who(name))
        if not speakers:
            return []
        question = Question(asked.text, await self._vector(asked.text, speakers), asked.asker, asked.other,
                            asked.now_ms, asked.half_life_days)
        found = await self._service.ask_async(Search(name, question, limit, frozenset(asked.without)))
        return found or []

    async def _timed(self, stage: str, work: Awaitable[T]) -> T:
        begun = time.perf_counter()
        result = await work
        self._meters.queried(stage, _since(begun), ok=True)
        return result

    async def forget(self, tenant: str, person: str) -> None:
        """Let go of a person's memory; what is kept on the shelves goes with the person's keys."""
        async with self._lock((tenant, person)):
            await self._service.ask_async(Drop((tenant, person)))

    async def _unknown(self, name: Name, utterances: Sequence[Utterance]) -> tuple[list[Utterance],
                                                                                   dict[str, Utterance]]:
        known = await self._service.ask_async(Last(name, utterances), wait=True)
        if known is None:
            await self._load(name)
            known = await self._service.ask_async(Last(name, utterances), wait=True)
        return known or (list(utterances), {})

    async def _load(self, name: Name) -> None:
        kept = await self._kept(name)
        current = self._retriever.embedder.name
        fitting = [one if one.embedder == current else await self._again(one) for one in kept]
        await self._filled(Fill(name, fitting, whole=True))

    async def _kept(self, name: Name) -> list[Remembered]:
        try:
            return [] if self._shelves is None else await self._shelves.load(*name)
        except RucheError as error:
            self._meters.unreadable(error.code)
            raise

    async def _again(self, old: Remembered) -> Remembered:
        """A memory whose vectors another embedder made: its neighbours are not at hand, its own sentences are."""
        seen = next(viewed([old.utterance], {}))[1]
        return self._packed(old.utterance, await self._rows(seen))

    async def _rows(self, seen: Views) -> Vectors:
        texts, rows = seen.texts(), []
        for start in range(0, len(texts), SLICE):
            rows.append(await self._retriever.encode(texts[start:start + SLICE]))
        return np.concatenate(rows)

    async def _vector(self, text: str, speakers: tuple[str, ...]) -> Vectors:
        """Half of it without the speakers' names, where it names one."""
        without = nameless(text, speakers)
        rows = await self._retriever.encode((text,) if without == text else (text, without))
        row: Vectors = rows[0] if without == text else (1.0 - NAMELESS) * rows[0] + NAMELESS * rows[1]
        return row / np.linalg.norm(row)

    async def _reranked(self, text: str, found: Sequence[Recollection]) -> Reranked:
        passages, scores = [one.passage for one in found], [one.score for one in found]
        if self._reranking is None:
            return Reranked(tuple(range(min(KEPT, len(found)))), None, "disabled")
        return await self._reranking.rerank(text, passages, KEPT, kind="memory", before=scores)

    def _packed(self, utterance: Utterance, rows: Vectors) -> Remembered:
        embedder = self._retriever.embedder
        return Remembered(utterance=utterance, embedder=embedder.name, dimensions=embedder.dimensions,
                          rows=rows.astype(np.float16).tobytes())

    def _lock(self, name: Name) -> anyio.Lock:
        for other in [other for other, lock in self._locks.items() if other != name and not lock.locked()]:
            del self._locks[other]
        return self._locks.setdefault(name, anyio.Lock())


def _since(begun: float) -> float:
    return 1000.0 * (time.perf_counter() - begun)


def _recollected(found: Recollection, place: int, ranked: Reranked, rank: int) -> Recollected:
    one = found.utterance
    return Recollected(id=one.id, turn=one.turn, speaker=one.speaker, at_ms=one.at_ms, text=one.text, score=found.score,
                       vector=found.vector, lexical=found.lexical, cues=found.cues, place=place,
                       reranked=None if ranked.scores is None else ranked.scores[rank])
