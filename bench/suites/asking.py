"""How a suite asks the engine: an agent is published to the retriever that also serves conversations."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.report import progress
from ruche.actors.retriever import Retriever
from ruche.plugins.contracts import Hits
from ruche.storage.model.agent import Agent
from ruche.storage.model.bundle import AgentBundle

TENANT = "default"


@dataclass
class Asking:
    """A retriever, and how long each question took (ms) when it was asked for the first time: later ones are cached."""

    retriever: Retriever
    times: list[float] = field(default_factory=list)
    model: str = "none"
    """One of `scripted.MODELS`, for suites whose labels a scripted model can know."""
    _asked: set[str] = field(default_factory=set)
    _versions: int = 0

    async def publish(self, **parts: Any) -> int:
        """Prepare an agent of these parts; its version."""
        self._versions += 1
        bundle = AgentBundle.model_validate({"id": "measured", "agent": Agent(name="Measured"), **parts})
        embedded, started = [0.0], time.perf_counter()

        def told(done: int, total: int) -> None:
            embedded[0] = time.perf_counter() - started

        await self.retriever.prepare(bundle, self._versions, told)
        spent = time.perf_counter() - started
        progress(f"prepared in {spent:.1f} s, {spent - embedded[0]:.1f} s of them after embedding")
        return self._versions

    async def ask(self, version: int, texts: Sequence[str], limit: int) -> list[Hits]:
        """The hits of each text, asked one after the other."""
        return [await self._one(version, text, limit) for text in texts]

    async def _one(self, version: int, text: str, limit: int) -> Hits:
        started = time.perf_counter()
        hits = await self.retriever.retrieve(TENANT, "measured", version, text, limit)
        if text not in self._asked:
            self._asked.add(text)
            self.times.append(1000.0 * (time.perf_counter() - started))
        await asyncio.sleep(0)
        return hits


def sampled(rows: Sequence[Any], limit: int | None, seed: int) -> list[Any]:
    """At most `limit` rows, the same ones for the same seed, in a shuffled order."""
    chosen = list(rows)
    random.Random(seed).shuffle(chosen)
    return chosen[:limit]


def share(right: int, total: int) -> float:
    """Per cent, one decimal; 0 for nothing."""
    return round(100.0 * right / total, 1) if total else 0.0
