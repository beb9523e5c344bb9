"""The embedder of a start: made, and asked once, within a deadline, so that one that hangs is told instead of waited
for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import anyio

from ruche.actors.retriever import Retriever
from ruche.engine.config import ModelSettings
from ruche.plugins.contracts import Embedder
from ruche.plugins.embedders import open_embedder
from ruche.plugins.errors import ProviderFailed, Unavailable
from ruche.plugins.registry import Registry

T = TypeVar("T")


async def make_embedder(settings: ModelSettings, registry: Registry) -> tuple[Embedder, str | None]:
    """As `open_embedder`, off the loop. Raises Unavailable where that takes longer than the settings allow."""
    async with _deadline(settings, f"the embedder {settings.embedder} was not made"):
        return await _aside(lambda: open_embedder(settings, registry))


async def try_embedder(settings: ModelSettings, retriever: Retriever) -> None:
    """Ask for one vector. Raises Unavailable where none comes in time; one that fails at once is asked again by
    whoever needs it."""
    async with _deadline(settings, f"the embedder {retriever.embedder.name} gave no vector"):
        with suppress(ProviderFailed):
            await retriever.encode(["ready"])


@asynccontextmanager
async def _deadline(settings: ModelSettings, what: str) -> AsyncIterator[None]:
    with anyio.move_on_after(settings.embedder_seconds) as patience:
        yield
    if patience.cancelled_caught:
        raise Unavailable(f"{what} within {settings.embedder_seconds:g} s: see whether what it needs can be reached "
                          "from here, allow it more time with the setting models.embedder_seconds, or choose another "
                          "with models.embedder (hashing needs nothing)")


async def _aside(work: Callable[[], T]) -> T:
    """On a thread that does not keep the process from ending, as a pool's threads would, when it never comes back."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on nobody can cancel it, so that its thread may always answer

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="embedder", daemon=True).start()
    return await asyncio.wrap_future(done)
