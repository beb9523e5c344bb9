"""Text to unit vectors: MiniLM where its weights are installed, hashed words where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ruche.plugins.contracts import Embedder
from ruche.plugins.embedders.folder import FolderEmbedder
from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.plugins.embedders.minilm import MiniLmEmbedder
from ruche.plugins.embedders.weights import find_weights
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.registry import Registry

__all__ = ["NOTICE", "EmbedderSettings", "FolderEmbedder", "HashingEmbedder", "MiniLmEmbedder", "open_embedder"]

NOTICE = ("no model weights are installed: rules are matched by their words, not by their meaning; "
          "run `ruche model install` and start again")

_BUILT_IN = ("auto", "minilm", "hashing", "folder")


class EmbedderSettings(Protocol):
    """What is read from the section `models` of the settings."""

    @property
    def embedder(self) -> str: ...

    @property
    def embedder_path(self) -> Path | None: ...

    @property
    def embedder_sha256(self) -> str | None: ...

    @property
    def embedder_threshold(self) -> float | None: ...

    @property
    def embedder_prefix(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def threads(self) -> int: ...


def open_embedder(settings: EmbedderSettings, registry: Registry | None = None) -> tuple[Embedder, str | None]:
    """The configured embedder, and a notice for the operator when it is only a substitute.

    `auto` takes MiniLM when its weights are found, else hashing with NOTICE. Weights that are found but damaged are an
    error, never a reason for the substitute: stored scores and thresholds would silently change. MiniLM uses a GPU
    only when `device` says `cuda`, so that `auto` gives the same vectors on every machine. Raises ConfigurationError,
    also when a plugin has one of the built-in names.
    """
    registry = registry or Registry()
    registry.refuse_taken("embedder", _BUILT_IN)
    if settings.embedder == "hashing":
        return HashingEmbedder(), None
    if settings.embedder in ("auto", "minilm"):
        if settings.embedder == "auto" and find_weights(settings.embedder_path) is None:
            return HashingEmbedder(), NOTICE
        device = "cuda" if settings.device == "cuda" else "cpu"
        return MiniLmEmbedder(settings.embedder_path, device=device, threads=settings.threads), None
    if settings.embedder == "folder":
        return _folder(settings), None
    return _plugin(settings, registry), None


def _folder(settings: EmbedderSettings) -> Embedder:
    if settings.embedder_path is None:
        raise ConfigurationError("models.embedder is folder, but models.embedder_path names none")
    return FolderEmbedder(settings.embedder_path, device="cuda" if settings.device == "cuda" else "cpu",
                          threads=settings.threads, sha256=settings.embedder_sha256,
                          threshold=settings.embedder_threshold, prefix=settings.embedder_prefix)


def _plugin(settings: EmbedderSettings, registry: Registry) -> Embedder:
    known = [*_BUILT_IN, *registry.names("embedder")]
    if settings.embedder not in known:
        raise ConfigurationError(f"setting models.embedder: there is no embedder called {settings.embedder}; write one "
                                 f"of {', '.join(known)}")
    made = registry.create("embedder", settings.embedder)
    if not isinstance(made, Embedder):
        raise ConfigurationError(f"the plugin {settings.embedder} is not an embedder: it lacks name, dimensions, "
                                 "rule_threshold or encode")
    return made
