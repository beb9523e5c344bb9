"""Runs a suite of `bench.quality` on a folder that a test has written, in this process, with the hashing embedder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bench.quality import SUITES
from bench.suites.asking import Asking
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.plugins.embedders.hashing import HashingEmbedder


def measured(suite: str, folder: Path, limit: int | None = None, seed: int = 7, model: str = "none") -> dict[str, Any]:
    """The metrics, with `n` and `notes`."""
    async def run() -> dict[str, Any]:
        async with ActorSystem() as system:
            asking = Asking(Retriever(HashingEmbedder(), system), model=model)
            return await SUITES[suite](asking, folder, None, limit, seed)

    return asyncio.run(run())
