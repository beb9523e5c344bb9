"""Scores of passages for a query: a cross-encoder from a folder, sentence vectors that need no weights, or a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ruche.plugins.contracts import Embedder, Reranker
from ruche.plugins.embedders.cache import VectorCache
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.registry import Registry
from ruche.plugins.rerankers.cross import CrossEncoder
from ruche.plugins.rerankers.sentence import KEPT, SentenceReranker

__all__ = ["CrossEncoder", "RerankerSettings", "SentenceReranker", "open_reranker"]


class RerankerSettings(Protocol):
    """What is read from the section `models` of the settings."""

    @property
    def reranker(self) -> str: ...

    @property
    def reranker_path(self) -> Path | None: ...

    @property
    def reranker_sha256(self) -> str | None: ...

    @property
    def device(self) -> str: ...

    @property
    def reranker_threads(self) -> int: ...


def open_reranker(settings: RerankerSettings, embedder: Embedder, registry: Registry | None = None) -> Reranker:
    """The plugin that `reranker` names, else the cross-encoder of `reranker_path`, else the sentence reranker over
    `embedder`. Raises ConfigurationError."""
    if settings.reranker:
        return _plugged(settings.reranker, registry or Registry())
    if settings.reranker_path is None:
        return SentenceReranker(embedder, VectorCache(KEPT))
    return CrossEncoder(settings.reranker_path, device=settings.device, threads=settings.reranker_threads,
                        sha256=settings.reranker_sha256)


def _plugged(name: str, registry: Registry) -> Reranker:
    made = registry.create("reranker", name)
    if not isinstance(made, Reranker):
        raise ConfigurationError(f"the reranker {name} lacks a part of the contract; it needs name and score")
    return made
