"""What the host has of memory and reranking: opened as the settings say, warmed, metered, and told of truthfully."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from ruche.actors.memory import Memories
from ruche.actors.reranker import Reranking
from ruche.engine.config import ModelSettings
from ruche.engine.meters import MemoryMeters
from ruche.engine.remembering import Learning, ScribeShelves
from ruche.plugins.errors import ConfigurationError, RucheError
from ruche.plugins.rerankers import open_reranker

if TYPE_CHECKING:
    from ruche.actors.retriever import Retriever
    from ruche.actors.scribe import Scribe
    from ruche.engine.identities import Linked


@dataclass(frozen=True, slots=True)
class Recalling:
    """`fault` says why nothing is reranked although the settings want it."""

    memories: Memories
    learning: Learning
    reranking: Reranking
    meters: MemoryMeters
    fault: str

    @property
    def notices(self) -> tuple[str, ...]:
        return (self.fault,) if self.fault else ()

    def state(self) -> tuple[str, str]:
        """(`ok` or `degraded`, which reranker, where it runs, and whether it is left alone)."""
        return ("degraded", self.fault) if self.fault else described(self.reranking)

    def metrics(self) -> bytes:
        breaker = self.reranking.breaker
        return self.meters.render(breaker.state, breaker.trips)


async def open_recalling(settings: ModelSettings, retriever: Retriever, scribe: Scribe, linked: Linked) -> Recalling:
    """A reranker that cannot be used costs its order, never the start: answer quality fails open."""
    meters = MemoryMeters()
    reranking, fault = await _reranking(settings, retriever, meters)
    memories = Memories(retriever, ScribeShelves(scribe, linked), reranking, meters=meters)
    return Recalling(memories, Learning(scribe, memories), reranking, meters, fault)


async def _reranking(settings: ModelSettings, retriever: Retriever, meters: MemoryMeters) -> tuple[Reranking, str]:
    nothing = Reranking(None, heard=meters.reranked)
    if not settings.rerank_enabled:
        return nothing, ""
    try:
        reranker = await anyio.to_thread.run_sync(open_reranker, settings, retriever.embedder)
    except ConfigurationError as error:
        return nothing, f"nothing is reranked: {error.message}"
    reranking = Reranking(reranker, budget=settings.rerank_timeout_ms / 1000.0, kinds=settings.rerank,
                          heard=meters.reranked)
    try:
        await reranking.warm()
    except RucheError as error:
        return nothing, f"nothing is reranked: {error.message}"
    return reranking, ""


def described(reranking: Reranking) -> tuple[str, str]:
    reranker = reranking.reranker
    if reranker is None:
        return "ok", "switched off"
    breaker = reranking.breaker.state
    where = getattr(reranker, "provider", "no model of its own")
    return "ok" if breaker == "closed" else "degraded", f"{reranker.name} ({where}), breaker {breaker}"
